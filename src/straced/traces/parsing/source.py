"""Where a trace comes from: a file, gzip, zstd, a set of ``-ff`` files, or standard input; as blocks of whole lines."""

from __future__ import annotations

import heapq
import os
import re
import stat
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO, Protocol

from straced.errors import StracedError
from straced.linux.scratch_file import scratch_errors, scratch_file
from straced.traces.parsing.interrupt import InterruptHandler, InterruptiblePipe
from straced.traces.parsing.line import COMMENT, parse_line
from straced.traces.parsing.line_format import SAMPLE_LINES, NotATrace

BLOCK_BYTES = 1 << 20
MOST_COMMENTS_BYTES = 16 << 20
"""Of ``straced trace``, before the first call."""
LONGEST_LINE_BYTES = 4 << 20
"""A longer line is taken apart: nothing that strace writes by default is longer than a few kilobytes."""
_ZSTD_INPUT_BYTES = 512
"""Little at a time: a hostile file makes 128 KiB of four bytes, so this bounds what one step can give."""
_ZSTD_OUTPUT_BYTES = 1 << 18
"""So much is put together before it is looked at: a block costs, however short it is."""
_COLOUR = re.compile(rb"\x1b\[[0-9;]*m")
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_RECORDS = b"\x89STR"
"""What a file of records begins with."""


class _ByteReader(Protocol):
    def read(self, size: int, /) -> bytes: ...


class InputError(StracedError):
    """The file cannot be opened or decompressed."""

    exit_code = 2
    code = "input"


class RecordsInside(InputError):
    """It is no text, but records, packed or from a pipe: who knows how to read them finds them in ``file``."""

    def __init__(self, source: TraceSource, file: BinaryIO) -> None:
        super().__init__(f"{source.name} has records, and no lines", hint="unpack it: straced report FILE.strc")
        self.name = source.name
        self.file = file
        self.notes = tuple(source.notes)
        """What went wrong on the way."""
        self.damage = tuple(source.damage)
        """What was damaged on the way."""


class TraceSource:
    """A trace to read once. ``notes`` and ``damage`` fill with what went wrong on the way; what was read stays good."""

    def __init__(self, name: str, *, path: Path | None = None, size: int | None = None) -> None:
        self.name = name
        self.path = path
        """Set for a plain file, which several processes may read at once."""
        self.size = size
        """Bytes on disk, for progress; ``None`` for a stream."""
        self.consumed = 0
        self.notes: list[str] = []
        self.damage: list[str] = []
        """What is not as it was written, by a checksum, or by being no compressed data any more."""
        self.cut_tail = False
        """The last line has no end: strace or the copy was stopped in it."""
        self.identity: tuple[int, ...] | None = None
        """Which file it is, and which state of it: device, inode, size, time of the last change."""
        self._members: list[Path] = []
        self._stream: _ByteReader | None = None
        self._stop: InterruptHandler | None = None

    @property
    def stopped(self) -> bool:
        """Somebody pressed Ctrl-C, and the rest is not read."""
        if isinstance(self._stream, InterruptiblePipe):
            return self._stream.left
        return self._stop is not None and self._stop.presses > 0

    def chunks(self) -> Iterator[bytes]:
        """The text in pieces of any length."""
        if self._members:
            yield from _merge(self._members, self.notes)
            return
        assert self._stream is not None
        try:
            pieces = self._plain(self._stream) if self.path is not None else self._decompressed(self._stream)
            first = next(pieces, b"")
            if first.startswith(_RECORDS):
                raise RecordsInside(self, self._kept(first, pieces))
            yield first
            yield from pieces
        finally:
            self.close()

    def _kept(self, first: bytes, pieces: Iterator[bytes]) -> BinaryIO:
        """In a file: what of a pipe can be read only once, and in order."""
        file = scratch_file()
        try:
            with scratch_errors():
                file.write(first)
                for piece in pieces:
                    file.write(piece)
                file.flush()
        except BaseException:
            file.close()
            raise
        return file

    def close(self) -> None:
        """Close the file; standard input stays open."""
        if self._stream is not None and (close := getattr(self._stream, "close", None)) is not None:
            close()

    def _plain(self, file: _ByteReader) -> Iterator[bytes]:
        left = self.size if self.path is not None else None
        while left is None or left > 0:  # a file that grows meanwhile is read as it was at the start
            data = file.read(BLOCK_BYTES if left is None else min(BLOCK_BYTES, left))
            if not data:
                if left:
                    self.notes.append(f"the file became shorter while it was read: {left:,} bytes are missing")
                return
            self.consumed += len(data)
            left = None if left is None else left - len(data)
            yield data

    def _decompressed(self, stream: _ByteReader) -> Iterator[bytes]:
        first = stream.read(4)
        while 0 < len(first) < 4 and (more := stream.read(4 - len(first))):
            first += more
        if first.startswith(_GZIP):
            yield from self._gzip(first, stream)
        elif first == _ZSTD:
            yield from self._zstd(first, stream)
        else:
            if first:
                self.consumed += len(first)
                yield first
            yield from self._plain(stream)

    def _gzip(self, first: bytes, stream: _ByteReader) -> Iterator[bytes]:
        engine, fresh = zlib.decompressobj(wbits=31), False
        data = first
        while data:
            self.consumed += len(data)
            try:
                while data:
                    fresh, before = False, engine.copy()
                    try:
                        out = engine.decompress(data, BLOCK_BYTES)
                    except zlib.error:
                        yield from _rescued(before, data)
                        raise
                    if out:
                        yield out
                    data = engine.unconsumed_tail
                    if engine.eof:  # the next member, if any
                        data, engine, fresh = engine.unused_data.lstrip(b"\0"), zlib.decompressobj(wbits=31), True
            except zlib.error as error:
                self.damage.append(f"the gzip data is damaged after {self.consumed:,} bytes ({error})")
                return
            data = stream.read(1 << 16)
        if not fresh:
            self.notes.append("the gzip data ends early (truncated file)")

    def _zstd(self, first: bytes, stream: _ByteReader) -> Iterator[bytes]:
        try:
            import zstandard
        except ImportError:
            raise InputError(
                f"{self.name} is zstd, and the module to read it is not installed",
                hint="pip install 'straced[analytics]', or: zstd -dc FILE | straced report -",
            ) from None
        engine, fresh = zstandard.ZstdDecompressor().decompressobj(), False
        data = first
        held: list[bytes] = []
        while data:
            self.consumed += len(data)
            try:
                while data:
                    fresh = False
                    if out := engine.decompress(data):
                        held.append(out)
                    data = b""
                    if engine.eof:
                        data, engine, fresh = engine.unused_data, zstandard.ZstdDecompressor().decompressobj(), True
            except zstandard.ZstdError as error:
                self.damage.append(f"the zstd data is damaged after {self.consumed:,} bytes ({error})")
                yield b"".join(held)
                return
            if sum(map(len, held)) >= _ZSTD_OUTPUT_BYTES:
                yield b"".join(held)
                held = []
            data = stream.read(_ZSTD_INPUT_BYTES)
        yield b"".join(held)
        if not fresh:
            self.notes.append("the zstd data ends early (truncated file)")

    def expect(self, other: TraceSource) -> None:
        """Refuse a file that is not what it was at the first look.

        Raises:
            InputError: it was changed or replaced.
        """
        if self.identity != other.identity and not _only_grew(other.identity, self.identity):
            raise InputError(
                f"{self.name} was changed while it was read", hint="take the report again when nobody writes it"
            )
        if other.path is not None:
            self.size = other.size

    def blocks(self) -> Iterator[bytes]:
        """Blocks of whole lines, each beginning and ending with a newline; the last line is closed if it was cut."""
        return map(_without_colours, self._whole_lines())

    def _whole_lines(self) -> Iterator[bytes]:
        rest: list[bytes] = [b"\n"]
        held = 1
        skipping = False
        for chunk in self.chunks():
            end = chunk.rfind(b"\n")
            if end < 0:
                if skipping:
                    continue
                rest.append(chunk)
                held += len(chunk)
                if held > LONGEST_LINE_BYTES:
                    skipping = True
                    self._note_long_line()
                    yield b"".join(rest)[: LONGEST_LINE_BYTES + 1] + b"\n"
                continue
            if skipping:
                skipping, rest = False, [b"\n"]
                chunk = chunk[chunk.find(b"\n") + 1 :]
                end = chunk.rfind(b"\n")
            if end >= 0:
                yield b"".join([*rest, memoryview(chunk)[: end + 1]])  # copied once
                rest = [b"\n"]
            rest.append(chunk[end + 1 :])
            held = sum(map(len, rest))
        if not skipping and held > 1:
            self.cut_tail = True
            yield b"".join(rest) + b"\n"

    def _note_long_line(self) -> None:
        note = f"a line longer than {LONGEST_LINE_BYTES >> 20} MiB was taken apart: its beginning was read"
        if note not in self.notes:
            self.notes.append(note)


def _only_grew(before: tuple[int, ...] | None, now: tuple[int, ...] | None) -> bool:
    return before is not None and now is not None and before[:2] == now[:2] and now[2] > before[2]


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _without_colours(text: bytes) -> bytes:
    """As strace writes it without ``--color`` (7.0); within strings it writes an escape as ``\\33``."""
    return _COLOUR.sub(b"", text) if b"\x1b" in text else text


def _rescued(engine: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    """What stands before the damage, in small steps."""
    for place in range(0, len(data), 64):
        try:
            yield engine.decompress(data[place : place + 64])
        except zlib.error:
            return


def open_source(name: str, stop: InterruptHandler | None = None) -> TraceSource:
    """Open ``-`` (standard input), a file, or a prefix of ``strace -ff -o PREFIX`` files.

    Args:
        stop: asked now and then whether to go on.

    Raises:
        InputError: nothing there, or not readable.
    """
    source = _opened(name, stop or InterruptHandler())
    source._stop = stop
    return source


def _opened(name: str, stop: InterruptHandler) -> TraceSource:
    if name == "-":
        source = TraceSource("standard input")
        try:
            source._stream = InterruptiblePipe(sys.stdin.fileno(), stop)
        except (AttributeError, OSError, ValueError):
            raise InputError("standard input is closed", hint="straced trace 4242 | straced report -") from None
        return source
    path = Path(name)
    try:
        status = path.stat()
    except OSError as error:
        members = _set_members(path)
        if members:
            return _set_source(name, members)
        raise InputError(
            f"{name}: {error.strerror or error}", hint="give the file of a trace, or - for standard input"
        ) from None
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"{name} is a folder", hint="give the file, or the prefix of strace -ff -o PREFIX")
    try:
        if not stat.S_ISREG(status.st_mode):
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a FIFO may have no writer yet
            os.set_blocking(fd, True)
            source = TraceSource(name)
            source._stream = InterruptiblePipe(fd, stop, owned=True)
            return source
        file: IO[bytes] = open(path, "rb", buffering=0)  # noqa: SIM115
        status = os.fstat(file.fileno())
        head = file.read(4)
        file.seek(0)
    except OSError as error:
        raise InputError(f"{name}: {error.strerror or error}") from None
    packed = head.startswith(_GZIP) or head == _ZSTD
    if not packed and status.st_size == 0 and (members := _set_members(path)):
        file.close()
        return _set_source(name, members)
    source = TraceSource(name, path=None if packed else path, size=status.st_size)
    source.identity = _identity(status)
    source._stream = file
    return source


def _set_members(prefix: Path) -> list[Path]:
    """``PREFIX.PID`` beside each other, as -ff makes them."""
    pattern = re.compile(re.escape(prefix.name) + r"\.\d{1,7}")
    try:
        names = os.listdir(prefix.parent)
    except OSError:
        return []
    return [prefix.parent / name for name in sorted(names) if pattern.fullmatch(name)]


def _set_source(name: str, members: list[Path]) -> TraceSource:
    source = TraceSource(f"{name}.* ({len(members)} files)", size=sum(path.stat().st_size for path in members))
    source._members = members
    return source


def _merge(members: list[Path], notes: list[str]) -> Iterator[bytes]:
    """The lines of all files in the order of their clocks, each with its pid put in front."""
    limit = 400
    if len(members) > limit:
        notes.append(f"{len(members)} files: read one after the other, so lines of two tasks are not in order of time")
        streams: list[Iterator[tuple[int, int, bytes]]] = [line for path in members for line in [_lines(path, 0)]]
        ordered = (item for stream in streams for item in stream)
    else:
        ordered = heapq.merge(*(_lines(path, index) for index, path in enumerate(members)))
    batch: list[bytes] = []
    size = 0
    for _, _, line in ordered:
        batch.append(line)
        size += len(line)
        if size > BLOCK_BYTES:
            yield b"".join(batch)
            batch, size = [], 0
    yield b"".join(batch)


def _lines(path: Path, index: int) -> Iterator[tuple[int, int, bytes]]:
    pid = path.suffix[1:].encode().ljust(5) + b" "
    clock = 0
    with open(path, "rb") as file:
        for line in file:
            value = parse_line(_without_colours(line))
            if value is not None and value.clock_ns is not None and value.clock != "relative":
                clock = max(clock, value.clock_ns)
            yield clock, index, pid + (line if line.endswith(b"\n") else line + b"\n")


def first_block(source: TraceSource) -> tuple[bytes, Iterator[bytes]]:
    """The first block to look at, and an iterator of all blocks with it.

    Raises:
        NotATrace: there is nothing in it.
    """
    blocks = source.blocks()
    first = next(blocks, b"")
    while first and (
        (first.count(b"\n") < SAMPLE_LINES and len(first) < BLOCK_BYTES)
        or (first.startswith(COMMENT, first.rfind(b"\n", 0, -1) + 1) and len(first) < MOST_COMMENTS_BYTES)
    ):
        more = next(blocks, b"")  # a pipe gives a line at a time, and the form shows in many
        if not more:
            break
        first += more[1:]
    if not first.strip():
        why = next(iter((*source.damage, *source.notes)), "")
        raise NotATrace(f"{source.name}: {why}" if why else f"{source.name} is empty")

    def everything() -> Iterator[bytes]:
        yield first
        yield from blocks

    return first, everything()

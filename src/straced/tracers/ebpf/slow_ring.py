"""Calls over a limit, from the kernel's ring to the logs of sessions; those that are inside, by a look now and then."""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from collections.abc import Callable

from msgspec.structs import replace

from straced.logs import logger
from straced.model.files import FileTable
from straced.model.slow import SlowCalls, SlowSyscall
from straced.records.decoding import Decoder
from straced.records.plans import plan_of
from straced.records.slow_calls import SlowCallReader
from straced.records.values import Blob, BlobKind, Record
from straced.syscalls import syscall_name
from straced.tracers.base import AttachOptions
from straced.tracers.ebpf import detail_wire, libbpf
from straced.tracers.ebpf.detail_engine import DetailEngine
from straced.tracers.ebpf.file_sums import FileSums
from straced.tracers.ebpf.slow_log import SlowLog
from straced.tracers.event_stream import SlowCallStream

LOOK_S = 1.0
"""How often it is looked for calls that are inside."""
_SHARE = 50
"""A look takes at most one part in so many of the time."""


class SlowRing:
    """The slow calls of one engine. It is open while a session has a limit."""

    def __init__(self, engine: DetailEngine) -> None:
        self._engine = engine
        self._library = libbpf.load()
        self._ring = 0
        self._callback: object = None
        """While the ring is open; it holds us, so that it must not be kept longer."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._logs: dict[int, SlowLog] = {}
        self._files = FileSums(engine)
        self._decoder = Decoder()
        self._reader = SlowCallReader()

    def begin(self, session: int, options: AttachOptions) -> None:
        """A session has a limit from now on, or wants sums by file."""
        self._open()
        limit = self._engine.limit(session)
        ctypes.memset(ctypes.addressof(limit), 0, ctypes.sizeof(limit))
        if options.slower_ns is not None:
            self._logs[session] = SlowLog(options.slower_ns, options.slow_kept)
            limit.rate, limit.with_waits = options.slow_rate, options.slow_waits
            limit.slower_ns = options.slower_ns
        if options.files:
            self._files.begin(session)
        self._set_least()

    def end(self, session: int) -> None:
        """A session is over."""
        log = self._logs.pop(session, None)
        if log is not None:
            log.end()
            if self._engine.loaded:
                self._engine.limit(session).slower_ns = 0
        self._files.end(session)
        if self._engine.loaded:
            self._set_least()
        if not self._logs and not self._files:
            self._close()

    def state(self, session: int) -> SlowCalls | None:
        """All of a session so far; ``None`` of one without a limit."""
        log = self._logs.get(session)
        if log is None:
            return None
        self._library.ring_buffer__consume(self._ring)
        return log.state(self._engine.limit(session))

    def files(self, session: int) -> FileTable | None:
        """The sums by file and peer of a session so far; ``None`` of one that does not want them."""
        if not self._files:
            return None
        self._library.ring_buffer__consume(self._ring)
        return self._files.state(session)

    def listen(self, session: int) -> SlowCallStream:
        """The slow calls of a session from now on.

        Raises:
            KeyError: it has no limit.
        """
        return self._logs[session].listen()

    def hear(self, session: int, hearer: Callable[[SlowSyscall], None]) -> None:
        """Call somebody with each slow call of a session from now on."""
        self._logs[session].hear(hearer)

    def limit(self, session: int, slower_ns: int) -> None:
        """Another limit of a session from now on; 0: nothing is told."""
        log = self._logs.get(session)
        if log is not None:
            log.limit_ns = self._engine.limit(session).slower_ns = slower_ns
            self._set_least()

    def look(self) -> None:
        """Look for calls that are inside."""
        self._library.ring_buffer__consume(self._ring)
        if not self._logs:
            return
        found: dict[int, list[SlowSyscall]] = {session: [] for session in self._logs}
        data = memoryview(self._engine.peek())
        while len(data) > detail_wire.HEAD_BYTES:
            head, record, size = self._split(data)
            data = data[size:]
            log = self._logs.get(head.session)
            if log is not None and record is not None:
                found[head.session].append(self._inside(log, record, head.comm))
        for session, calls in found.items():
            self._logs[session].inside(calls)

    def _inside(self, log: SlowLog, record: Record, comm: bytes) -> SlowSyscall:
        known = log.known(record.tid, record.start_ns or 0)
        if known is not None:
            took = record.end_ns - known.start_ns
            return replace(known, duration_ns=took, waiting_ns=record.waiting_ns)
        return self._reader.read(with_paths(record), comm)

    def _split(self, data: memoryview) -> tuple[detail_wire.WireSlowHead, Record | None, int]:
        head = detail_wire.WireSlowHead.from_buffer_copy(data)
        size = detail_wire.HEAD_BYTES + int.from_bytes(data[detail_wire.HEAD_BYTES :][:2], "little")
        records = self._decoder.records(data[detail_wire.HEAD_BYTES : size], -1)
        return head, next(records, None), max(size, detail_wire.HEAD_BYTES + 8)

    def _set_least(self) -> None:
        limits = [limit for session in self._logs if (limit := int(self._engine.limit(session).slower_ns))]
        self._engine.set_least(min(limits, default=detail_wire.NO_LIMIT), len(self._files))

    def _open(self) -> None:
        if self._ring:
            return
        self._loop = asyncio.get_running_loop()
        self._callback = libbpf.RING_CALLBACK(self._received)
        ring = self._library.ring_buffer__new(self._engine.slow_calls_fd, self._callback, None, None)
        self._ring = libbpf.check_pointer(ring, "ring of slow calls")
        self._loop.add_reader(self._library.ring_buffer__epoll_fd(self._ring), self._consume)
        self._timer = self._loop.call_later(LOOK_S, self._look_again)

    def _consume(self) -> None:
        self._library.ring_buffer__consume(self._ring)

    def _look_again(self) -> None:
        begun = time.monotonic()
        try:
            self.look()
        except OSError as error:  # no descriptor: another time
            logger.debug("no_look: %s", error)
        assert self._loop is not None
        self._timer = self._loop.call_later(max(LOOK_S, _SHARE * (time.monotonic() - begun)), self._look_again)

    def _close(self) -> None:
        if not self._ring:
            return
        assert self._loop is not None
        assert self._timer is not None
        self._timer.cancel()
        if not self._loop.is_closed():
            self._loop.remove_reader(self._library.ring_buffer__epoll_fd(self._ring))
        self._library.ring_buffer__free(self._ring)
        self._ring = 0
        self._callback = self._loop = self._timer = None

    def _received(self, _context: int, data: int, size: int) -> int:
        raw = ctypes.string_at(data, size)
        if detail_wire.WireSlowHead.from_buffer_copy(raw).peeked == detail_wire.SLOW_NAME:
            told = detail_wire.WireFileTold.from_buffer_copy(raw)
            self._files.name(told, self._decoder.blobs(raw[ctypes.sizeof(told) :]))
            return 0
        head, record, _size = self._split(memoryview(raw))
        log = self._logs.get(head.session)
        if log is not None and record is not None:
            log.add(self._reader.read(record, head.comm))
        return 0


def with_paths(record: Record) -> Record:
    """A call that is inside with the paths that it was given, as its memory has them, if it is inside still."""
    name = syscall_name(record.number, record.abi)
    wanted = [
        capture.argument for capture in plan_of(name).captures if capture.kind is BlobKind.PATH and not capture.bytes
    ]
    if not wanted:
        return record
    found = dict(record.blobs)
    try:
        with open(f"/proc/{record.tid}/mem", "rb", buffering=0) as memory:
            for place in wanted:
                found[place] = _string_at(memory.fileno(), record.args[place])
        with open(f"/proc/{record.tid}/syscall", encoding="ascii") as file:
            now = file.read().split()
    except (OSError, ValueError):
        return record
    same = [str(record.number), *(f"{value:#x}" for value in record.args)]
    return replace(record, blobs=found) if now[: len(same)] == same else record


def _string_at(fd: int, address: int) -> Blob:
    page = os.sysconf("SC_PAGE_SIZE")
    data = b""
    while len(data) < page and b"\0" not in data:
        more = os.pread(fd, page - (address + len(data)) % page, address + len(data))
        if not more:
            break
        data += more
    return Blob(BlobKind.PATH, data.partition(b"\0")[0][: page - 1], cut=b"\0" not in data)

"""One call, decoded from its text alone: equal texts decode to the same value, so that each is decoded only once."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from straced.traces.analysis.fd_table import split_fd
from straced.traces.parsing.line import WAITING, waiting_of
from straced.traces.parsing.strings import unescape

if TYPE_CHECKING:
    from straced.traces.analysis.state import AnalysisState
    from straced.traces.analysis.tasks import TracedTask

    Effect = Callable[[AnalysisState, TracedTask, str, "DecodedCall", int | None, int, bytes], None]
    """What a call changes: (state, task, name, decoded call, duration in ns, line number, clock as printed)."""

_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"')
FOLDER = b"AT_FDCWD"
_FOLDERS = frozenset({FOLDER, b"-100", b"0xffffff9c", b"4294967196"})
"""The folder of the process, as the forms of -X print it."""
UNKNOWN_PATH, EMPTY_PATH = b"?", b'""'
_TIMES = re.compile(rb"([\d.]+)" + WAITING)
_MOST_TEXTS = 20_000
_LONGEST_TEXT_BYTES = 300


class DecodedCall(Struct, gc=False):
    """Arguments and result of a call, as far as its effect needs them; durations, clocks and tasks are not in it."""

    effect: Effect | None = None
    """What it changes; ``None``: nothing."""
    fd: int | None = None
    """The descriptor that it is about, where only the table of its process knows what that is."""
    path: bytes | None = None
    """What it is about; with ``fd``, a path relative to that."""
    errno: bytes | None = None
    value: int | None = None
    """The descriptor or task that it made or ended, or the bytes that it moved."""
    cloexec: bool = False
    label: bytes = b""
    """What the new descriptor is called, where it is not ``path``."""
    args: bytes = b""
    """All arguments, for effects that are rare."""
    relative: bool = False
    """``path`` is relative to the folder that its process is in."""
    other_fd: int | None = None
    other_path: bytes | None = None
    """As ``fd`` and ``path``, of the second descriptor of a call that copies between two."""


NOTHING = DecodedCall()


class DecodedTexts:
    """The decoded calls of the texts met so far; the tables of all calls are emptied together when they are full."""

    def __init__(self) -> None:
        self._tables: dict[str, dict[bytes, DecodedCall]] = {}
        self._kept = 0

    def of(self, name: str) -> dict[bytes, DecodedCall]:
        """Return the table of the calls of one name, by text."""
        return self._tables.setdefault(name, {})

    def keep(self, name: str, text: bytes, decoded: DecodedCall) -> None:
        """Remember the decoded call of a text, unless the text is long."""
        if len(text) > _LONGEST_TEXT_BYTES:
            return
        if self._kept >= _MOST_TEXTS:
            for table in self._tables.values():
                table.clear()
            self._kept = 0
        self._kept += 1
        self._tables[name][text] = decoded


def first_argument(args: bytes) -> int:
    """Where the first argument ends; a path that -y gives may hold commas."""
    end = args.find(b",")
    while end >= 0:
        first = args[:end]
        if b"<" not in first or first.count(b"<") <= first.count(b">") - first.count(b"->"):
            return end
        end = args.find(b",", end + 1) if end < 8192 else -1
    return len(args) if args.find(b"<", 0, 16) >= 0 or b"," not in args else args.find(b",")


def target_of(args: bytes) -> tuple[int | None, bytes | None]:
    """The descriptor that is the first argument: its number, or its name where the text has it (-y)."""
    first = args[: first_argument(args)].rstrip(b" )")
    if b"<" in first:
        path = split_fd(first)[1]
        if path is not None:
            return None, path
    try:
        return int(first), None
    except ValueError:
        return None, UNKNOWN_PATH if first[:1] in b'"{[' else first[:200]


def path_of(args: bytes, paths: bool) -> tuple[int | None, bytes | None, bool]:
    """The path argument, joined to its directory's where the text has that; else the directory's descriptor and it.

    The third value says whether the path is relative to the folder that the process is in.
    """
    quote = args.find(b'"')
    if quote < 0:
        return (*target_of(args), False) if args[:1].isdigit() else (None, UNKNOWN_PATH, False)
    end = args.find(b'"', quote + 1)
    path = args[quote + 1 : end if end > 0 else len(args)]
    if b"\\" in path:
        match = _QUOTED.match(args, quote)
        path = unescape(match.group(1) if match else path)
    if path[:1] == b"/":
        return None, path, False
    at = args[:quote].split(b",", 1)[0]
    if quote == 0 or at.split(b" ", 1)[0] in _FOLDERS:
        if not path:
            return None, b"." if b"AT_EMPTY_PATH" in args[end:] and quote else EMPTY_PATH, False
        return None, path, True
    fd, base = target_of(args)
    if fd is not None or base is None:
        return fd, path, False
    return None, join(base, path), False


def join(base: bytes, path: bytes | None) -> bytes:
    """A path in a directory."""
    if not path:
        return base if path is None or base != b"AT_FDCWD" else path
    return path if base == b"AT_FDCWD" else base + b"/" + path


def result_path(result: bytes) -> bytes | None:
    """The path that -y puts behind a returned descriptor."""
    less = result.find(b"<")
    word = result[:less] if less > 0 else b""
    return split_fd(result.rsplit(b" <", 1)[0])[1] if is_number(word) else None


def fd_result(result: bytes) -> int | None:
    """A returned descriptor, or task."""
    word = result.split(b" ", 1)[0].split(b"<", 1)[0]
    return int(word) if is_number(word) else None


def is_number(word: bytes) -> bool:
    """Whether a word is a number of a size that a kernel gives; a damaged line may hold thousands of digits."""
    return word.isdigit() and len(word) < 13


def size_result(result: bytes) -> int:
    """The bytes that a transfer moved."""
    end = result.find(b" ")
    word = result[:end] if end >= 0 else result
    return int(word) if is_number(word) else 0


def errno_of(result: bytes) -> bytes | None:
    """``ENOENT``; ``?`` when it never returned."""
    if result[:1] not in b"-?":
        return None
    return result[3 : result.find(b" ", 3)] if result[:3] == b"-1 " else b"?" if result[:1] == b"?" else None


def times_of(text: bytes) -> tuple[int | None, int | None]:
    """A duration as printed, with the waiting in it where that is told -> both in ns; ``None`` for what is none."""
    if b"+" not in text:
        return duration_of(text), None
    match = _TIMES.fullmatch(text)
    ns = None if match is None else duration_of(match[1])
    return (None, None) if match is None or ns is None else (ns, waiting_of(match[2]))


def duration_of(text: bytes) -> int | None:
    """A duration as printed -> ns: ``0.000123`` -> 123000; ``None`` when it is none."""
    whole, _, fraction = text.partition(b".")
    if not whole.isdigit() or len(text) > 22 or len(whole) > 8 or (fraction and not fraction.isdigit()):
        return None
    return int(whole) * 10**9 + int(fraction[:9].ljust(9, b"0"))

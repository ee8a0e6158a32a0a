"""What the text of one call says by itself: equal texts say the same, so that each needs to be read only once."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from straced.traces.analysis.fd_table import split_fd

if TYPE_CHECKING:
    from straced.traces.analysis.ordered_pass import OrderedPass
    from straced.traces.analysis.tasks import TracedTask

    Act = Callable[[OrderedPass, TracedTask, str, "DecodedCall", int | None, int, bytes], None]
    """What a call does: (detail, task, name, said, duration, line, clock)."""

_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"')
_MOST_TEXTS = 20_000
_LONGEST_TEXT_BYTES = 300


class DecodedCall(Struct, gc=False):
    """Arguments and result of a call, as far as its effect needs them; durations, clocks and tasks are not in it."""

    act: Act | None = None
    """Its effect; ``None``: it has none."""
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


NOTHING = DecodedCall()


class Texts:
    """What the texts of one call said; the tables of all calls are emptied together when they are full."""

    def __init__(self) -> None:
        self._tables: dict[str, dict[bytes, DecodedCall]] = {}
        self._kept = 0

    def of(self, name: str) -> dict[bytes, DecodedCall]:
        """The table of one call."""
        return self._tables.setdefault(name, {})

    def keep(self, name: str, text: bytes, said: DecodedCall) -> None:
        """Remember what a text said, unless it is long."""
        if len(text) > _LONGEST_TEXT_BYTES:
            return
        if self._kept >= _MOST_TEXTS:
            for table in self._tables.values():
                table.clear()
            self._kept = 0
        self._kept += 1
        self._tables[name][text] = said


def target_of(args: bytes) -> tuple[int | None, bytes | None]:
    """The descriptor that is the first argument: its number, or its name where the text has it (-y)."""
    end = args.find(b",")
    first = args[:end] if end >= 0 else args.rstrip(b" )")
    if b"<" in first:
        path = split_fd(first)[1]
        if path is not None:
            return None, path
    try:
        return int(first), None
    except ValueError:
        return None, first[:200]


def path_of(args: bytes, paths: bool) -> tuple[int | None, bytes | None]:
    """The path argument, joined to its folder's where the text names that; else the folder's descriptor and it."""
    quote = args.find(b'"')
    if quote < 0:
        return target_of(args) if args[:1].isdigit() else (None, b"?")
    end = args.find(b'"', quote + 1)
    path = args[quote + 1 : end if end > 0 else len(args)]
    if b"\\" in path:
        match = _QUOTED.match(args, quote)
        path = match.group(1) if match else path
    if quote > 0 and path[:1] != b"/" and (paths or args[:8] != b"AT_FDCWD") and args[:1] != b'"':
        fd, base = target_of(args)
        if fd is not None or base is None:
            return fd, path
        return None, join(base, path)
    return None, path


def join(base: bytes, path: bytes | None) -> bytes:
    """A path in a folder."""
    if not path:
        return base if path is None or base != b"AT_FDCWD" else path
    return path if base == b"AT_FDCWD" else base + b"/" + path


def result_path(result: bytes) -> bytes | None:
    """The path that -y puts behind a returned descriptor."""
    less = result.find(b"<")
    word = result[:less] if less > 0 else b""
    return split_fd(result.rsplit(b" <", 1)[0])[1] if word.isdigit() else None


def fd_result(result: bytes) -> int | None:
    """A returned descriptor, or task."""
    word = result.split(b" ", 1)[0].split(b"<", 1)[0]
    return int(word) if word.isdigit() else None


def size_result(result: bytes) -> int:
    """The bytes that a transfer moved."""
    end = result.find(b" ")
    word = result[:end] if end >= 0 else result
    return int(word) if word.isdigit() else 0


def errno_of(result: bytes) -> bytes | None:
    """``ENOENT``; ``?`` when it never returned."""
    if result[:1] not in b"-?":
        return None
    return result[3 : result.find(b" ", 3)] if result[:3] == b"-1 " else b"?" if result[:1] == b"?" else None

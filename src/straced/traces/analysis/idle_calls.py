"""Calls that get nowhere though they succeed: loops that a person would stop."""

from __future__ import annotations

import re

MOST = 5_000
_HUNG_UP = re.compile(rb"\b(?:E?POLLHUP|E?POLLERR|E?POLLNVAL)\b")
_WAITS = frozenset({"epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "_newselect", "pselect6"})
_OF_A_STRUCT = frozenset({"ppoll", "select", "_newselect", "pselect6"})
"""Their timeout is one, and not a number."""
_ZERO = re.compile(rb"\{tv_sec=0, tv_[un]sec=0\}")
_FD = re.compile(rb"(?:fd=|u32=)(\d{1,10})")


class IdleCalls:
    """Counts returns of poll and epoll that tell of nothing to do, by process and descriptor."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, str, str, int], list[int]] = {}
        """(pid, call, what, descriptor or -1) -> [calls, ns, line of the first]."""

    def add(self, pid: int, name: str, what: str, fd: int, ns: int | None, line: int) -> None:
        """Count one."""
        row = self.rows.get((pid, name, what, fd))
        if row is None:
            if len(self.rows) >= MOST:
                return
            row = self.rows[pid, name, what, fd] = [0, 0, line]
        row[0] += 1
        row[1] += ns or 0


def kind_of(name: str, args: bytes, result: bytes) -> tuple[str, int] | None:
    """What a return of poll or epoll tells that calls for no work: ``hup`` and a descriptor, or ``zero`` and -1."""
    if name not in _WAITS:
        return None
    told = args if name.startswith("epoll") else result
    if hung := _HUNG_UP.search(told):
        fd = _FD.search(told, hung.end()) if name.startswith("epoll") else None
        before = _FD.findall(told, 0, hung.start())
        return "hup", int(fd[1]) if fd else int(before[-1]) if before else -1
    if result[:1] == b"0" and _looks_only(name, args):
        return "zero", -1
    return None


def _looks_only(name: str, args: bytes) -> bool:
    """Whether the timeout is 0."""
    if name in _OF_A_STRUCT:
        return _ZERO.search(args) is not None
    words = args.rstrip(b" )").split(b", ")
    place = -1 if name in ("epoll_wait", "poll") else -3
    return len(words) >= -place and words[place] == b"0"

"""Calls that ended in an errno, and when: they are rare enough to be looked up one by one."""

from __future__ import annotations

import re

from straced.traces.parsing.line_format import Form

BURST_KEYS = 20_000
_ERROR = re.compile(
    rb"= (?:-1|\?) (E[A-Z0-9]{1,40}) \([^<>\n\x22=]{0,200}\)(?: \([A-Z][^<>\n\x22=]{0,200}\))?(?: <[\d.+]{1,48}>)?\n"
)
_ERROR_MARKS = (b"= -1 E", b"= ? E")
Failed = dict[tuple[bytes, bytes, bytes], int]
"""(pid, call, errno as printed, ERESTART* included) -> calls."""


class ErrorCalls:
    """Finds the failed calls in blocks of whole lines that begin and end with a newline, in any order."""

    def __init__(self, form: Form) -> None:
        self._start = re.compile(rb"\n" + form.prefix() + rb"(<\.\.\. \w+(?= resumed>)|[A-Za-z_]\w*\()")
        self.bursts: dict[tuple[bytes, bytes, bytes], list[int]] = {}
        """(clock cut to a tenth of a second, or empty; call, errno) -> [errors, line number of the first]."""

    def feed(self, block: bytes, first: int) -> Failed:
        """Return the errors of one block, whose first line has the number ``first``."""
        failed: Failed = {}
        bursts = self.bursts
        match_error, match_start, find = _ERROR.match, self._start.match, block.find
        for mark in _ERROR_MARKS:
            position, number, counted = find(mark), first, 0
            while position >= 0:
                end = position + len(mark)
                if match := match_error(block, position):
                    end = match.end() - 1
                    if start := match_start(block, block.rfind(b"\n", 0, position)):
                        pid, clock, head = start.groups()
                        errno = match[1]
                        name = head[5:] if head[0] == 60 else head[:-1]  # <
                        key = pid, name, errno
                        failed[key] = failed.get(key, 0) + 1
                        if errno[:8] != b"ERESTART":
                            if burst := bursts.get(when := (tenth(clock), name, errno)):
                                burst[0] += 1
                            else:
                                number += block.count(b"\n", counted, counted := start.start())
                                self._begin(when, number)
                                bursts = self.bursts
                position = find(mark, end)
        return failed

    def _begin(self, key: tuple[bytes, bytes, bytes], number: int) -> None:
        if len(self.bursts) > BURST_KEYS:  # keep the larger half: a burst is large, or it is none
            limit = sorted(self.bursts.values())[len(self.bursts) // 2][0]
            self.bursts = {key: burst for key, burst in self.bursts.items() if burst[0] > limit}
        self.bursts[key] = [1, number]


def errno_at_end(line: bytes) -> str | None:
    """The errno in which a line ends, with its words, whole."""
    match = _ERROR.search(line[-500:] + b"\n")
    return None if match is None else match[1].decode()


def tenth(clock: bytes) -> bytes:
    """Return a clock cut to a tenth of a second; without a fraction, the clock itself."""
    point = clock.find(b".")
    return clock if point < 0 else clock[: point + 2]

"""Calls that ended in an errno, and when: they are rare enough to be looked up one by one."""

from __future__ import annotations

import re

from straced.traces.parsing.line_format import Form

BURST_KEYS = 20_000
_ERROR = re.compile(rb"= (?:-1|\?) (E[A-Z0-9]+) \([^<>\n]*\)(?: \([A-Z][^<>\n]*\))?(?: <[\d.]+>)?\n")
_ERROR_MARKS = (b"= -1 E", b"= ? E")
Failed = dict[tuple[bytes, bytes, bytes], int]
"""How often: pid, call, errno (ERESTART* included)."""


class Errors:
    """Feed it blocks of whole lines that begin and end with a newline."""

    def __init__(self, form: Form) -> None:
        self._start = re.compile(rb"\n" + form.prefix() + rb"(<\.\.\. \w+|\w+\()")
        self.bursts: dict[tuple[bytes, bytes, bytes], list[int]] = {}
        """Errors by clock (cut to a tenth of a second), call and errno: how many, and the line of the first."""

    def feed(self, block: bytes, first: int) -> Failed:
        """Find the errors of one block, whose first line has the number ``first``."""
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
                        if clock and errno[:8] != b"ERESTART":
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


def tenth(clock: bytes) -> bytes:
    """A clock cut to a tenth of a second, or as it is when it has no fraction."""
    point = clock.find(b".")
    return clock if point < 0 else clock[: point + 2]

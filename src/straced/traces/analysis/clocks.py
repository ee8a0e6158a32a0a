"""The time that a trace spans, by the clocks of all its lines, across midnights."""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable

from straced.traces.parsing.line_format import Form
from straced.traces.parsing.selection import clock_ns

DAY_S = 86400
DAY_NS = DAY_S * 10**9
STEP_BYTES, SMALL_BYTES = 1 << 12, 1 << 16
FAR = 10
"""How many times as far as from each other its neighbours are from a clock that is taken for damage."""
CLOSE_NS = 3600 * 10**9
SAME_EPOCH, SAME_DAY = 8, 3
"""How many characters are equal of clocks less than an hour apart: 17900000.., 10:..."""
LONGEST_TRACE_NS = 10 * 365 * DAY_NS
_FIGURES = re.compile(rb"\d\d:\d\d:\d\d(?:\.\d{1,9})?|\d{1,12}(?:\.\d{1,9})?")


InOrder = Callable[[bytes], tuple[int, int] | None]
"""The first and the last of the clocks of a block that are looked at, in ns, where each is close behind the one before
and none is missing; ``None``: otherwise, or not known."""


class Clocks:
    """The first and the last clock of a trace; a time of day that goes back by half a day is a new day."""

    def __init__(self, form: Form, in_order: InOrder | None = None) -> None:
        self._form = form
        self._ends_in_order = in_order
        self._clocks = re.compile(rb"\n" + form.prefix())
        self._first: int | None = None
        self._last = 0
        self._now = 0
        """The clock of the last line, days included."""
        self._relative = False
        self._midnights: list[int] = []
        """The numbers of the lines with which a day began."""

    def feed(self, block: bytes, number: int) -> None:
        """Look at the clocks of a block whose first line has this number."""
        if self._form.clock is None:
            return
        if self._form.clock != "relative" and len(block) > SMALL_BYTES:
            self._sampled(block, number)
            return
        words = [words[1] for words in self._clocks.findall(block)]
        if not words:
            return
        if self._form.clock == "relative":
            self._relative = True
            self._last += sum(filter(_is_plausible, map(clock_ns, words)))  # type: ignore[arg-type]
        elif self._in_order(words):
            self._see(clock_ns(words[0]), number)
            self._see(clock_ns(words[-1]), number)
        else:
            self._each(block, number)

    def _sampled(self, block: bytes, number: int) -> None:
        """Look at a line in every few kilobytes, and at each between two that are not in order, or far apart."""
        ends = self._ends_in_order(block) if self._ends_in_order is not None else None
        if ends is not None:
            first = ends[0] if self._first is None else self._first
            if all(abs(each - first) <= LONGEST_TRACE_NS for each in ends):
                for each in ends:
                    self._see(each, number)
                return
        before: int | None = None
        start = 0
        shown = waiting = b""
        for place in (*range(0, len(block) - 1, STEP_BYTES), len(block) - 1):
            place = block.rfind(b"\n", 0, place) if place else 0
            if place == start and place:
                continue  # a long line
            match = self._clocks.match(block, place)
            text = match.group(2) if match else b""
            if _is_close_behind(shown, text):  # as most are: what it is in ns matters of the last only
                shown, waiting, start = text, text, place
                continue
            if waiting:
                before, waiting = clock_ns(waiting), b""
                self._see(before, number)
            shown = text if _FIGURES.fullmatch(text) else b""
            ns = clock_ns(text) if text else None
            if place and (ns is None or before is None or not 0 <= ns - before < CLOSE_NS):
                end = block.find(b"\n", place + 1) + 1
                self._each(block[start:end], number + block.count(b"\n", 1, start + 1))
            elif ns is not None:
                self._see(ns, number)
            before, start = ns, place
        if waiting:
            self._see(clock_ns(waiting), number)

    @staticmethod
    def _in_order(words: list[bytes]) -> bool:
        ends = words[0], words[-1]
        return len(ends[0]) == len(ends[1]) and words == sorted(words) and all(map(_FIGURES.fullmatch, ends))

    def _each(self, block: bytes, number: int) -> None:
        """Line by line, without clocks that stand apart from both their neighbours: damage."""
        found: list[tuple[int, int]] = []
        for index, line in enumerate(block[:-1].split(b"\n")[1:]):
            match = self._clocks.match(b"\n" + line)
            ns = clock_ns(match.group(2)) if match else None
            if ns is not None:
                found.append((number + index, ns))
        for place, (line_number, ns) in enumerate(found):
            around = [found[each][1] for each in (place - 1, place + 1) if 0 <= each < len(found)]
            apart = min((abs(ns - other) for other in around), default=0)
            if len(around) == 2 and abs(around[0] - around[1]) * FAR < apart and not self._is_midnight(*around):
                continue
            self._see(ns, line_number)

    def _is_midnight(self, before: int, after: int) -> bool:
        return self._form.clock == "day" and before - after > DAY_NS // 2

    def _see(self, ns: int | None, number: int) -> None:
        if ns is None:
            return
        if self._first is None:
            self._first = self._last = self._now = ns
            return
        if abs(ns - self._first) > LONGEST_TRACE_NS:
            return  # a damaged line
        if self._form.clock == "day":
            days = (self._now - ns + DAY_NS // 2) // DAY_NS
            ns += DAY_NS * days
            while len(self._midnights) < days and len(self._midnights) < 10_000:
                self._midnights.append(number)
            self._now = ns
        else:
            self._first = min(self._first, ns)
        self._last = max(self._last, ns)

    @property
    def first(self) -> float | None:
        """The first clock, in seconds; ``None`` without clocks of their own."""
        return None if self._first is None else self._first / 10**9

    def offset_s(self, clock: bytes, line: int) -> float | None:
        """Seconds from the start of the trace to a clock as printed on a line; ``None``: not known."""
        ns = clock_ns(clock) if clock else None
        if ns is None or self._first is None:
            return None
        if self._form.clock == "day":
            ns += DAY_NS * bisect.bisect_right(self._midnights, line)
        return round(max(0, ns - self._first) / 10**9, 6)

    @property
    def duration_ns(self) -> int | None:
        """How long the trace is; ``None`` without clocks."""
        if self._relative:
            return self._last
        return None if self._first is None else self._last - self._first


def _is_close_behind(before: bytes, after: bytes) -> bool:
    """Whether a clock is as long as that before it and a little later, by its text: all but its seconds is equal."""
    same = SAME_DAY if after[2:3] == b":" else SAME_EPOCH
    return (
        len(before) == len(after)
        and before[:same] == after[:same]
        and before <= after
        and _FIGURES.fullmatch(after) is not None
    )


def _is_plausible(ns: int | None) -> bool:
    return ns is not None and ns < LONGEST_TRACE_NS

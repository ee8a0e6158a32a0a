"""Tasks over time: what class of calls each was in, step by step, and the longest calls with their places."""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable

from straced.syscalls import category
from straced.traces.parsing.line import WAITING, waiting_of
from straced.traces.parsing.line_format import Form
from straced.traces.parsing.selection import clock_ns
from straced.traces.values import LANE_CLASSES, LongCall, TaskLane

STEPS = 240
MOST_LANES = 150
MOST_LONG = 1_500
"""Longest calls, of those that wait and of those that do not: the waits would leave no room for the others."""
DAY_NS = 86400 * 10**9
_WAIT = LANE_CLASSES.index("wait")


class LaneCounter:
    """Takes the lines of a trace, block by block.

    Lines of another form than that of the trace are left out here; the report counts them.

    Args:
        form: of the cleaned lines.
        first_ns: the clock of the first line.
        duration_ns: how long the trace is.
    """

    def __init__(self, form: Form, first_ns: int, duration_ns: int) -> None:
        self.step_ns = max(1, -(-duration_ns // STEPS))
        self.steps = max(1, -(-duration_ns // self.step_ns))
        self.calls = 0
        self._timed = form.durations
        self._digits = form.clock_digits if form.clock == "epoch" else 0
        self._first_ns = first_ns
        end = rb"[^\n]*<(\d+)\.(\d+)" + WAITING + rb">(?=\n)" if form.durations else rb"()()()"
        self._line = re.compile(rb"\n" + form.prefix() + rb"(<\.\.\. )?([a-z]\w*)(?:\(| resumed)" + end)
        self._classes: dict[bytes, int] = {}
        self._lanes: dict[int, dict[int, list[int]]] = {}
        self._made: dict[int, int] = {}
        self._times: dict[int, list[int]] = {}
        """Of each task: time in calls, the waiting in that, and of how many calls this is not told."""
        self._long: tuple[list[tuple[int, int, int, int, bytes, int | None]], ...] = ([], [])
        """Two heaps, of calls that wait and of others: (duration, minus the line, start, task, name, waiting)."""

    def feed(self, block: bytes, number: int) -> None:
        """Count the lines of a block whose first one has this number."""
        seen = 0, number  # a place in the block, and the number of its line
        for match in self._line.finditer(block):
            tid, clock, resumed, name, whole, part, waited = match.groups()
            start = self._clock_ns(clock)
            if start is None or (resumed and not self._timed):
                continue
            duration = int(whole) * 10**9 + int(part.ljust(9, b"0")) if self._timed else 0
            if resumed:
                start -= duration  # its clock is that of its end
            start -= self._first_ns
            if start < -DAY_NS // 2:
                start += DAY_NS  # a time of day, of the next day
            waiting = waiting_of(waited)
            self.add(int(tid or 0), name, max(0, start), duration, waiting)
            if self._timed and self._is_long(name, duration):
                place, line = seen
                line += block.count(b"\n", place, match.start())
                seen = match.start(), line
                self.keep(int(tid or 0), name, max(0, start), duration, line, waiting)

    def _clock_ns(self, clock: bytes) -> int | None:
        digits = self._digits
        if digits and clock[-digits - 1 : -digits] == b".":  # as nearly all are, and much faster
            ns: int = int(clock.replace(b".", b"")) * 10 ** (9 - digits)
            return ns
        return clock_ns(clock)

    def add(self, tid: int, name: bytes, start_ns: int, duration_ns: int, waiting_ns: int | None = None) -> None:
        """Count one call."""
        kind = self._class_of(name)
        lane = self._lanes.get(tid)
        if lane is None:
            lane = self._lanes[tid] = {}
            self._made[tid] = 0
            self._times[tid] = [0, 0, 0]
        self._made[tid] += 1
        times = self._times[tid]
        times[0] += duration_ns
        times[1] += waiting_ns or 0
        times[2] += waiting_ns is None
        self.calls += 1
        step_ns = self.step_ns
        step = min(start_ns // step_ns, self.steps - 1)
        if not self._timed:
            self._cell(lane, step)[kind] += 1
            return
        end = start_ns + duration_ns
        while end > (step + 1) * step_ns and step < self.steps - 1:  # it goes on in the next step
            self._cell(lane, step)[kind] += (step + 1) * step_ns - start_ns
            step += 1
            start_ns = step * step_ns
        self._cell(lane, step)[kind] += max(0, end - start_ns)

    def _cell(self, lane: dict[int, list[int]], step: int) -> list[int]:
        cell = lane.get(step)
        if cell is None:
            cell = lane[step] = [0] * len(LANE_CLASSES)
        return cell

    def _class_of(self, name: bytes) -> int:
        kind = self._classes.get(name)
        if kind is None:
            kind = self._classes[name] = LANE_CLASSES.index(category(name.decode()))
        return kind

    def _is_long(self, name: bytes, duration_ns: int) -> bool:
        heap = self._long[self._class_of(name) == _WAIT]
        return len(heap) < MOST_LONG or duration_ns > heap[0][0]

    def keep(self, tid: int, name: bytes, start_ns: int, duration_ns: int, line: int, waiting_ns: int | None) -> None:
        """Keep a call with its place, if it is among the longest."""
        if not self._is_long(name, duration_ns):
            return
        heap = self._long[self._class_of(name) == _WAIT]
        row = (duration_ns, -line, start_ns, tid, name, waiting_ns)
        if len(heap) < MOST_LONG:
            heapq.heappush(heap, row)
        else:
            heapq.heappushpop(heap, row)

    def lanes(self, pid_of: Callable[[int], int]) -> tuple[tuple[TaskLane, ...], int]:
        """The tasks with the most calls, in the order in which they came; and how many are left out."""
        ranked = sorted(self._made, key=lambda tid: (-self._made[tid], tid))
        kept = sorted(ranked[:MOST_LANES], key=lambda tid: (min(self._lanes[tid]), tid))
        found = tuple(
            TaskLane(
                tid=tid or pid_of(tid), pid=pid_of(tid), calls=self._made[tid],
                wall_ns=self._times[tid][0] if self._timed else None,
                waiting_ns=self._times[tid][1] if self._timed and not self._times[tid][2] else None,
                steps={step: tuple(cell) for step, cell in sorted(self._lanes[tid].items())},
            )
            for tid in kept
        )  # fmt: skip
        return found, len(ranked) - len(kept)

    def long_calls(self, pid_of: Callable[[int], int]) -> tuple[LongCall, ...]:
        """The longest calls, in the order of time."""
        rows = sorted((row for heap in self._long for row in heap), key=lambda row: row[2])
        return tuple(
            LongCall(
                tid=tid or pid_of(tid),
                name=name.decode(),
                start_ns=start,
                duration_ns=duration,
                line=-line,
                waiting_ns=waiting,
            )
            for duration, line, start, tid, name, waiting in rows
        )

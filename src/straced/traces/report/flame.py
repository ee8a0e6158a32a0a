"""The flame graph of a trace: programs below those that started them, their calls, and the paths and errors of these.

Processes of one program that were started from the same place are one box: of a build with a thousand compilers, the
compilers are what one looks for, and not one of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from straced.syscalls import category
from straced.text.sanitize import scrub_bytes
from straced.traces.analysis.file_stats import OTHER_PID, FileRows
from straced.traces.values import FlameNode, ProcessReport

DEEPEST = 40
"""Programs below each other; those further down stand beside the deepest."""
MOST_PATHS = 12
"""Of one call of one program."""
SMALLEST = 1 / 3000
"""A part of the whole below which a box has no boxes of its own, and a path none."""


class _FlameCall:
    """One call of one program."""

    def __init__(self) -> None:
        self.calls = self.errors = self.ns = 0
        self.errno: Counter[str] = Counter()
        self.paths: dict[bytes, list[int]] = {}


class _FlameProgram:
    """One program at one place of the tree."""

    def __init__(self, name: str, depth: int) -> None:
        self.name = name
        self.depth = depth
        self.processes = 0
        self.calls: dict[str, _FlameCall] = {}
        self.below: dict[str, _FlameProgram] = {}

    def call(self, name: str) -> _FlameCall:
        return self.calls.setdefault(name, _FlameCall())


def flame_graph(processes: Sequence[ProcessReport], files: FileRows, *, timed: bool) -> FlameNode | None:
    """Build the graph of all processes; ``None`` where no call was made.

    Args:
        processes: all of them, not only those that a report lists.
        files: what they did with paths.
        timed: whether the trace has durations.
    """
    root = _FlameProgram("all", 0)
    places = _places(processes, root)
    for report in processes:
        program = places[report.pid]
        program.processes += 1
        for row in report.rows:
            call = program.call(row.name)
            call.calls += row.calls or 0
            call.errors += row.errors or 0
            call.ns += row.wall_ns or 0
            call.errno.update(row.errno or {})
    for path, stats in files.rows.items():
        for (pid, name), (count, ns, *_) in stats.by.items():
            if pid != OTHER_PID and (found := places.get(pid)) is not None:
                sums = found.call(name).paths.setdefault(path, [0, 0])
                sums[0] += count
                sums[1] += ns
    whole = _FlameBuilder(timed).program(root)
    return whole if whole.calls else None


def _places(processes: Sequence[ProcessReport], root: _FlameProgram) -> dict[int, _FlameProgram]:
    """Where each process stands: below the nearest ancestor that was traced."""
    by_pid = {report.pid: report for report in processes}
    places: dict[int, _FlameProgram] = {}
    for report in processes:
        chain: list[ProcessReport] = []
        seen: set[int] = set()
        above: ProcessReport | None = report
        while above is not None and above.pid not in places and above.pid not in seen:
            seen.add(above.pid)
            chain.append(above)
            above = by_pid.get(above.parent) if above.parent is not None else None
        place = places.get(above.pid, root) if above is not None else root
        for each in reversed(chain):
            if place.depth < DEEPEST:
                name = each.name or "?"
                place = place.below.setdefault(name, _FlameProgram(name, place.depth + 1))
            places[each.pid] = place
    return places


class _FlameBuilder:
    """Turns sums into boxes.

    Args:
        timed: whether times are known.
    """

    def __init__(self, timed: bool) -> None:
        self._timed = timed

    def program(self, program: _FlameProgram) -> FlameNode:
        """The box of a program, with all that lies in it."""
        own = [self._call(name, call) for name, call in program.calls.items()]
        boxes = [*(self.program(each) for each in program.below.values()), *own]
        return FlameNode(
            name=program.name,
            kind="program",
            calls=sum(box.calls or 0 for box in boxes),
            errors=sum(box.errors or 0 for box in boxes),
            ns=sum(box.ns or 0 for box in boxes) if self._timed else None,
            processes=program.processes,
            below=tuple(boxes),
        )

    def _call(self, name: str, call: _FlameCall) -> FlameNode:
        ranked = sorted(call.paths.items(), key=lambda item: (-item[1][1], -item[1][0], item[0]))
        ns_left, calls_left = call.ns, call.calls
        paths = []
        for path, (count, ns) in ranked[:MOST_PATHS]:
            # a path that two calls share is counted with each of them, and a rename has two: never more than the call
            count, ns = min(count, calls_left), min(ns, ns_left)
            calls_left, ns_left = calls_left - count, ns_left - ns
            shown = scrub_bytes(path, 200)
            paths.append(FlameNode(name=shown, kind="path", calls=count, ns=ns if self._timed else None))
        errno = [FlameNode(name=name, kind="errno", errors=count) for name, count in call.errno.most_common()]
        return FlameNode(
            name=name,
            kind="call",
            calls=call.calls,
            errors=call.errors,
            ns=call.ns if self._timed else None,
            below=(*paths, *errno),
        )


def pruned(root: FlameNode) -> FlameNode:
    """The graph without boxes that nobody could see: too small by time, by calls and by errors alike.

    Time is measured without waits, which else would hide all that works. Boxes keep their sums.
    """
    ns, calls, errors = _working_ns(root), root.calls or 0, root.errors or 0

    def large(box: FlameNode) -> bool:
        return (
            (box.ns or 0) > ns * SMALLEST
            or (box.calls or 0) > calls * SMALLEST
            or (box.errors or 0) > errors * SMALLEST
        )

    def kept(box: FlameNode) -> FlameNode:
        return FlameNode(
            name=box.name, kind=box.kind, calls=box.calls, errors=box.errors, ns=box.ns, processes=box.processes,
            below=tuple(kept(each) for each in box.below if large(each)),
        )  # fmt: skip

    return kept(root)


def _working_ns(box: FlameNode) -> int:
    """Time in calls whose purpose is not to wait."""
    if box.kind == "call":
        return 0 if category(box.name) == "wait" else box.ns or 0
    return sum(_working_ns(each) for each in box.below)

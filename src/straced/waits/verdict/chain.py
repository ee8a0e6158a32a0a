"""Follow a wait from task to task to its root cause, and notice when it comes back to where it was."""

from __future__ import annotations

from collections.abc import Mapping

from straced.linux.procfs import Gone
from straced.waits.classify.classify import wait_of
from straced.waits.facts.activity import Activity
from straced.waits.facts.proc import RawTask
from straced.waits.facts.snapshot import ProcSnapshot
from straced.waits.holders.dispatch import holders_of
from straced.waits.model import ONE_OF, Holder, Node, WaitingTask

_MAX_NODES = 64
_MAX_BREADTH = 8
_MAX_DEPTH = 24
_MAX_THREADS_LOOKED_AT = 256
_LASTING = frozenset({"traced", "zombie"})
"""Relations that hold on though the task may run for a moment."""
Key = tuple[int, int]


class ChainBuilder:
    """Builds the chains of one look."""

    def __init__(self, look: ProcSnapshot, activity: Mapping[Key, Activity] | None = None) -> None:
        self._look = look
        self._activity = activity or {}
        self._left = _MAX_NODES

    def build(self, pid: int, tid: int) -> Node:
        """The chain that begins with a task.

        Raises:
            Gone: the task ended.
        """
        self._left = _MAX_NODES
        return self._node(self._look.task(pid, tid), None, ())

    def describe(self, raw: RawTask) -> WaitingTask:
        """The public value of a task."""
        activity = self._activity.get(raw.key)
        return WaitingTask(
            pid=raw.pid,
            tid=raw.tid,
            comm=raw.stat.comm,
            uid=self._look.proc.uid(raw.pid),
            start_ticks=raw.stat.start_ticks,
            wait=wait_of(self._look, raw),
            cpu_pct=activity.cpu_pct if activity else None,
            switches=activity.switches if activity else None,
        )

    def _node(self, raw: RawTask, via: Holder | None, above: tuple[RawTask, ...]) -> Node:
        self._left -= 1
        task = self.describe(raw)
        relation, evidence = (via.relation, via.evidence) if via else (None, "")
        if any(raw.key == other.key for other in above):
            return Node(task=task, relation=relation, evidence=evidence, cycle=_closes(via, raw))
        holders = holders_of(self._look, raw, task.wait)
        guess = len(holders) > 1 and all(holder.pid == raw.pid and holder.relation == ONE_OF for holder in holders)
        below: list[Node] = []
        skipped = 0
        for holder in holders[:_MAX_BREADTH]:
            if self._left <= 0 or len(above) >= _MAX_DEPTH:
                break
            if self._times_out(holder, (*above, raw)):
                skipped += 1
                continue
            node = self._below(holder, (*above, raw), follow=not guess)
            if node is not None:
                below.append(node)
        return Node(
            task=task,
            relation=relation,
            evidence=evidence,
            holders=tuple(below),
            more=len(holders) - len(below) - skipped,
        )

    def _times_out(self, holder: Holder, above: tuple[RawTask, ...]) -> bool:
        """Whether a chain that would come back to itself has a wait in it that ends at its timeout: no circle then."""
        at = next((index for index, raw in enumerate(above) if _is(holder, raw)), None)
        return at is not None and any(wait_of(self._look, raw).bounded for raw in above[at:])

    def _below(self, holder: Holder, above: tuple[RawTask, ...], follow: bool) -> Node | None:
        try:
            tid = holder.tid if holder.tid is not None else self.representative(holder.pid)
            raw = self._look.task(holder.pid, tid)
            if not follow:
                return Node(task=self.describe(raw), relation=holder.relation, evidence=holder.evidence)
            return self._node(raw, holder, above)
        except (Gone, OSError):
            return None

    def representative(self, pid: int) -> int:
        """The thread that stands for a process: one that runs, else the main one, else the first that lives.

        Raises:
            Gone: the process ended.
        """
        tids = list(self._look.tasks(pid))[:_MAX_THREADS_LOOKED_AT]
        alive = None
        for tid in tids:
            try:
                raw = self._look.task(pid, tid)
            except Gone:
                continue
            activity = self._activity.get((pid, tid))
            if raw.state == "R" or (activity is not None and (activity.cpu_pct or 0) >= 50):
                return tid
            if alive is None and raw.state not in "ZX":
                alive = tid
        return alive if alive is not None else pid


def _is(holder: Holder, raw: RawTask) -> bool:
    return raw.tid == holder.tid if holder.tid is not None else raw.pid == holder.pid


def _closes(via: Holder | None, raw: RawTask) -> bool:
    """Whether coming back to a task is a deadlock: it was named itself, or its process has no other thread to act."""
    return via is not None and via.relation != ONE_OF and (via.tid is not None or raw.stat.num_threads == 1)


def settled(look: ProcSnapshot, node: Node) -> bool:
    """Whether all tasks of a chain that wait for others still are in the wait that was read: nothing ran meanwhile."""
    if node.holders or node.relation:
        try:
            raw = look.task(node.task.pid, node.task.tid)
            if look.proc.stat(raw.pid, raw.tid).start_ticks != raw.stat.start_ticks:
                return False
            counters = look.proc.counters(raw.pid, raw.tid)
        except (Gone, OSError):
            return False
        moved = counters is not None and counters[1] != raw.slices
        if node.holders and moved and node.task.wait.kind not in _LASTING:
            return False
    return all(settled(look, below) for below in node.holders)

"""Follow a wait from task to task to its root cause, and notice when it comes back to where it was."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from straced.linux import procfs
from straced.linux.procfs import Gone
from straced.waits.classify.classify import wait_of
from straced.waits.classify.kinds import HALTED, SUSPECT
from straced.waits.facts.activity import Activity
from straced.waits.facts.proc import RawTask
from straced.waits.facts.snapshot import ProcSnapshot
from straced.waits.holders import serving
from straced.waits.holders.dispatch import alternatives_of
from straced.waits.model import HOLDS, LIKELY, ONE_OF, Holder, Node, Wait, WaitingTask, Way
from straced.waits.verdict.ends import doubt_of, end_of

_MAX_NODES = 64
_MAX_BREADTH = 8
_MAX_FOLLOWED = 3
"""Of more alternatives than this, each is looked at and not followed further."""
_MAX_RANKED = 64
_MAX_DEPTH = 24
_RESTS = 4
"""The severity from which on a task waits for a new connection or a signal."""
_MAX_THREADS_LOOKED_AT = 256
_BUSY_PCT = 50
_LASTING = frozenset({"traced", "zombie"})
"""Relations that hold on though the task may run for a moment."""
_OF_A_PROCESS = frozenset({"child", "vfork", "traced", "zombie", "job_token", "futex", "mutex", "join"})
"""Waits that a process as such ends, or that name their thread themselves."""
_OF_A_SERVICE = frozenset({"socket_read", "socket_write", "connect"})
"""Waits for somebody who was asked."""
_OF_DATA, _LOCAL = frozenset({"pipe_read", "socket_read", "poll"}), frozenset({"pipe", "fifo", "unix"})
"""Waits in which a worker rests for what its parent gives it."""
Key = tuple[int, int]


class _Step(NamedTuple):
    """A task further up in the chain."""

    raw: RawTask
    sure: bool
    """It is the only one that could be meant, named itself or alone in its process, and nothing else ends its wait."""


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
        return self._node(self._look.task(pid, tid), None, (), HOLDS)

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

    def _node(self, raw: RawTask, via: Holder | None, above: tuple[_Step, ...], doubt: str, threads: int = 1) -> Node:
        self._left -= 1
        task = self.describe(raw)
        relation, evidence = (via.relation, via.evidence) if via else (None, "")
        doubt = doubt_of(doubt, relation)
        again = next((index for index, other in enumerate(above) if raw.key == other.raw.key), None)
        if again is not None:
            closes = relation != ONE_OF and _is_sure(via, raw) and all(other.sure for other in above[again:])
            return Node(task=task, relation=relation, evidence=evidence, cycle=closes)
        found = alternatives_of(self._look, raw, task.wait, via)
        step = _Step(raw, sure=_is_sure(via, raw) and not found.ways and not found.partial)
        holders, stands_for = self._candidates(raw, task.wait, found.holders, found.ways, via)
        guess = len(holders) > 1 and all(holder.pid == raw.pid and holder.relation == ONE_OF for holder in holders)
        at_rest = task.wait.kind == "poll" and (len(holders) > _MAX_FOLLOWED or (via is None and bool(found.ways)))
        below: list[Node] = []
        skipped = 0
        crowd = len(holders) > _MAX_BREADTH and holders[0].guessed
        for holder in holders[: _MAX_BREADTH // 2 if crowd else _MAX_BREADTH]:
            if self._left <= 0 or len(above) >= _MAX_DEPTH:
                break
            if self._times_out(holder, (*above, step)):
                skipped += 1
                continue
            follow = not guess and not at_rest and not self._says_little(holder)
            node = self._below(holder, (*above, step), doubt, stands_for.get(holder.pid, 1), follow=follow)
            if node is not None:
                below.append(node)
        family = bool(above) and self._is_family(above[-1].raw, raw)
        end = "" if below or via is None else end_of(task, found.ways, doubt, at_home=family)
        return Node(
            task=task,
            relation=relation,
            evidence=evidence,
            holders=tuple(below),
            more=len(holders) - len(below) - skipped,
            ways=found.ways,
            end=end,
            threads=threads,
            family=family,
        )

    def _candidates(
        self, raw: RawTask, wait: Wait, holders: Sequence[Holder], ways: Sequence[Way], via: Holder | None
    ) -> tuple[list[Holder], dict[int, int]]:
        """The holders with their threads, the likeliest first; and for how many threads each stands."""
        found: list[Holder] = []
        stands_for: dict[int, int] = {}
        all_needed = len(holders) > 1 and holders[0].relation != ONE_OF
        for holder in holders:
            if holder.tid is not None or wait.kind in _OF_A_PROCESS:
                found.append(holder)
                continue
            try:
                threads, stands_for[holder.pid] = serving.threads_of(self._look, holder, self._is_busy)
            except (Gone, OSError):
                continue
            found += threads if not all_needed else [replace(holder, tid=threads[0].tid)]
        if via is not None and any(way.kind == "threads" for way in ways):
            found += serving.others_at_work(self._look, raw, via, self._is_busy)
        if len(found) > 1 and not all_needed and wait.kind not in _OF_A_PROCESS:
            found = [replace(holder, relation=ONE_OF) for holder in found]
        if wait.kind != "poll" and len(found) > 1 and found[0].relation == ONE_OF:
            found[:_MAX_RANKED] = sorted(found[:_MAX_RANKED], key=self._severity)
            found = self._without_resting(found) if wait.kind in _OF_A_SERVICE else found
        return found, stands_for

    def _without_resting(self, holders: list[Holder]) -> list[Holder]:
        """Of several processes that have the other end of a socket, those that wait for other work do not serve it."""
        active = [holder for holder in holders[:_MAX_RANKED] if self._severity(holder) < _RESTS]
        if len(active) != 1 or len(holders) > _MAX_RANKED or len({holder.pid for holder in holders}) == 1:
            return holders
        others = ", ".join(str(holder.pid) for holder in holders if holder is not active[0])
        evidence = f"{active[0].evidence}; {others} rest elsewhere"
        return [replace(active[0], relation=LIKELY, guessed=True, evidence=evidence)]

    def _severity(self, holder: Holder) -> int:
        """Those that are stopped or stuck come first: they are met by every wait for them."""
        try:
            tid = holder.tid if holder.tid is not None else self.representative(holder.pid)
            wait = wait_of(self._look, self._look.task(holder.pid, tid))
        except (Gone, OSError):
            return _RESTS + 1
        if wait.kind in ("accept", "signal") or any("(listening)" in one.name for one in wait.watched):
            return _RESTS
        return 0 if wait.kind in HALTED else 1 if wait.kind == "running" else 2 if wait.kind in SUSPECT else 3

    def _says_little(self, holder: Holder) -> bool:
        """Whether one of several threads waits on a futex: for any other of them, as a rule."""
        if not holder.guessed or holder.relation != ONE_OF or holder.tid is None:
            return False
        try:
            return wait_of(self._look, self._look.task(holder.pid, holder.tid)).kind == "futex"
        except (Gone, OSError):
            return False

    def _times_out(self, holder: Holder, above: tuple[_Step, ...]) -> bool:
        """Whether a chain that would come back to itself has a wait in it that ends at its timeout: no circle then."""
        at = next((index for index, step in enumerate(above) if _is(holder, step.raw)), None)
        return at is not None and any(wait_of(self._look, step.raw).bounded for step in above[at:])

    def _below(self, holder: Holder, above: tuple[_Step, ...], doubt: str, threads: int, follow: bool) -> Node | None:
        try:
            tid = holder.tid if holder.tid is not None else self.representative(holder.pid)
            raw = self._look.task(holder.pid, tid)
            if not follow:
                task = self.describe(raw)
                return Node(task=task, relation=holder.relation, evidence=holder.evidence, end="one of")
            return self._node(raw, holder, above, doubt, threads)
        except (Gone, OSError):
            return None

    def _is_family(self, raw: RawTask, other: RawTask) -> bool:
        """Whether ``raw`` has its data of ``other``, which forked it, and neither became another program since."""
        root = self._look.proc.root
        wait = wait_of(self._look, raw)
        if wait.kind not in _OF_DATA or (wait.resource is not None and wait.resource.kind not in _LOCAL):
            return False
        if raw.pid == other.pid or raw.stat.comm != other.stat.comm or other.pid not in procfs.ancestors(raw.pid, root):
            return False
        return procfs.exe(raw.pid, root) == procfs.exe(other.pid, root)

    def _is_busy(self, raw: RawTask) -> bool:
        activity = self._activity.get(raw.key)
        return activity is not None and (activity.cpu_pct or 0) >= _BUSY_PCT

    def _is_met_in_passing(self, raw: RawTask) -> bool:
        """Whether a thread that runs now was found at rest before, as a rule: it says little about its process."""
        activity = self._activity.get(raw.key)
        return activity is not None and bool(activity.calls) and not activity.runs_mostly

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
            if self._is_busy(raw) or (raw.state == "R" and not self._is_met_in_passing(raw)):
                return tid
            if alive is None and raw.state not in "ZX":
                alive = tid
        return alive if alive is not None else pid


def _is(holder: Holder, raw: RawTask) -> bool:
    return raw.tid == holder.tid if holder.tid is not None else raw.pid == holder.pid


def _is_sure(via: Holder | None, raw: RawTask) -> bool:
    """Whether a link names the very thread: otherwise another one of its process may act, and no circle is closed."""
    return via is None or raw.stat.num_threads == 1 or (via.tid is not None and not via.guessed)


def settled(look: ProcSnapshot, node: Node) -> bool:
    """Whether all tasks of a chain that wait for others still are in the wait that was read: nothing ran meanwhile."""
    return settled_part(look, node) is node


def settled_part(look: ProcSnapshot, node: Node) -> Node | None:
    """A chain as far as its tasks still are in the waits that were read: what ran meanwhile is its end.

    A link holds as long as the task above it has not moved, whatever those further down do: who holds a lock is known,
    also if whom that one waits for changes all the time.

    Returns:
        The chain itself where nothing ran; ``None`` where the task has ended.
    """
    if not (node.holders or node.relation):
        return node
    try:
        raw = look.task(node.task.pid, node.task.tid)
        if look.proc.stat(raw.pid, raw.tid).start_ticks != raw.stat.start_ticks:
            return None
        counters = look.proc.counters(raw.pid, raw.tid)
    except (Gone, OSError):
        return None
    if not node.holders:
        return node
    moved = counters is not None and counters[1] != raw.slices and node.task.wait.kind not in _LASTING
    below = [] if moved else [settled_part(look, each) for each in node.holders]
    known = tuple(each for each in below if each is not None)
    if len(known) < len(node.holders):
        end = "moving" if moved else "unseen"
        return replace(node, holders=(), more=0, ways=(), end=end if node.relation else "")
    return node if all(map(operator.is_, known, node.holders)) else replace(node, holders=known)

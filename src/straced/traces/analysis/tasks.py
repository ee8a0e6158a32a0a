"""The tasks of a trace: the process of each, its table of descriptors, and the call that it is in."""

from __future__ import annotations

from straced.traces.analysis.fd_table import DescriptorTable
from straced.traces.analysis.process_tree import ProcessTree

UNFINISHED, DETACHED = b"<unfinished ...>", b"<detached ...>"
_MOST_IDLE = 4_096
_MOST_TASKS = 40_000
_MOST_BIRTHS = 10_000


class TracedTask:
    """One task."""

    __slots__ = ("entered", "pid", "table", "tid")

    def __init__(self, tid: int, pid: int) -> None:
        self.tid = tid
        self.pid = pid
        """Its process."""
        self.table: DescriptorTable | None = None
        """``None`` until a call of its own needs it: see :meth:`TaskTable.table`."""
        self.entered: tuple[bytes, bytes, int] | None = None
        """A call that did not return yet: name with its bracket, arguments (``<unfinished ...>`` may follow), line."""

    @property
    def busy(self) -> bool:
        """Whether anything is known of it."""
        return self.table is not None or self.entered is not None

    def begun(self) -> bytes:
        """The arguments of the call that did not return yet."""
        entered = self.entered
        return entered[1].removesuffix(UNFINISHED).removesuffix(b" ") if entered is not None else b""


class TaskTable:
    """All tasks, by TID, and by the text of it that stands in front of each line."""

    def __init__(self, tree: ProcessTree) -> None:
        self._tree = tree
        self.by_tid: dict[int, TracedTask] = {}
        self.by_text: dict[bytes, TracedTask] = {}
        """Those of :meth:`of_text`; a task that ended is in it no longer."""
        self.births: dict[int, None] = {}
        """Tasks that are in a fork or clone, in this order."""
        self.with_threads: dict[int, int] = {}
        """Processes to which strace says it attached with all their threads."""
        self.root = 0
        """The number of the task that lines have as 0, once it is known."""
        self._origins = 0

    def of_text(self, text: bytes) -> TracedTask:
        """The task of a line, by its pid as written."""
        task = self.by_text[text] = self.of(int(text or 0))
        return task

    def of(self, tid: int) -> TracedTask:
        """A task, made when it is new."""
        task = self.by_tid.get(tid)
        if task is None:
            if self.with_threads:
                self._adopt(tid)
            task = self.by_tid[tid] = self.made(tid, self._tree.pid_of(tid))
        return task

    def made(self, tid: int, pid: int) -> TracedTask:
        """A new task."""
        return TracedTask(tid, pid)

    def dropped(self, task: TracedTask) -> None:
        """A task is forgotten."""

    def _adopt(self, tid: int) -> None:
        """A task that nobody is seen to make was there when strace attached to all threads of a process."""
        if len(self.with_threads) == 1 and not self.births:
            (pid,) = (0 if each == self.root else each for each in self.with_threads)
            if tid != pid and not self._tree.is_known(tid):
                self._tree.join(tid, pid)

    def table(self, task: TracedTask) -> DescriptorTable:
        """The descriptors of a task's process; a task not seen before is a child of the newest open clone."""
        if task.table is None:
            leader = self._tree.leader.get(task.tid)
            if leader is not None and leader != task.tid:
                task.table = self.table(self.of(leader))
            else:
                parent = self.by_tid.get(next(reversed(self.births))) if self.births else None
                known = parent.table if parent is not None and parent is not task else None
                task.table = known.copy() if known else self._first_table(task)
        return task.table

    def _first_table(self, task: TracedTask) -> DescriptorTable:
        """Of a process that was there before the trace: what it has open is its own, and not that of another."""
        self._origins += 1
        if self._origins == 1:
            return DescriptorTable()
        return DescriptorTable(origin=b" of %d" % task.pid, folder=b"(folder of %d)" % task.pid)

    def born(self, tid: int) -> None:
        """A task is in a fork or clone."""
        self.births.pop(tid, None)
        if len(self.births) >= _MOST_BIRTHS:
            del self.births[next(iter(self.births))]
        self.births[tid] = None

    def moved(self, tid: int) -> None:
        """The tree put a task into another process."""
        if tid in self.by_tid:
            self.by_tid[tid].pid = self._tree.pid_of(tid)

    def belongs(self, tid: int, pid: int) -> None:
        """A task said of itself, or of another, which process it belongs to."""
        tid, pid = (0 if each == self.root else each for each in (tid, pid))
        if tid == pid:
            self._tree.leads(tid)
        elif tid in self.by_tid and not self._tree.is_known(tid) and (pid in self.by_tid or pid in self._tree.procs):
            self._tree.join(tid, pid)
            self.moved(tid)
            self.by_tid[tid].table = self.table(self.of(pid))

    def end(self, tid: int) -> None:
        """A task is gone; its TID may come back."""
        task = self.by_tid.pop(tid, None)
        self.by_text.clear()
        if task is not None:
            self.dropped(task)

    def supersede(self, tid: int, other: int) -> None:
        """A thread, ``other``, executed a program and took the place of its leader, ``tid``."""
        here, there = self.of(tid), self.of(other)
        here.table = self.table(there)
        if there.entered is not None:
            here.entered, there.entered = there.entered, None
        self._tree.leader.pop(other, None)
        self.moved(other)

    def in_calls(self) -> list[tuple[int, bytes, bytes, int]]:
        """The calls that did not return yet: TID, and as :attr:`TracedTask.entered`."""
        return [(task.tid, *task.entered) for task in self.by_tid.values() if task.entered is not None]

    def forget_idle(self) -> None:
        """Drop the tasks of which nothing is known, when there are many; of far too many, the oldest."""
        if len(self.by_tid) > _MOST_IDLE:
            before = self.by_tid
            self.by_tid = {tid: task for tid, task in before.items() if task.busy}
            if len(self.by_tid) > _MOST_TASKS:
                self.by_tid = dict(list(self.by_tid.items())[-_MOST_TASKS // 2 :])
            for tid, task in before.items():
                if tid not in self.by_tid:
                    self.dropped(task)
            self.by_text.clear()
        elif len(self.by_text) > _MOST_TASKS:
            self.by_text.clear()

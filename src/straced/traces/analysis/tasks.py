"""The tasks of a trace: the process of each, its table of descriptors, and the call that it is in."""

from __future__ import annotations

from straced.traces.analysis.fd_table import Table
from straced.traces.analysis.process_tree import Tree

UNFINISHED = b"<unfinished ...>"
_MOST_IDLE = 4_096


class TracedTask:
    """One task."""

    __slots__ = ("entered", "pid", "table", "tid")

    def __init__(self, tid: int, pid: int) -> None:
        self.tid = tid
        self.pid = pid
        """Its process."""
        self.table: Table | None = None
        """``None`` until a call of its own needs it: see :meth:`TaskTable.table`."""
        self.entered: tuple[bytes, bytes, int] | None = None
        """A call that did not return yet: name with its bracket, arguments (``<unfinished ...>`` may follow), line."""

    def begun(self) -> bytes:
        """The arguments of the call that did not return yet."""
        return self.entered[1].removesuffix(UNFINISHED) if self.entered is not None else b""


class TaskTable:
    """All tasks, by TID, and by the text of it that stands in front of each line."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self.root = 0
        """The task of lines without a pid."""
        self.by_tid: dict[int, TracedTask] = {}
        self.by_text: dict[bytes, TracedTask] = {}
        """Those of :meth:`of_text`; a task that ended is in it no longer."""
        self.births: list[int] = []
        """Tasks that are in a fork or clone."""

    def of_text(self, text: bytes) -> TracedTask:
        """The task of a line, by its pid as written."""
        task = self.by_text[text] = self.of(int(text or self.root))
        return task

    def of(self, tid: int) -> TracedTask:
        """A task, made when it is new."""
        task = self.by_tid.get(tid)
        if task is None:
            task = self.by_tid[tid] = TracedTask(tid, self._tree.pid_of(tid))
        return task

    def table(self, task: TracedTask) -> Table:
        """The descriptors of a task's process; a task not seen before is a child of the newest open clone."""
        if task.table is None:
            leader = self._tree.leader.get(task.tid)
            if leader is not None:
                task.table = self.table(self.of(leader))
            else:
                parent = self.by_tid.get(self.births[-1]) if self.births else None
                known = parent.table if parent is not None and parent is not task else None
                task.table = known.copy() if known else Table()
        return task.table

    def moved(self, tid: int) -> None:
        """The tree put a task into another process."""
        if tid in self.by_tid:
            self.by_tid[tid].pid = self._tree.pid_of(tid)

    def end(self, tid: int) -> None:
        """A task is gone; its TID may come back."""
        self.by_tid.pop(tid, None)
        self.by_text.clear()

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
        """Drop the tasks of which nothing is known, when there are many."""
        if len(self.by_tid) > _MOST_IDLE:
            self.by_tid = {tid: task for tid, task in self.by_tid.items() if task.table or task.entered}
            self.by_text.clear()

    def root_found(self, root: int) -> None:
        """The task of lines without a pid became known."""
        self.root = root
        self.by_text.clear()
        nameless = self.by_tid.pop(0, None)
        if nameless is not None:
            task = self.of(root)
            task.table = nameless.table if nameless.table is not None else task.table
            task.entered = nameless.entered if nameless.entered is not None else task.entered

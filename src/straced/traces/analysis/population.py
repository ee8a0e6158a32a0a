"""Which processes and tasks a trace shows, and which of them it only knows as tasks."""

from __future__ import annotations

from straced.traces.analysis.process_tree import TracedProcess
from straced.traces.analysis.reader import TraceReading
from straced.traces.analysis.tally import OTHER_TASKS


class Population:
    """Counts tasks and processes.

    A task whose birth was not seen may be a thread of any other such task: when there are two, nobody can say how many
    processes there are, unless strace, ``straced trace`` or the tasks themselves tell.
    """

    def __init__(self, reading: TraceReading) -> None:
        self._reading = reading
        rows = reading.figures.rows
        self._tids = {tid for tid, _ in rows} - {OTHER_TASKS}
        if not reading.selection:
            self._tids |= self._silent()
        self._pids = {reading.pid_of(tid) for tid in self._tids}
        self._executed = {
            tid for (tid, name), row in rows.items() if name == "execve" and row.calls > sum((row.errno or {}).values())
        }
        self.first_pid = min(self._pids, default=reading.root)
        self.root = self._root()

    def _silent(self) -> set[int]:
        """Tasks that were there at the attach, and may have slept from then on."""
        tasks = {tid for facts in self._reading.comments.processes.values() for tid in facts.tasks}
        return tasks - {self._reading.root} if 0 in self._tids else tasks

    @property
    def threads(self) -> int:
        return len(self._tids)

    @property
    def processes(self) -> int | None:
        """``None``: not known."""
        unknown = {self._reading.pid_of(tid) for tid in self._tids if not self._is_known(tid)}
        return len(self._pids) if len(unknown) < 2 else None

    def _is_known(self, tid: int) -> bool:
        reading = self._reading
        if tid in self._executed or (tid or reading.root) in reading.comments.processes:
            return True
        if reading.state is not None:
            tree = reading.state.tree
            return tree.is_known(tid) or tid in tree.belongs
        assert reading.threads is not None
        return tid in reading.threads.born or tid in reading.threads.leader

    def _root(self) -> TracedProcess | None:
        """The process that the trace began with, where anything is known of it."""
        state = self._reading.state
        if state is None:
            return None
        header = self._reading.comments.header
        if header is not None and header.pid in state.tree.procs:
            return state.tree.procs[header.pid]  # a child may have made the first call, or all of them
        first = state.tree.procs.get(self._reading.pid_of(state.first_tid)) if state.first_tid is not None else None
        if first is not None:
            return first
        return next((proc for proc in state.tree.procs.values() if proc.execs or proc.children), None)

    def was_seen(self, proc: TracedProcess) -> bool:
        """Whether any line of the trace is of this process; a child that was not followed has none."""
        return proc.pid in self._pids or bool(proc.end or proc.execs or proc.children)

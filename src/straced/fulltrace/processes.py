"""The tree of processes and threads that a trace shows: who started whom, what ran, how it ended."""

from __future__ import annotations

from msgspec import Struct, field

MOST_PROCESSES = 5_000
MOST_THREADS = 200_000
"""More are counted, not described."""


class Exec(Struct):
    """One program that a process ran."""

    line: int
    clock: bytes
    path: bytes
    argv: bytes


class Proc(Struct):
    """One process. Clocks are as in the trace."""

    pid: int
    parent: int | None = None
    line: int = 0
    start: bytes = b""
    end: bytes = b""
    execs: list[Exec] = field(default_factory=list)
    exit_status: int | None = None
    killed: str | None = None
    threads: int = 1
    children: int = 0


class Tree:
    """Processes by pid, and to which process each task belongs."""

    def __init__(self) -> None:
        self.procs: dict[int, Proc] = {}
        self.leader: dict[int, int] = {}
        """tid -> pid of its process, for threads."""
        self.belongs: dict[int, int] = {}
        """As ``leader``, kept after the thread has ended."""
        self.processes = 0
        self.threads = 0

    def pid_of(self, tid: int) -> int:
        return self.leader.get(tid, tid)

    def get(self, pid: int, line: int, clock: bytes) -> Proc | None:
        """The process, made when it is new; ``None`` beyond ``MOST_PROCESSES``."""
        proc = self.procs.get(pid)
        if proc is None:
            self.processes += 1
            self.threads += 1
            if len(self.procs) >= MOST_PROCESSES:
                return None
            proc = self.procs[pid] = Proc(pid=pid, line=line, start=clock)
        return proc

    def rename(self, old: int, new: int) -> None:
        """The pid of a process became known."""
        proc = self.procs.pop(old, None)
        if proc is not None:
            proc.pid = new
            self.procs = {new: proc, **self.procs}
        for other in self.procs.values():
            if other.parent == old:
                other.parent = new

    def fork(self, parent_tid: int, child: int, *, thread: bool, line: int, clock: bytes) -> None:
        """A clone returned in the parent."""
        pid = self.pid_of(parent_tid)
        parent = self.get(pid, line, clock)
        if thread:
            self.threads += 1
            self.leader[child] = pid
            if len(self.belongs) < MOST_THREADS:
                self.belongs[child] = pid
            if parent is not None:
                parent.threads += 1
            if self.procs.get(child) is not None and not self.procs[child].execs:
                del self.procs[child]  # its lines came before the clone returned
                self.processes -= 1
                self.threads -= 1
            return
        known = self.procs.get(child)
        if known is not None and known.end:  # the pid was used before
            del self.procs[child]
            known = None
        self.leader.pop(child, None)
        self.belongs.pop(child, None)
        proc = known or self.get(child, line, clock)
        if proc is not None and proc.parent is None:
            proc.parent = pid
        if parent is not None:
            parent.children += 1

    def exec(self, tid: int, path: bytes, argv: bytes, line: int, clock: bytes) -> None:
        """An execve succeeded; all other threads of the process are gone."""
        pid = self.pid_of(tid)
        proc = self.get(pid, line, clock)
        if proc is not None and len(proc.execs) < 50:
            proc.execs.append(Exec(line, clock, path[:300], argv[:300]))

    def end(self, tid: int, clock: bytes, *, status: int | None = None, killed: str | None = None) -> None:
        """A task ended; a process ends with its leader."""
        if self.leader.pop(tid, None) is not None:
            return
        proc = self.procs.get(tid)
        if proc is not None:
            proc.end, proc.exit_status, proc.killed = clock or b"?", status, killed

"""The tree of processes and threads that a trace shows: who started whom, what ran, how it ended."""

from __future__ import annotations

from msgspec import Struct, field

MOST_PROCESSES = 5_000
MOST_THREADS = 200_000
"""More are counted, not described."""
RUN_LINES = 5
MOST_ENDED = 2_000
"""Ended tasks whose clone may still return."""


class Exec(Struct):
    """One program that a process ran."""

    line: int
    clock: bytes
    path: bytes
    argv: bytes


class TracedProcess(Struct):
    """One process. Clocks are as in the trace."""

    pid: int
    parent: int | None = None
    line: int = 0
    start: bytes = b""
    end: bytes = b""
    end_line: int = 0
    execs: list[Exec] = field(default_factory=list)
    exit_status: int | None = None
    killed: str | None = None
    threads: int = 1
    children: int = 0
    name: str = ""
    """Its name at the attach, where ``straced trace`` wrote it down."""
    argv: str = ""


class ProcessTree:
    """Processes by pid, and to which process each task belongs."""

    def __init__(self) -> None:
        self.procs: dict[int, TracedProcess] = {}
        self.leader: dict[int, int] = {}
        """tid -> pid of its process, for threads."""
        self.belongs: dict[int, int] = {}
        """As ``leader``, kept after the thread has ended."""
        self.processes = 0
        self.threads = 0
        self.runs: dict[bytes, tuple[int, tuple[int, ...]]] = {}
        """How often each program was started, and the lines of the first starts."""
        self._born: set[int] = set()
        """Tasks whose birth was seen, or that were seen to lead a process."""
        self._leaving: dict[int, tuple[int | None, bytes, int, bool]] = {}
        """Tasks in exit or exit_group: status, clock, line, whether all threads go."""
        self._ended: dict[int, tuple[int, bytes, int | None, str | None]] = {}
        """Tasks that ended before their clone returned in the parent: line, clock, status, signal."""

    def pid_of(self, tid: int) -> int:
        return self.leader.get(tid, tid)

    def is_known(self, tid: int) -> bool:
        """Whether it is known to which process a task belongs."""
        return tid in self._born or tid in self.leader or bool((proc := self.procs.get(tid)) and proc.execs)

    def leads(self, tid: int) -> None:
        """A task is the first of its process."""
        if len(self._born) < MOST_THREADS:
            self._born.add(tid)

    def join(self, tid: int, pid: int) -> None:
        """A task that was there before the trace turns out to be a thread of a process."""
        pid = self.pid_of(pid)
        if tid == pid or len(self.leader) >= MOST_THREADS:
            return
        self.leader[tid] = self.belongs[tid] = pid
        self.leads(pid)
        own = self.procs.pop(tid, None)
        if own is not None:
            self.processes -= 1
            self.threads -= 1
            for other in self.procs.values():
                if other.parent == tid:
                    other.parent = pid
        proc = self.get(pid, own.line if own else 0, own.start if own else b"")
        self.threads += 1
        if proc is not None:
            proc.threads += 1
            proc.children += own.children if own else 0

    def get(self, pid: int, line: int, clock: bytes) -> TracedProcess | None:
        """The process, made when it is new; ``None`` beyond ``MOST_PROCESSES``."""
        proc = self.procs.get(pid)
        if proc is None:
            self.processes += 1
            self.threads += 1
            if len(self.procs) >= MOST_PROCESSES:
                return None
            proc = self.procs[pid] = TracedProcess(pid=pid, line=line, start=clock)
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

    def fork(self, parent_tid: int, child: int, *, thread: bool, line: int, clock: bytes) -> bool:
        """A clone that was entered on ``line`` returned in the parent; whether the child lives.

        The child may run, execute a program and even end before the clone of its parent returns.
        """
        ended = self._ended.pop(child, None)
        if ended is not None and ended[0] < line:
            ended = None  # a task that had the pid before
        pid = self.pid_of(parent_tid)
        parent = self.get(pid, line, clock)
        self._leaving.pop(child, None)
        if thread:
            self.leads(child)
            self.threads += 1
            if ended is None:
                self.leader[child] = pid
            if len(self.belongs) < MOST_THREADS:
                self.belongs[child] = pid
            if parent is not None:
                parent.threads += 1
            if self.procs.get(child) is not None and not self.procs[child].execs:
                del self.procs[child]  # its lines came before the clone returned
                self.processes -= 1
                self.threads -= 1
            return ended is None
        known = self.procs.get(child)
        if (
            known is not None and known.end and known.line < line and known.parent is not None
        ):  # the pid was used before
            del self.procs[child]
            known = None
        self.leader.pop(child, None)
        self.belongs.pop(child, None)
        self.leads(child)
        proc = known or self.get(child, line, clock)
        if proc is not None and proc.parent is None:
            proc.parent = pid
            if not proc.start and not proc.execs:
                proc.line, proc.start = line, clock
        if proc is not None and ended is not None:
            proc.end_line, proc.end, proc.exit_status, proc.killed = ended
        if parent is not None:
            parent.children += 1
        return ended is None

    def exec(self, tid: int, path: bytes, argv: bytes, line: int, clock: bytes) -> None:
        """An execve succeeded; all other threads of the process are gone."""
        pid = self.pid_of(tid)
        proc = self.get(pid, line, clock)
        path = path[:300]
        if proc is not None and len(proc.execs) < 50:
            proc.execs.append(Exec(line, clock, path, argv[:300]))
        if path in self.runs or len(self.runs) < MOST_PROCESSES:
            count, lines = self.runs.get(path, (0, ()))
            self.runs[path] = count + 1, (*lines, line)[:RUN_LINES]

    def leaves(self, tid: int, status: int | None, *, whole: bool, clock: bytes, line: int) -> None:
        """A task called exit, or exit_group: ``whole``. It does not return, also where its end is not told (-qq)."""
        if len(self._leaving) < MOST_THREADS:
            self._leaving[tid] = status, clock or b"?", line, whole

    def end(self, tid: int, clock: bytes, line: int, *, status: int | None = None, killed: str | None = None) -> None:
        """A task ended; a process ends with its leader."""
        if self.leader.pop(tid, None) is not None:
            if tid in self._leaving and not self._leaving[tid][3]:
                del self._leaving[tid]
            return
        if self.is_known(tid):
            self._leaving.pop(tid, None)
        if len(self._ended) >= MOST_ENDED:
            self._ended.clear()
        self._ended[tid] = line, clock or b"?", status, killed
        proc = self.get(tid, line, b"")
        if proc is not None:
            proc.end, proc.exit_status, proc.killed, proc.end_line = clock or b"?", status, killed, line

    def settle(self) -> None:
        """At the end of a trace: what exits and ends say of tasks whose birth, or whose end, was not seen."""
        for tid, (_, _, _, whole) in self._leaving.items():
            if whole:
                self._join_companions(tid)
        for tid, (status, clock, line, whole) in self._leaving.items():
            pid = self.belongs.get(tid, tid)
            proc = self.procs.get(pid) or self.get(pid, line, b"")
            if proc is not None and not proc.end and (whole or (proc.threads == 1 and tid == pid)):
                proc.end, proc.end_line, proc.exit_status = clock, line, status

    def _join_companions(self, tid: int) -> None:
        """Tasks that ended without an exit of their own, behind an exit_group of this one and with its status."""
        if self.is_known(tid) and self.belongs.get(tid, tid) != tid:
            return
        status, _, line, _ = self._leaving[tid]
        companions = [
            other
            for other, (end_line, _, code, killed) in self._ended.items()
            if other != tid and end_line > line and code == status and killed is None
            and other not in self._leaving and not self.is_known(other)
        ]  # fmt: skip
        others = [
            each for each, leaving in self._leaving.items() if leaving[3] and each != tid and leaving[0] == status
        ]
        if not companions or others:
            return
        # the end of a leader is told last, when all its threads are gone (ptrace(2), delay_group_leader)
        everyone = [tid, *companions]
        leader = max(everyone, key=lambda each: self._ended[each][0] if each in self._ended else 0)
        for each in everyone:
            self.join(each, leader)

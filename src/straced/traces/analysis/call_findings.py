"""Findings out of the counts of calls and errors: what fails always, what is fatal, what gets nowhere, how it ended."""

from __future__ import annotations

from collections.abc import Iterator

from straced.model.sums import known_sum
from straced.syscalls import category
from straced.text.sanitize import scrub_bytes
from straced.text.units import count_of, format_count
from straced.traces.analysis.counters import CallSums
from straced.traces.analysis.last_calls import CALLS
from straced.traces.analysis.process_tree import TracedProcess
from straced.traces.analysis.reader import TraceReading
from straced.traces.analysis.roles import FORK, ROLE_OF
from straced.traces.values import Finding

FAILING, CLOCKS, IDLE, LOOP, AT_ONCE_NS = 50, 100, 200, 1000, 20_000
_CLOCK_CALLS = frozenset({"clock_gettime", "gettimeofday", "time", "getcpu", "clock_gettime64"})
"""Answered by the vDSO without a call, where the clock source allows it (vdso(7))."""
_LOOP_CALLS = frozenset({"sched_yield", "getpid", "gettid", "getppid", "getuid", "times", "getrusage"})
_NO_LOOP = frozenset({"futex", "nanosleep", "clock_nanosleep", "restart_syscall"})
"""A futex wakes as well, and a sleep is as long as it was asked for."""
_FATAL = frozenset({"EMFILE", "ENFILE", "ENOSPC", "EDQUOT", "ENOMEM", "EIO", "EROFS", "ENOBUFS"})
_LOOKED_FOR = frozenset({"ENOENT", "ENOTDIR"})
_LOOK = {"hup": "told of a peer that hung up", "zero": "looked without waiting, and nothing was there"}


class CallFindings:
    """The rows of a reading, and what stands out in them."""

    def __init__(self, reading: TraceReading) -> None:
        self._reading = reading
        self._calls: dict[str, int] = {}
        self._errors: dict[tuple[str, str], int] = {}
        self._of_pid: dict[int, int] = {}
        self._by_pid: dict[tuple[int, str], tuple[int, int | None, int | None]] = {}
        """Calls, their ns, and the waiting in these."""
        self._ns: dict[str, tuple[int | None, int | None]] = {}
        for tid, row in CallSums(reading).all():
            calls, name = row.calls or 0, row.name
            self._calls[name] = self._calls.get(name, 0) + calls
            told = self._ns.get(name, (0, 0))
            self._ns[name] = known_sum((told[0], row.wall_ns)), known_sum((told[1], row.waiting_ns))
            pid = reading.pid_of(tid)
            self._of_pid[pid] = self._of_pid.get(pid, 0) + calls
            before, ns, waiting = self._by_pid.get((pid, name), (0, 0, 0))
            told = known_sum((ns, row.wall_ns)), known_sum((waiting, row.waiting_ns))
            self._by_pid[pid, name] = before + calls, *told
            for errno, count in (row.errno or {}).items():
                self._errors[name, errno] = self._errors.get((name, errno), 0) + count
        self._lines: dict[tuple[str, str], int] = {}
        for (_, name, errno), (_, line) in reading.figures.bursts.items():
            self._lines[name, errno] = min(line, self._lines.get((name, errno), line))

    def all(self) -> Iterator[Finding]:
        """Every finding, in no order."""
        for (name, errno), count in sorted(self._errors.items()):
            if self._is_fatal(name, errno):
                yield self._failure("fatal_errors", name, errno, count)
            elif count >= FAILING and 2 * count >= self._calls[name] and errno not in _LOOKED_FOR:
                yield self._failure("failing_calls", name, errno, count)
        yield from self._loops()
        yield from self._idle()
        yield from self._endings()

    @staticmethod
    def _is_fatal(name: str, errno: str) -> bool:
        if errno == "ETIMEDOUT":
            return category(name) != "wait"
        return errno in _FATAL or (errno == "EAGAIN" and ROLE_OF.get(name) == FORK)

    def _failure(self, code: str, name: str, errno: str, count: int) -> Finding:
        calls = self._calls[name]
        share = f"{format_count(count)} of {format_count(calls)}" if count < calls else f"all {format_count(count)}"
        share = share if calls > 1 else "the only"
        line = self._lines.get((name, errno))
        return Finding(
            code=code,
            text=f"{share} {name} {'calls' if calls > 1 else 'call'} failed with {errno}",
            lines=() if line is None else (line,),
            count=count,
            subject=f"{name} {errno}",
        )

    def _loops(self) -> Iterator[Finding]:
        for name, count in sorted(self._calls.items()):
            if name in _CLOCK_CALLS and count >= CLOCKS:
                text = f"{name} was called {count_of(count, 'time')}: the vDSO does not answer for this clock"
                yield self._loop("no_vdso", text, name, count)
        yield from self._busy()
        rings = sum(count for name, count in self._calls.items() if name.startswith("io_uring_"))
        if rings:
            text = "io_uring is in use: what is read and written through it is not seen"
            yield self._loop("io_uring", text, "io_uring", rings)

    def _busy(self) -> Iterator[Finding]:
        """A call that asks for nothing, or that is made to wait and returns at once, over and over."""
        assert self._reading.state is not None
        idle = {(pid or self._reading.root, name) for pid, name, _, _ in self._reading.state.idle.rows}
        for (pid, name), (count, ns, waiting) in sorted(self._by_pid.items(), key=lambda item: item[0]):
            whole = self._of_pid[pid]
            at_once = category(name) == "wait" and name not in _NO_LOOP and ns is not None and ns < AT_ONCE_NS * count
            loops = name in _LOOP_CALLS or (at_once and 3 * count >= 2 * whole and (pid, name) not in idle)
            if loops and count >= LOOP and 2 * count >= whole:
                share = f"{name} is {100 * count / whole:.0f} % of all calls of process {pid} ({format_count(count)})"
                yield Finding(
                    code="busy_loop",
                    text=share + (", and returned at once" if at_once else ""),
                    lines=(),
                    count=count,
                    cost_ns=ns,
                    waiting_ns=waiting,
                    subject=name,
                )

    def _loop(self, code: str, text: str, name: str, count: int) -> Finding:
        ns, waiting = self._ns.get(name, (None, None))
        return Finding(code=code, text=text, lines=(), count=count, cost_ns=ns, waiting_ns=waiting, subject=name)

    def _idle(self) -> Iterator[Finding]:
        assert self._reading.state is not None
        for (tgid, name, what, fd), (count, ns, line) in self._reading.state.idle.rows.items():
            pid = tgid or self._reading.root
            if count < IDLE or 2 * count < self._of_pid.get(pid, 0):
                continue
            about = f" on fd {fd}" if fd >= 0 else ""
            yield Finding(
                code="idle_polls",
                text=f"{count_of(count, 'time')} {name}{about} {_LOOK[what]} (process {pid})",
                lines=(line,),
                count=count,
                cost_ns=ns if self._reading.form.durations else None,
                subject=f"{name} {what}",
            )

    def _endings(self) -> Iterator[Finding]:
        assert self._reading.state is not None
        for proc in self._reading.state.tree.procs.values():
            if proc.killed:
                yield self._killed(proc)

    def _killed(self, proc: TracedProcess) -> Finding:
        last = [each for tid, each in self._reading.ends.tasks.items() if self._reading.pid_of(tid) == proc.pid]
        calls = sorted(call for each in last for call in each.calls)[-CALLS:]
        text = f"process {proc.pid} was killed by {proc.killed}"
        if calls:
            text += f"; its last calls: {'; '.join(scrub_bytes(call, 100) for _, call in calls)}"
        if said := max((each.stderr for each in last if each.stderr is not None), default=None):
            text += f"; it wrote to stderr last (line {said[0]}): {scrub_bytes(said[1].strip(), 200)}"
        return Finding(
            code="killed",
            text=text,
            lines=(proc.end_line, *(line for line, _ in calls)),
            count=1,
            subject=proc.killed or "",
        )

"""The two sets of programs, and how each is attached and detached."""

from __future__ import annotations

import ctypes
import errno
import os
import threading
import time
from collections.abc import Callable

from straced.tracers.ebpf import libbpf, libbpf_log, perf_events

PROGRAMS = ("on_switch", "on_end", "on_fork", "on_exec", "on_signal", "on_exit", "on_enter")
"""In the order they are attached, and detached in reverse: the others need what ``on_switch`` notes down."""
TRACEPOINTS = {
    "on_end_tp": "sched/sched_process_exit",
    "on_fork_tp": "sched/sched_process_fork",
    "on_exec_tp": "sched/sched_process_exec",
    "on_signal_tp": "signal/signal_deliver",
    "on_exit_tp": "raw_syscalls/sys_exit",
    "on_enter_tp": "raw_syscalls/sys_enter",
}
UNPREEMPTED = ("on_switch", *TRACEPOINTS)
"""The same for kernels that preempt programs on raw tracepoints (Linux 7.0): perf's way to a tracepoint is not."""

_LEAVING_S = 1.0


class Links:
    """What holds the programs of one engine to the kernel."""

    def __init__(self, library: ctypes.CDLL, program: Callable[[str], int], programs: tuple[str, ...]) -> None:
        """Attach nothing yet.

        Args:
            library: libbpf.
            program: its handle of a program, by name.
            programs: the set, ``on_switch`` first.
        """
        self.programs = programs
        self._library = library
        self._program = program
        self._links: list[int] = []
        self._detached: Callable[[], None] = _nothing
        """Waits until all that :meth:`detach` began has been done."""

    @property
    def attached(self) -> bool:
        """Whether the kernel runs the programs for us."""
        return bool(self._links)

    def attach(self) -> None:
        """Attach them all, or none.

        Raises:
            OSError: the kernel refuses.
        """
        try:
            for name in self.programs:
                self._links.append(self._attach(name))
        except OSError:
            self.detach()
            raise

    def _attach(self, name: str) -> int:
        if name not in TRACEPOINTS:
            return libbpf.check_pointer(self._library.bpf_program__attach(self._program(name)), f"attach {name}")
        numbers = perf_events.numbers(tuple(TRACEPOINTS.values()))
        fd = perf_events.open_tracepoint(numbers[TRACEPOINTS[name]])
        try:
            return self._attach_event(name, fd)  # the link closes the event
        except OSError:
            os.close(fd)
            raise

    def _attach_event(self, name: str, fd: int) -> int:
        """A program is once on a tracepoint: it may be leaving it still, for some milliseconds."""
        deadline = time.monotonic() + _LEAVING_S
        with libbpf_log.expecting_refusal():
            while not (link := self._library.bpf_program__attach_perf_event(self._program(name), fd)):
                if ctypes.get_errno() != errno.EEXIST:
                    break
                if time.monotonic() > deadline:
                    self.wait()  # it has left then
                    link = self._library.bpf_program__attach_perf_event(self._program(name), fd)
                    break
                time.sleep(0.001)
        return libbpf.check_pointer(link, f"attach {name}")

    def detach(self) -> None:
        """Let go of all; of perf's events in threads, for it waits for all CPUs at the end of each (0.5 s in all).

        Nobody is marked any more, so none of the others misses ``on_switch``; two of it at a time would be wrong.
        """
        links, self._links = self._links, []
        if self.programs is PROGRAMS:
            while links:
                self._library.bpf_link__destroy(links.pop())
        elif links:
            self._library.bpf_link__destroy(links.pop(0))
            self._detached = _aside(self._detach_events, links, self._detached)

    def wait(self) -> None:
        """Wait until :meth:`detach` has come to its end."""
        self._detached()

    def _detach_events(self, links: list[int], earlier: Callable[[], None]) -> None:
        """Let the events wait together."""
        for wait in [_aside(self._library.bpf_link__destroy, link) for link in links]:
            wait()
        earlier()


def _aside(function: Callable[..., object], *arguments: object) -> Callable[[], None]:
    """Do it in a thread, or here and now where there may be no more threads; returns what waits for it."""
    thread = threading.Thread(target=function, args=arguments, name="straced-detach", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        function(*arguments)
        return _nothing
    return thread.join


def _nothing() -> None:
    """All is done already."""

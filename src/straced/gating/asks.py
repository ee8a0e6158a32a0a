"""Who has asked for a program behind a gate, and is not in place yet: the gate opens when nobody is missing.

Counts and a full trace that are asked for at once, in any order, both begin at the first instruction. A tracer by
ptrace opens the gate as it arrives, and there is room for one: a full trace comes last, and a count that only strace
could do is had from its lines. This goes for all Profilers and managers of a process, in whatever loop or thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from straced.gating.opening import release
from straced.linux import procfs
from straced.model.types import Reason, Target

if TYPE_CHECKING:
    from straced.tracers.strace.recording import Recording

COUNTS = "counts"
TRACE = "trace"
LATE = Reason("late", "the program was running already: its gate had opened before the attach")
PATIENCE_S = 10.0
"""An attach takes less; after this long, those that are in place begin."""
_POLL_S = 0.001
_REMEMBERED = 1024


class Ask:
    """One call that is to put a tracer on a process, from its beginning to its end."""

    def __init__(self, pid: int, kind: str) -> None:
        self.pid = pid
        self.kind = kind
        self.over = False
        self.gated = False
        """The gate is to be opened when all are in place, or have been refused."""
        self.ready = False
        """A gate was found, and waits."""
        self.made: Recording | None = None
        self._yields = False

    @property
    def trace_is_coming(self) -> bool:
        """Whether somebody has asked for a full trace that is not in place yet."""
        return any(other.kind == TRACE for other in self._others())

    async def counts_in_place(self) -> None:
        """Wait for all counts that were asked for, but those that wait for a trace."""
        await self._until(lambda: all(other.kind == TRACE or other._yields for other in self._others()))

    async def trace_in_place(self) -> list[Recording]:
        """Let full traces that were asked for go first, and see what they came to."""
        self._yields = True
        traces = [other for other in self._others() if other.kind == TRACE]
        await self._until(lambda: not self.trace_is_coming)
        return [trace.made for trace in traces if trace.made is not None]

    def _others(self) -> list[Ask]:
        with _lock:
            return [ask for ask in _pending.get(self.pid, ()) if ask is not self]

    async def _until(self, condition: Callable[[], bool]) -> None:
        import asyncio

        deadline = time.monotonic() + PATIENCE_S
        while not condition() and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_S)


_pending: dict[int, list[Ask]] = {}
_known: dict[int, int] = {}
"""Processes that were gates, by pid, with their start times: the last of them."""
_lock = threading.Lock()
_current: ContextVar[Ask | None] = ContextVar("straced_ask", default=None)


@contextmanager
def asking(pid: int, kind: str) -> Iterator[Ask]:
    """While a call is under way that puts a tracer on ``pid``; one inside another is the same."""
    outer = _current.get()
    if outer is not None and (outer.pid, outer.kind, outer.over) == (pid, kind, False):
        yield outer
        return
    ask = Ask(pid, kind)
    if not isinstance(pid, int):
        yield ask  # it is about to be refused
        return
    with _lock:
        _pending.setdefault(pid, []).append(ask)
    token = _current.set(ask)
    try:
        yield ask
    finally:
        _current.reset(token)
        ask.over = True
        with _lock:
            others = _pending[pid]
            others.remove(ask)
            for other in others:
                other.gated |= ask.gated
            if not others:
                del _pending[pid]
        if ask.gated and not others:
            release(pid)


def refused(pid: int) -> None:
    """Open the gate once nobody else is to come: a refusal holds no program up."""
    with _lock:
        others = _pending.get(pid, [])
        for ask in others:
            ask.gated = True
    if not others:
        release(pid)


def remember(pid: int) -> None:
    """Note that a process was started as a gate."""
    try:
        start_ticks = procfs.stat(pid).start_ticks
    except (procfs.Gone, OSError):
        return
    with _lock:
        _known.pop(pid, None)
        _known[pid] = start_ticks
        while len(_known) > _REMEMBERED:
            del _known[next(iter(_known))]


def was_gate(target: Target) -> bool:
    """Whether a process is known to have been a gate: it had a beginning that could be seen."""
    return _known.get(target.pid) == target.start_ticks

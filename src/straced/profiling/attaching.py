"""How a process gets a tracer that counts: which one, beside or out of a full trace, and since when."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from straced import gating
from straced.errors import StracedError
from straced.model.types import Reason, Target
from straced.profiling import tracer_choice
from straced.profiling.found_target import find, named_after
from straced.profiling.tracer_set import TracerSet
from straced.tracers.base import AttachOptions, Tracer, TracerSession

if TYPE_CHECKING:
    from straced.tracers.strace.recording import StraceRecording


class AttachedTarget(Struct, frozen=True, kw_only=True):
    """Who counts a target now."""

    target: Target
    tracer: Tracer
    tracer_reason: str
    inner: TracerSession | None
    recording: StraceRecording | None = None
    """In place of ``inner``: the full trace that has the target, and whose lines are counted."""
    reasons: Sequence[Reason] = ()
    """Why the whole is not exact."""


async def attach(
    tracers: TracerSet,
    wanted: str,
    pid: int,
    options: AttachOptions,
    ask: gating.Ask,
    lent: Callable[[], Collection[StraceRecording | None]],
    *,
    required: bool,
) -> AttachedTarget:
    """Attach by the tracer that is wanted, or by the first that can serve.

    Args:
        tracers: where they come from.
        wanted: a name, or ``auto``.
        pid: the process.
        options: what to attach to besides.
        ask: this attach, as the gate of a program sees it.
        lent: the full traces that have the target of some session already.
        required: no estimates, and a gate stays shut on a refusal.

    Raises:
        InvalidArgument: no process can have this number.
        AttachError: this target cannot be had; it runs on untouched.
        TracerUnavailable: no tracer can serve.
    """
    target, program = await find(pid, ask)

    async def by(tracer: Tracer) -> tuple[Tracer, TracerSession | None, StraceRecording | None, bool]:
        inner, recording = None, None
        if tracer.uses_ptrace:
            tracer, inner, recording = await _beside_a_trace(tracers, target, options, tracer, ask, lent)
        closed = ask.ready and gating.is_ready(pid)
        if inner is None and recording is None:
            inner = await tracer.attach(target, options)
        # strace opens a gate as it arrives; for the others it must be closed still
        from_the_first = recording is not None or (closed and (tracer.uses_ptrace or gating.is_ready(pid)))
        return tracer, inner, recording, from_the_first

    try:
        reason, found = await tracer_choice.attach(
            wanted, target, tracers.get, by, started_by_us=program is not None, estimates=not required
        )
    except BaseException:
        ask.gated &= not required
        raise
    tracer, inner, recording, from_the_first = found
    return AttachedTarget(
        target=named_after(target, program) if program is not None else target,
        tracer=tracer,
        tracer_reason=reason,
        inner=inner,
        recording=recording,
        reasons=() if from_the_first or not gating.was_gate(target) else (gating.LATE,),
    )


async def _beside_a_trace(
    tracers: TracerSet,
    target: Target,
    options: AttachOptions,
    strace: Tracer,
    ask: gating.Ask,
    lent: Callable[[], Collection[StraceRecording | None]],
) -> tuple[Tracer, TracerSession | None, StraceRecording | None]:
    """Who counts when a full trace from the first instruction has ptrace: another tracer, or the trace's lines."""
    from straced.tracers.strace.tracer import StraceTracer

    assert isinstance(strace, StraceTracer)
    traces = [each for each in strace.recordings if each.from_the_first and each.target.pid == target.pid]
    if ask.trace_is_coming:
        if (beside := tracers.beside_ptrace(target)) is not None:
            with contextlib.suppress(StracedError):
                return beside, await beside.attach(target, options), None
        traces = [each for each in await ask.trace_in_place() if strace.made(each)]
    taken = lent()
    return strace, None, next((each for each in traces if each not in taken), None)

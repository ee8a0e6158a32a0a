"""How a process gets a full trace: by a strace that counts it already and hands it over, or by one of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

from straced import gating
from straced.errors import InvalidArgument, TracerUnavailable
from straced.profiling import handover
from straced.profiling.found_target import find
from straced.profiling.session import Session
from straced.profiling.tracer_choice import TraceOrder
from straced.profiling.tracer_set import TracerSet

if TYPE_CHECKING:
    from straced.tracers.recording import Recording
    from straced.tracers.strace.recording import RecordOptions, StraceRecording


async def by_order(
    order: TraceOrder, by_ebpf: Callable[[], Awaitable[Recording]], by_strace: Callable[[], Awaitable[Recording]]
) -> Recording:
    """Start a full trace by the first that can.

    Args:
        order: who may.
        by_ebpf: starts it by eBPF.
        by_strace: starts it by strace.

    Raises:
        InvalidArgument, OutputError, AttachError, TracerUnavailable: as whoever was tried last.
    """
    reason = order.reason
    if order.ebpf:
        try:
            recording = await by_ebpf()
            recording.tracer_reason = reason
            return recording
        except (TracerUnavailable, InvalidArgument) as error:
            if not order.strace:
                raise
            reason = f"eBPF: {error.reason}"
    recording = await by_strace()
    recording.tracer_reason = reason
    return recording


async def record(
    tracers: TracerSet,
    sessions: dict[int, list[Session]],
    pid: int,
    output: int | None,
    options: RecordOptions,
    ask: gating.Ask,
) -> StraceRecording:
    """Start a full trace.

    Args:
        tracers: where strace comes from, and who may count beside it.
        sessions: those that count, by pid.
        pid: the process.
        output: a descriptor to write to, or ``None`` for pipes.
        options: what the trace holds.
        ask: this trace, as the gate of a program sees it.

    Raises:
        InvalidArgument: no process can have this number.
        AttachError: this target cannot be had; it runs on untouched.
        TracerUnavailable: there is no usable strace.
    """
    from straced.tracers.strace.tracer import StraceTracer

    target, program = await find(pid, ask)
    if program is not None:
        await ask.counts_in_place()
    closed = ask.ready and gating.is_ready(pid)
    tracer = tracers.get("strace")
    assert isinstance(tracer, StraceTracer)

    async def start() -> StraceRecording:
        recording = await tracer.record(target, output, options)
        recording.from_the_first = closed
        if not closed and gating.was_gate(target):
            recording.reasons.append(gating.LATE)
        ask.made = recording
        return recording

    for session in sessions.get(target.pid, []):
        if session.uses_ptrace and session.alive:
            return await handover.hand_over(session, start, tracers.beside_ptrace(target))
    return await start()


async def recall(recording: StraceRecording, sessions: Iterable[Session]) -> None:
    """End a full trace that nobody is going to read, and wait until whoever gave the target has it back."""
    givers = [session for session in sessions if session.recording is recording]
    await recording.abandon()
    for session in givers:
        await handover.settled(session)

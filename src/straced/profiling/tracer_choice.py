"""Which tracer serves: the first of eBPF, strace, sampler that can, and what ruled out the others.

``auto`` never puts ptrace on a process that straced did not start: a slowdown of a thousand must be asked for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

from straced.errors import (
    AttachError,
    InvalidArgument,
    NoSuchProcess,
    StracedError,
    StraceRequired,
    TargetIsZombie,
    TracerUnavailable,
)
from straced.model.types import Target
from straced.tracers.base import AttachOptions, LoadedTracer, Tracer

T = TypeVar("T")

_ORDER = ("ebpf", "strace", "sampler")
WORDS = {"ebpf": "eBPF", "strace": "strace", "sampler": "sampler"}


def make(name: str, **ebpf: Any) -> Tracer:
    """A tracer by name; its module is imported now. The options are those of the eBPF tracer, for it alone.

    Raises:
        TracerUnavailable: this build has none of that name.
    """
    try:
        if name == "ebpf":
            from straced.tracers.ebpf.tracer import EbpfTracer

            return EbpfTracer(**ebpf)
        if name == "strace":
            from straced.tracers.strace.tracer import StraceTracer

            return StraceTracer()
        assert name == "sampler", name
        from straced.tracers.sampler.tracer import SamplerTracer

        return SamplerTracer()
    except ModuleNotFoundError as error:
        if error.name is None or not f"straced.tracers.{name}.tracer".startswith(error.name):
            raise
        raise TracerUnavailable(f"the {name} tracer is not in this build", hint='use tracer="strace"') from error


async def load(wanted: str, tracer: Callable[[str], Tracer], options: AttachOptions) -> None:
    """Have what an attach will need loaded before a gate waits for it; what is refused, the attach will say."""
    with contextlib.suppress(StracedError):
        first = tracer(_ORDER[0] if wanted == "auto" else wanted)
        if isinstance(first, LoadedTracer) and first.probe().usable:
            await first.load(options)


async def attach(
    wanted: str,
    target: Target,
    tracer: Callable[[str], Tracer],
    by: Callable[[Tracer], Awaitable[T]],
    *,
    started_by_us: bool,
    estimates: bool = True,
) -> tuple[str, T]:
    """Attach by the tracer that was asked for; by ``auto``, by the first that really does it.

    A probe tells what is known beforehand. What a kernel refuses only when it is asked, it refuses here, and the next
    tracer has its turn, with the reason kept.

    Args:
        by: attaches by a tracer.
        estimates: let the sampler serve what straced started when nothing can count it.

    Returns:
        Why this tracer, and what ``by`` returned.

    Raises:
        TracerUnavailable: none can serve, or the one asked for cannot.
        StraceRequired: only strace could, on a process that straced did not start.
        AttachError: the target has ended, or the tracer asked for cannot have it.
    """
    if wanted != "auto":
        return "asked for", await by(tracer(wanted))
    ruled_out: list[str] = []
    refusals: list[StracedError | None] = []
    for name in _ORDER if started_by_us and estimates else _ORDER[:2]:
        try:
            candidate = tracer(name)
            available = candidate.probe(target)
            if isinstance(available.error, NoSuchProcess | TargetIsZombie):
                raise available.error  # so it is for every tracer, also for one that may do nothing here
            if not available.usable:
                ruled_out.append(_said(name, available.detail))
                refusals.append(available.error)
                continue
            if name == "strace" and not started_by_us:
                raise _strace_required(target, ruled_out)
            return "; ".join(ruled_out), await by(candidate)
        except (StraceRequired, NoSuchProcess, TargetIsZombie):
            raise
        except (TracerUnavailable, AttachError) as error:
            ruled_out.append(_said(name, error.reason))
            refusals.append(error)
    if len({type(error) for error in refusals}) == 1 and isinstance(refusals[-1], AttachError):
        raise refusals[-1]  # all say the same of the target: it is a zombie, or a kernel thread
    raise TracerUnavailable("; ".join(ruled_out) or "no tracer can serve here", hint="straced doctor tells more")


class TraceOrder(NamedTuple):
    """Who may write a full trace; eBPF first, where both may."""

    ebpf: bool
    strace: bool
    reason: str


def for_trace(tracer: str, wanted: str, of_strace: str, *, binary: bool) -> TraceOrder:
    """Who may write a full trace.

    Args:
        tracer: that was asked for.
        wanted: by whom the profiler counts.
        of_strace: the argument that only strace can heed, if one was given.
        binary: records are to be kept as they are.

    Raises:
        InvalidArgument: nobody can do all of it.
    """
    by_strace = tracer == "strace" or (tracer == "auto" and wanted == "strace" and not binary)
    if binary and by_strace:
        raise InvalidArgument("strace writes no records", hint='a name that does not end in .strc, or tracer="ebpf"')
    if of_strace == "paths" and (tracer == "ebpf" or binary):
        raise InvalidArgument("paths are looked at by strace only", hint='use tracer="strace"')
    if by_strace:
        return TraceOrder(False, True, "asked for")
    if tracer == "ebpf" or binary:
        return TraceOrder(True, False, "asked for")
    return TraceOrder(False, True, f"asked for by {of_strace}") if of_strace else TraceOrder(True, True, "")


def _said(name: str, reason: str) -> str:
    """Which tracer it was, once: many reasons begin with its name."""
    return f"{WORDS[name]}: {reason.removeprefix(f'{WORDS[name]} ')}"


def _strace_required(target: Target, ruled_out: list[str]) -> StraceRequired:
    return StraceRequired(
        f"only strace can count here ({'; '.join(ruled_out) or 'no eBPF'}), and it slows its target down a lot",
        hint=f'if that is all right: Profiler(tracer="strace").attach({target.pid})',
        pid=target.pid,
    )

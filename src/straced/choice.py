"""Which tracer serves: the first usable of eBPF, strace, sampler, and what ruled out the others.

``auto`` never puts ptrace on a process that straced did not start: a slowdown of a thousand must be asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from straced.errors import StraceRequired, TracerUnavailable
from straced.model import Target
from straced.tracers.base import Tracer

TRACERS = ("auto", "ebpf", "strace", "sampler")
_HOMES = {
    "ebpf": ("straced.tracers.ebpf.tracer", "EbpfTracer"),
    "strace": ("straced.tracers.strace", "StraceTracer"),
    "sampler": ("straced.tracers.sampler", "SamplerTracer"),
}


class Choice(Struct, frozen=True):
    """The tracer that serves, and a sentence about why this one."""

    tracer: Tracer
    reason: str


def make(name: str, **ebpf: Any) -> Tracer:
    """A tracer by name; its module is imported now. The options are those of the eBPF tracer, for it alone.

    Raises:
        TracerUnavailable: this build has none of that name.
    """
    module, attribute = _HOMES[name]
    try:
        made = getattr(importlib.import_module(module), attribute)
        tracer: Tracer = made(**ebpf) if name == "ebpf" else made()
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        raise TracerUnavailable(f"the {name} tracer is not in this build", hint="use --tracer strace") from error
    return tracer


def pick(wanted: str, target: Target, tracer: Callable[[str], Tracer], *, started_by_us: bool) -> Choice:
    """Choose a tracer for a target.

    Raises:
        TracerUnavailable: none can serve, or the one asked for is not in this build.
        StraceRequired: only strace could, on a process that straced did not start.
    """
    if wanted != "auto":
        return Choice(tracer(wanted), "asked for")
    ruled_out = []
    for name in ("ebpf", "strace"):
        try:
            candidate = tracer(name)
        except TracerUnavailable as error:
            ruled_out.append(f"{name}: {error.reason}")
            continue
        available = candidate.probe(target)
        if not available.usable:
            ruled_out.append(f"{name}: {available.detail}")
            continue
        if name == "strace" and not started_by_us:
            raise StraceRequired(
                f"only strace can count here ({'; '.join(ruled_out) or 'no eBPF'}), and it slows its target down a lot",
                hint=f"if that is all right: straced attach {target.pid} --tracer strace",
                pid=target.pid,
            )
        return Choice(candidate, "; ".join(ruled_out))
    raise TracerUnavailable("; ".join(ruled_out) or "no tracer can serve here", hint="straced doctor tells more")

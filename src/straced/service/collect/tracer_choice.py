"""What the service counts with: eBPF, which can be left on, or nothing."""

from __future__ import annotations

import logging

from straced.config import schema
from straced.errors import StracedError, TracerUnavailable
from straced.profiling import tracer_choice
from straced.tracers.base import Tracer

log = logging.getLogger("straced.service")


def require_attaching(wanted: str) -> None:
    """Refuse to attach to anything, for whoever asks, where the configuration will not have it.

    Args:
        wanted: ``auto``, ``ebpf`` or ``none``, as configured.

    Raises:
        TracerUnavailable: it is ``none``.
    """
    if wanted == "none":
        raise TracerUnavailable(
            "this service attaches to no process",
            hint='tracer = "none" stands in its straced.toml: ask whoever runs it',
        )


def pick_tracer(
    wanted: str, room: schema.Room | None = None, *, shared: bool = False, details: bool = False
) -> tuple[Tracer | None, str]:
    """The tracer, or ``None`` and the reason why calls are not counted.

    Args:
        wanted: ``auto``, ``ebpf`` or ``none``, as configured.
        room: how much it has, and how much of that one user may have.
        shared: whether it serves several users.
        details: whether it is to tell slow calls.

    Raises:
        TracerUnavailable: eBPF was required, and cannot be had.
    """
    if wanted == "none":
        return None, "turned off in the configuration"
    error: StracedError | None
    try:
        room = room or schema.Room()
        share = room.share if shared else 1.0
        tracer = tracer_choice.make("ebpf", rows=room.rows, user_share=share, ready=True, details=details)
        available = tracer.trial()
        error = None if available.usable else available.error or TracerUnavailable(available.detail)
    except TracerUnavailable as failure:
        error = failure
    if error is None:
        return tracer, ""
    if wanted == "ebpf":
        raise error
    log.warning("not_counting", extra={"straced": {"reason": error.reason, "hint": error.hint}})
    return None, f"calls are not counted: {error.reason}"

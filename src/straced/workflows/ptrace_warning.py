"""A word before ptrace changes what a target sees: some waiting calls return EINTR once a tracer has stopped them."""

from __future__ import annotations

from straced import gating
from straced.errors import StracedError
from straced.tracers.permissions import preflight
from straced.tracers.strace import interrupted_calls
from straced.views.text import streams


def warn(pid: int, *, force: bool = False) -> None:
    """Say on stderr which calls of a process an attach is about to end; nothing of one that cannot be traced anyway."""
    text = interrupted_calls.warning(pid)
    if not text or gating.program_of(pid) is not None:
        return
    try:
        preflight.check(pid, force=force)
    except StracedError:
        return
    streams.say(f"straced: {text}")

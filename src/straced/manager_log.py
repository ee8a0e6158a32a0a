"""StraceManager's events: the message is the event's name, its fields go under one key of the record.

``extra={"straced": {...}}`` so that no field collides with a LogRecord's own.
"""

from __future__ import annotations

import logging
from typing import Any

from straced import errors

logger = logging.getLogger("straced")

_PERMISSION = (
    errors.NotPermitted,
    errors.NotDumpable,
    errors.MissingCapability,
    errors.YamaScope,
    errors.PtraceBlocked,
    errors.AlreadyTraced,
)
_GONE = (errors.NoSuchProcess, errors.TargetIsZombie)


def debug(event: str, **fields: Any) -> None:
    """Something that a daemon's operator need not see."""
    logger.debug(event, extra={"straced": fields})


def info(event: str, **fields: Any) -> None:
    """Something that was asked for and done."""
    logger.info(event, extra={"straced": fields})


def warning(event: str, **fields: Any) -> None:
    """Something that was asked for and not done."""
    logger.warning(event, extra={"straced": fields})


def refusal(kind: str, pid: int, error: errors.StracedError) -> None:
    """The event of a failed attach, decided on the type of its error; ``kind`` is ``summary`` or ``full``."""
    full = kind == "full"
    fields = {"pid": pid, "error": error.reason, "code": error.code}
    if isinstance(error, _GONE):
        debug("full_trace_target_exited" if full else "strace_target_already_exited", **fields)
    elif isinstance(error, errors.StraceMissing):
        warning("full_trace_strace_not_found" if full else "strace_not_found", **fields)
    elif isinstance(error, _PERMISSION):
        warning("full_trace_permission_denied" if full else "strace_permission_denied", **fields)
    else:
        warning("full_trace_attach_failed" if full else "strace_attach_failed", **fields)

"""StraceManager's events: a name, its fields, and a line that a plain ``logging.basicConfig()`` shows them in.

``strace_attach_failed pid=4242: another process traces it``: the text begins with the name. Programs read
``record.straced``, where ``event`` is the name, exactly, and the other keys are the fields with their types. They stand
under one key so that none collides with a LogRecord's own.
"""

from __future__ import annotations

import logging
from typing import Any

from straced import errors
from straced.logs import logger
from straced.text.sanitize import scrub

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
    _log(logging.DEBUG, event, fields)


def info(event: str, **fields: Any) -> None:
    """Something that was asked for and done."""
    _log(logging.INFO, event, fields)


def warning(event: str, **fields: Any) -> None:
    """Something that was asked for and not done."""
    _log(logging.WARNING, event, fields)


def _log(level: int, event: str, fields: dict[str, Any]) -> None:
    """``record.msg`` is a pattern of the event's own, so that what groups records by it keeps events apart."""
    if not logger.isEnabledFor(level):
        return
    pattern = event + "".join(f" {key}=%({key})s" for key in fields if key not in ("error", "code"))
    pattern += ": %(error)s" if "error" in fields else ""
    shown = {key: scrub(str(value)) for key, value in fields.items()}
    logger.log(level, pattern, shown, extra={"straced": {"event": event, **fields}}, stacklevel=3)


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

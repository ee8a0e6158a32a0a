"""The one place that turns an exception into at most three lines on stderr and an exit status."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable

import click

from straced.commands.registry import BY_NAME
from straced.errors import ExecFailed, OutputError, StracedError
from straced.text.sanitize import scrub
from straced.workflows.hints import as_typed

USAGE = 2
INTERNAL = 70
"""A fault of straced itself (EX_SOFTWARE of sysexits.h)."""
ABORTED = 130
BROKEN_PIPE = 141
"""128 + SIGPIPE: what a program has that writes to a reader who left."""
DEBUG_VARIABLE = "STRACED_DEBUG"
MAX_LINES = 3
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""What a write fails with: files that straced opens have errors of their own, so this is where stdout goes to."""


def guarded(action: Callable[[], int], verb: str = "") -> int:
    """Run ``action`` and return its status, or that of what it raised, having said what it was."""
    try:
        return action()
    except BrokenPipeError:
        return BROKEN_PIPE
    except (KeyboardInterrupt, click.Abort):
        return ABORTED
    except (StracedError, click.ClickException, OSError) as error:
        say(explain(error, verb))
        return status_of(error, verb)
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        say(explain(error, verb))
        return status_of(error, verb)


def explain(error: BaseException, verb: str = "") -> list[str]:
    """What, why, what to type next: at most three lines."""
    name = f"straced {verb}".strip()
    if isinstance(error, StracedError):
        from straced.commands import habits

        hint = habits.hint_of(error, verb) or as_typed(error.hint, verb, error.pid)
        lines = [f"{name}: {error.reason}", *hint.splitlines()]
    elif isinstance(error, click.ClickException):
        lines = _usage_lines(error, name)
    elif isinstance(error, OSError):
        subject = f"{error.filename}: " if error.filename else ""
        if error.errno in NO_ROOM:
            subject = f"{error.filename or 'standard output'} cannot be written: "
        lines = [f"{name}: {subject}{error.strerror or error}"]
    else:
        lines = [
            f"{name}: internal fault: {type(error).__name__}: {error}",
            f"please report it with what {DEBUG_VARIABLE}=1 shows",
        ]
    safe = [scrub(line, 500) for text in lines for line in text.splitlines() if line.strip()]
    return [safe[0], *(f"  {line.strip()}" for line in safe[1:MAX_LINES])]


def _usage_lines(error: click.ClickException, name: str) -> list[str]:
    message = " ".join(error.format_message().split("\n", 1)[0].split()).rstrip(".")
    rest = error.format_message().split("\n", 1)[1:]
    command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx is not None else name
    first = message if message[:2].isupper() else message[:1].lower() + message[1:]  # TARGET stays TARGET
    return [f"{command}: {first}", *rest, f"type: {command} --help"]


def status_of(error: BaseException, verb: str = "") -> int:
    """The exit status of architecture: own troubles of ``run`` are 125, as those of env(1) and timeout(1)."""
    known = BY_NAME.get(verb)
    if known is not None and known.own_status is not None and not isinstance(error, ExecFailed):
        return known.own_status
    if isinstance(error, StracedError):
        return error.exit_code
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return OutputError.exit_code
    return USAGE if isinstance(error, click.ClickException) else INTERNAL


def say(lines: list[str]) -> None:
    """Write to stderr; a closed stderr is nobody's fault."""
    from straced.views.text import streams

    with contextlib.suppress(OSError, ValueError):
        streams.say(*lines)


def flushed(status: int) -> int:
    """Flush stdout and stderr before the interpreter does, which for a reader who left would say 120 or a traceback."""
    status = _stdout_flushed(status)
    try:
        sys.stderr.flush()
    except (OSError, ValueError):
        _drop(2)
    return status


def _stdout_flushed(status: int) -> int:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        status = status or BROKEN_PIPE
    except (OSError, ValueError) as error:
        if status == 0:  # else it was said already
            say(explain(error) if isinstance(error, OSError) else [f"straced: {error}"])
            status = status_of(error)
    else:
        if status != BROKEN_PIPE:
            return status
    _drop(1)
    return status


def _drop(fd: int) -> None:
    """Point it at /dev/null: the interpreter flushes once more when it ends."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, fd)
        os.close(null)
    except OSError:
        pass

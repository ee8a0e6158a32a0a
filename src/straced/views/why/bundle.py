"""A text for a ticket: the report, the threads, the environment; paths, addresses and arguments redacted by default."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator

from straced.text.units import count_of, format_ns
from straced.views.why.redact import redacted
from straced.views.why.report import report
from straced.waits.model import Why


def bundle(why: Why, *, redact: bool = True, version: str = "") -> str:
    """The text; ``redact`` as :func:`straced.views.why.redact.redacted` has it."""
    command = _command_line(why, redact)
    why = redacted(why) if redact else why
    system = os.uname()
    lines = [
        f"straced {version} why, {time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime())}",
        f"kernel {system.release} {system.machine}, Python {platform.python_version()}, uid {os.geteuid()}",
        f"watched for {format_ns(why.window_ns)}; names are {'redacted' if redact else 'not redacted'}",
        f"command line: {command}",
        "",
        report(why),
        "",
        f"threads of {why.pid} ({len(why.threads)})",
        *_threads(why),
        "",
    ]
    return "\n".join(lines)


def _command_line(why: Why, redact: bool) -> str:
    if not why.cmdline:
        return "not read"
    return f"{why.comm} and {len(why.cmdline) - 1} arguments" if redact else " ".join(why.cmdline)


def _threads(why: Why) -> Iterator[str]:
    for task in why.threads:
        wait = task.wait
        call = wait.call or wait.kind
        resource = (
            wait.resource.name if wait.resource else count_of(len(wait.watched), "descriptor") if wait.watched else "-"
        )
        ran = "-" if wait.since_ns is None else f"≥ {format_ns(wait.since_ns)} ago"
        place = f"{wait.state} {call:<18} {wait.kernel or '-':<24} {resource}"
        yield f"  {task.tid:>8} {task.comm:<16} {place}  last ran {ran}"

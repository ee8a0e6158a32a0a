"""A command with a budget of system calls: judged after its end, and told to people and to CI services."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from straced.linux.kept_file import open_kept
from straced.linux.output_file import OutputFile
from straced.linux.output_refusals import refused
from straced.model.budgets import BudgetVerdict, CallCounts, judge
from straced.model.types import Summary

BROKEN, NOT_VERIFIED = 1, 125
"""Statuses of ``run`` when the command's own is 0."""
UNTRACED = BudgetVerdict(counts=CallCounts(), doubt="the command was not traced")


class BudgetFiles(Struct, frozen=True, kw_only=True):
    """Where to write what became of a budget."""

    junit: Path | None = None
    markdown: Path | None = None
    """Appended to, as the file of a job's summary wants it."""
    overwrite: bool = False


def status_with(status: int, verdict: BudgetVerdict) -> int:
    """The command's own status if that is not 0, else that of its budget."""
    if status:
        return status
    return BROKEN if verdict.breaches else NOT_VERIFIED if verdict.doubt else 0


@contextlib.contextmanager
def told(
    title: str, limits: Mapping[str, int], files: BudgetFiles, say: Callable[[BudgetVerdict], None]
) -> Iterator[Callable[[Summary | None], BudgetVerdict]]:
    """Open the files before the command is started, so that one which cannot be made is known by then.

    Args:
        title: of the command, as it was typed.
        limits: by key.
        files: where to write.
        say: told the verdict of a run with limits.

    Yields:
        What to call once with the summary, ``None`` for a command that was not traced; returns the verdict.

    Raises:
        OutputError: a file cannot be made.
    """
    with contextlib.ExitStack() as owned:
        junit_file = None
        if files.junit is not None:
            junit_file = owned.enter_context(OutputFile(files.junit, overwrite=files.overwrite, mode=0o644))
        markdown_file = None
        if files.markdown is not None:
            markdown_file = owned.enter_context(open(_appended(files.markdown), "a", encoding="utf-8"))

        def tell(summary: Summary | None) -> BudgetVerdict:
            verdict = UNTRACED if summary is None else judge(limits, summary)
            if limits:
                say(verdict)
            if junit_file is not None:
                from straced.views.junit import junit

                duration_ns = summary.window.duration_ns if summary is not None else None
                junit_file.text.write(junit(title, limits, verdict, (duration_ns or 0) / 1e9))
            if markdown_file is not None:
                from straced.views.markdown import markdown

                markdown_file.write(markdown(title, summary, limits, verdict))
            return verdict

        yield tell


def _appended(path: Path) -> int:
    try:
        return open_kept(path, os.O_WRONLY | os.O_APPEND)
    except (OSError, ValueError) as error:
        raise refused(path, error) from error

"""Where the figures of run and attach go: a stream or a file, as the first screen or as JSON."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from msgspec import Struct

from straced.commands.options import use_color
from straced.model import Summary
from straced.tracers.trace_output import TraceOutput
from straced.views import json_out, terminal
from straced.views.text import first_screen


class Report(Struct, frozen=True, kw_only=True):
    """How summaries are shown."""

    as_json: bool = False
    sort: str = "time"
    limit: int | None = 20
    color: str = "auto"

    def write(self, summary: Summary, stream: IO[str], *, title: str | None = None, indent: int = 2) -> None:
        """One summary onto a stream; ``indent=0`` puts a JSON object on one line, for several of them."""
        if self.as_json:
            stream.write(json_out.one(summary, indent=indent))
            stream.flush()
            return
        lines = first_screen(summary, title=title, sort=self.sort, limit=self.limit, width=terminal.width_of(stream))
        terminal.show(lines, stream, color=use_color(stream, self.color))


@contextlib.contextmanager
def destination(path: Path | None, overwrite: bool, otherwise: IO[str]) -> Iterator[IO[str]]:
    """The stream to report to: a new file, mode 0600, that is gone again when an exception ends the work.

    Raises:
        OutputError: the file cannot be made. Nothing has been started by then.
    """
    if path is None:
        yield otherwise
        return
    output = TraceOutput(path, overwrite)
    try:
        with open(output.fd, "w", encoding="utf-8", errors="backslashreplace", closefd=False) as stream:
            yield stream
    except BaseException:
        output.discard()
        raise
    output.commit()
    output.close()


def note(text: str) -> None:
    """Words about the data, on stderr, only where somebody looks."""
    if sys.stderr.isatty():
        print(f"straced: {text}", file=sys.stderr, flush=True)


def warn(text: str) -> None:
    """Words about the data that must not be missed, on stderr."""
    print(f"straced: {text}", file=sys.stderr, flush=True)

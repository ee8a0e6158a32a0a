"""Where the figures of run and attach go: a stream or a file, as the first screen or as JSON."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct

from straced.commands.options import use_color
from straced.linux.output_file import OutputFile
from straced.model.split import SplitPart
from straced.model.types import Summary
from straced.views import json_output
from straced.views.text import streams, terminal
from straced.views.text.split import split_lines
from straced.views.text.summary import first_screen

SPLIT_SCHEMA = "straced.split/1"


class SummaryOutput(Struct, frozen=True, kw_only=True):
    """How summaries are shown."""

    as_json: bool = False
    sort: str = "time"
    limit: int | None = 20
    color: str = "auto"

    def write(
        self,
        summary: Summary,
        stream: IO[str],
        *,
        title: str | None = None,
        indent: int = 2,
        standing: Sequence[str] = (),
        apart: bool = False,
    ) -> None:
        """One summary onto a stream.

        Args:
            summary: what to show.
            stream: where to.
            title: what it is about.
            indent: of JSON; 0 puts an object on one line, for several of them.
            standing: as for :func:`first_screen`.
            apart: a blank line first, since there is something else before it.
        """
        if self.as_json:
            stream.write(json_output.one(summary, indent=indent))
            stream.flush()
            return
        width = terminal.width_of(stream)
        lines = first_screen(summary, title=title, sort=self.sort, limit=self.limit, width=width, standing=standing)
        terminal.show([*([()] if apart else []), *lines], stream, color=use_color(stream, self.color))

    def write_split(self, parts: Sequence[SplitPart], by: str, stream: IO[str]) -> None:
        """What each process or thread did, below the summary."""
        if self.as_json:
            for part in parts:
                built = {"schema": SPLIT_SCHEMA, **msgspec.to_builtins(part)}
                stream.write(msgspec.json.encode(built).decode() + "\n")
            stream.flush()
            return
        lines = split_lines(parts, by, limit=self.limit, width=terminal.width_of(stream))
        terminal.show([(), *lines], stream, color=use_color(stream, self.color))


@contextlib.contextmanager
def destination(path: Path | None, overwrite: bool, otherwise: IO[str]) -> Iterator[IO[str]]:
    """The stream to report to: a new file, mode 0600, of which nothing is left when an exception ends the work.

    Raises:
        OutputError: the file cannot be made. Nothing has been started by then.
    """
    if path is None:
        yield otherwise
        return
    with OutputFile(path, overwrite=overwrite) as output:
        yield output.text


@contextlib.contextmanager
def growing(path: Path | None, overwrite: bool, otherwise: IO[str]) -> Iterator[tuple[IO[str], Callable[[], None]]]:
    """The same for reports that follow each other and are read as they come: the file keeps what there is.

    Yields:
        The stream, and what to call after each report: the first gives the file its name.
    """
    if path is None:
        yield otherwise, lambda: None
        return
    with OutputFile(path, overwrite=overwrite) as output:
        yield output.text, output.commit


def note(text: str) -> None:
    """Words about the data, on stderr, only where somebody looks."""
    if sys.stderr.isatty():
        streams.say(f"straced: {text}")


def warn(text: str) -> None:
    """Words about the data that must not be missed, on stderr."""
    streams.say(f"straced: {text}")

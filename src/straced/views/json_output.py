"""Summaries for programs: one JSON object, or one a line (NDJSON). Schema ``straced.summary/1``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from straced.model.types import Summary


def one(summary: Summary, *, indent: int = 2) -> str:
    """One object, indented for reading unless ``indent`` is 0, ended by a newline."""
    data = msgspec.json.encode(summary.to_dict())
    return (msgspec.json.format(data, indent=indent) if indent else data).decode() + "\n"


def line(summary: Summary) -> str:
    """One object on one line: with several of them this is NDJSON."""
    return one(summary, indent=0)


def lines(summaries: Iterable[Summary]) -> Iterator[str]:
    """NDJSON, a summary a line."""
    return map(line, summaries)

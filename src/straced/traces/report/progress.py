"""How far the reader of a trace is, on a terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import IO

from straced.text.units import format_bytes
from straced.traces.analysis.reader import Progress
from straced.traces.parsing.source import TraceSource

FIRST_BYTES = 64 << 20
"""Nothing is shown for a trace that is smaller."""
STEP_BYTES = 16 << 20


@contextlib.contextmanager
def terminal_progress(stream: IO[str] | None) -> Iterator[Progress | None]:
    """Yield what the reader calls after each block: it writes one line, which is erased at the end.

    Args:
        stream: the terminal; ``None`` yields ``None``.
    """
    if stream is None:
        yield None
        return
    state = {"next": FIRST_BYTES, "used": 0}
    yield _counter(stream, state)
    if state["used"]:
        stream.write("\r\x1b[K")
        stream.flush()


def _counter(stream: IO[str], state: dict[str, int]) -> Progress:
    def show(source: TraceSource) -> None:
        if source.consumed >= state["next"]:
            state["next"], state["used"] = source.consumed + STEP_BYTES, 1
            share = f" of {format_bytes(source.size)}" if source.size else ""
            stream.write(f"\r\x1b[K{format_bytes(source.consumed)}{share} read")
            stream.flush()

    return show

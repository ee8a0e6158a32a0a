"""The progress line of the reader: written in steps, and erased at the end."""

from __future__ import annotations

import io

from straced.traces.parsing.source import TraceSource
from straced.traces.report.progress import FIRST_BYTES, STEP_BYTES, terminal_progress


def shown(*consumed: int) -> str:
    source = TraceSource("t")
    terminal = io.StringIO()
    with terminal_progress(terminal) as show:
        assert show is not None
        for source.consumed in consumed:
            show(source)
    return terminal.getvalue()


def test_a_small_trace_shows_nothing() -> None:
    assert shown(1, FIRST_BYTES - 1) == ""


def test_a_large_one_shows_each_step_and_is_erased() -> None:
    text = shown(FIRST_BYTES, FIRST_BYTES + 1, FIRST_BYTES + STEP_BYTES)
    assert text.count(" read") == 2
    assert text.endswith("\r\x1b[K")


def test_without_a_terminal_there_is_no_progress() -> None:
    with terminal_progress(None) as show:
        assert show is None

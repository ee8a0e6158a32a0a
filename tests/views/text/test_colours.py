"""Where a table is coloured, and where a long line goes on.

Of `views/text/spans.py` and `views/text/table.py`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from straced.views.text.report import render
from straced.views.text.spans import Span, wrapped
from straced.views.text.summary import plain
from tests.traces.written import lines, report_of


def styles(tmp_path: Path) -> dict[str, dict[str, str]]:
    """The pieces of the table by the first word of their line, with their style."""
    made = report_of(
        tmp_path,
        lines(
            *["read(3, 0x1, 9) = 0 <0.000100>"] * 3,
            "openat(3, 0x1, 9) = -1 ENOENT (No such file or directory) <0.000010>",
            "getpid() = 5 <0.000000>",
        ),
    )
    table = [line for line in render(made, width=100) if line and line[0].text.strip()]
    return {line[0].text.split()[0]: {span.text.strip(): span.style for span in line} for line in table}


def test_errors_are_red_nothing_is_dim_and_the_most_is_bold(tmp_path: Path) -> None:
    found = styles(tmp_path)
    assert found["openat"]["1"] in ("", "error")
    assert found["ENOENT"] == {"ENOENT 1": "error"}
    assert found["read"]["300 us"] == "strong"
    assert found["openat"]["10 us"] == ""
    assert found["getpid"]["0 ns"] == "weak"
    assert found["read"]["0"] == "weak"


def test_the_longest_call_is_shown_in_80_columns(tmp_path: Path) -> None:
    made = report_of(tmp_path, lines("read(3, 0x1, 9) = 0 <0.000100>", "clock_nanosleep(0) = 0 <0.4>"))
    shown = plain(render(made, width=80)).splitlines()
    assert " max" in next(line for line in shown if line.startswith(" syscall"))
    table = [line for line in shown if line.startswith((" syscall", " read", " clock_nanosleep", " total"))]
    assert len(table) == 4
    assert max(map(len, table)) <= 80


@pytest.mark.parametrize("width", [60, 80])
def test_a_long_line_goes_on_below_what_it_says(width: int) -> None:
    words = "what it says, and more of it, " * 6
    lines = wrapped((Span(" no      ", "bad"), Span(f"traces       {words}")), width)
    texts = ["".join(span.text for span in line) for line in lines]
    assert len(texts) > 1
    assert all(len(text) <= width for text in texts)
    assert all(text.startswith(" " * 22) and text[22] != " " for text in texts[1:])
    assert texts[0].startswith(" no      traces       what it says")
    assert " ".join(" ".join(texts).split()) == " ".join(f"no traces {words}".split())
    assert lines[0][0] == Span(" no      ", "bad")


def test_what_fits_or_goes_into_a_pipe_stays_as_it_is() -> None:
    line = (Span("a "), Span("b" * 100, "weak"))
    assert wrapped(line, None) == [line]
    assert wrapped(line, 102) == [line]
    assert wrapped((), 10) == [()]

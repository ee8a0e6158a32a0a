"""What fits in a cell fits, whatever it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from straced.scrub import scrub
from straced.views.tui import cells, columns, plots
from tests.top.frames import buckets, row


@given(st.text(max_size=60), st.integers(1, 40), st.booleans())
def test_fit_is_exact(text: str, width: int, right: bool) -> None:
    assert cell_len(cells.fit(scrub(text), width, right=right)) == width


@given(st.floats(0, 9.9e11))
def test_numbers_stay_in_their_cells(value: float) -> None:
    assert len(cells.rate(value)) <= 7
    assert len(cells.short_rate(min(value, 9e8))) <= 7
    assert len(cells.share(min(value, 9999))) <= 4
    assert len(cells.size(int(value))) <= 4


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0, "0"),
        (0.001, "<0.1"),
        (0.4, "0.4"),
        (9.94, "9.9"),
        (9.96, "10"),
        (12034, "12,034"),
        (1.25e6, "1.2M"),
    ],
)
def test_rate(value: float | None, text: str) -> None:
    assert cells.rate(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0, "0"), (999, "999"), (1000, "1.0k"), (12_345_678, "12M"), (25_276_502_016, "25G")],
)
def test_size(value: int | None, text: str) -> None:
    assert cells.size(value) == text


def test_a_sparkline_has_its_peak_and_shows_what_is_above_zero() -> None:
    assert cells.sparkline((0.0, 1.0, 100.0), 5) == "  ▁▁█"
    assert cells.sparkline((), 3) == "   "
    assert cells.sparkline((0.0, 0.0), 2) == "▁▁"
    assert cells.sparkline(tuple(range(20)), 3)[-1] == "█"


@given(st.integers(20, 300), st.sampled_from(["working", "waiting", "wall"]))
def test_columns_leave_room_for_the_command(width: int, mode: str) -> None:
    kept = columns.fitting(width, mode)
    assert kept[0].title == "PID"
    line = columns.row_line(kept, row(4242), "", width)
    assert cell_len(line) == width
    if width >= 60:
        assert {"PID", "calls/s", "CPU%"} <= {column.title for column in kept}
        assert "/usr/bin" in line


def test_the_time_that_was_asked_for_is_kept() -> None:
    for mode, title in (("working", "work%"), ("waiting", "wait%"), ("wall", "wall%")):
        assert title in {column.title for column in columns.fitting(60, mode)}


def test_octaves_of_a_histogram() -> None:
    found = plots.octaves(buckets(us2=200, us5=100, us40=4))
    assert found[0] == (1024, 200)
    assert sum(count for _, count in found) == 304
    assert found[-1] == (32768, 4)
    assert plots.octaves(()) == []


def test_the_scale_ends_where_the_bars_do() -> None:
    bars, scale = plots.histogram_lines(buckets(us2=200, us5=100, us40=4), 60)
    assert bars.rstrip() == "███   ▄▄▄         ▁▁▁" or bars.rstrip().endswith("▁▁▁")
    assert scale.split() == ["1.0", "us", "66", "us"]
    assert len(scale.rstrip()) <= max(len(bars.rstrip()), 12)

"""What fits in a cell fits, whatever it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from straced.text.sanitize import scrub
from straced.views.tui import cells, columns, command_words, palette, plots
from straced.views.tui.segments import Pieces
from tests.views.tui.frames import buckets, row


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
    assert cells.sparkline((0.0, 1.0, 100.0), 5) == "  ▁▂▇"
    assert cells.sparkline((), 3) == "   "
    assert cells.sparkline((0.0, 0.0), 2) == "▁▁"
    assert cells.sparkline(tuple(range(20)), 3)[-1] == "▇"


def joined(pieces: Pieces) -> str:
    return "".join(piece.text for piece in pieces)


@given(st.integers(20, 300), st.sampled_from(["working", "waiting", "wall"]))
def test_columns_leave_room_for_the_command(width: int, mode: str) -> None:
    kept = columns.fitting(width, mode)
    assert kept[0].title == "PID"
    line, title = joined(columns.row_line(kept, row(4242), "")), joined(columns.title_line(kept))
    begins = sum(column.width + 1 for column in kept)
    assert line[begins:] == "prog4242 --serve"
    assert title[begins:] == "command"
    for column in kept:
        assert sum(cell_len(piece.text) for piece in column.draw(row(4242), column.width)) == column.width
    if width >= 60:
        assert {"PID", "calls/s", "CPU%"} <= {column.title for column in kept}
        assert begins + columns.COMMAND_WIDTH <= width


@pytest.mark.parametrize(
    ("comm", "cmdline", "name", "rest"),
    [
        ("nginx", "nginx: worker process", "nginx:", " worker process"),
        ("python3", "/usr/bin/python3 server.py", "python3", " server.py"),
        ("a-very-long-nam", "/opt/a-very-long-name-of-it -x", "a-very-long-name-of-it", " -x"),
        ("other", "/opt/prog /srv/x", "/opt/prog", " /srv/x"),
        ("kworker", "", "[kworker]", ""),
        ("x", "/", "/", ""),
    ],
)
def test_a_command_is_read_by_its_name(comm: str, cmdline: str, name: str, rest: str) -> None:
    assert command_words.spoken(row(1, comm=comm, cmdline=cmdline)) == (name, rest)


@given(st.floats(0, 900), st.floats(0, 900), st.floats(0, 900), st.integers(1, 9), st.integers(1, 40))
def test_a_time_bar_fills_its_cells(cpu: float, work: float, wait: float, threads: int, width: int) -> None:
    drawn = {column.title: column.draw for column in columns.COLUMNS}["thread time"]
    busy = row(1, cpu_pct=cpu, working_pct=work, waiting_pct=wait, threads=threads)
    assert len(joined(drawn(busy, width))) == width
    assert joined(drawn(row(1, waiting_pct=None), width)).strip() == "-"


def test_a_time_bar_tells_program_calls_and_waiting_apart() -> None:
    drawn = {column.title: column.draw for column in columns.COLUMNS}["thread time"]
    assert joined(drawn(row(1, cpu_pct=50, working_pct=20, waiting_pct=50), 10)) == "▇▇▇▅▅▂▂▂▂▂"
    assert joined(drawn(row(1, cpu_pct=100, working_pct=100, waiting_pct=100, threads=4), 8)) == "▅▅▂▂    "


def test_the_time_that_was_asked_for_is_kept() -> None:
    for mode, title in (("working", "work%"), ("waiting", "wait%"), ("wall", "wall%")):
        assert title in {column.title for column in columns.fitting(60, mode)}


def test_octaves_of_a_histogram() -> None:
    assert plots.octaves(buckets(us2=200, us5=100, us40=4)) == {10: 200, 12: 100, 15: 4}
    assert plots.octaves(()) == {}


def test_a_chart_has_an_octave_a_bar_and_its_lower_bound_below() -> None:
    *bars, scale = (joined(line).rstrip() for line in plots.chart(buckets(us2=200, us5=100, us40=4), 60, 2))
    assert bars == ["█████", "█████       █████             ▁▁▁▁▁"]
    assert scale == "1.0us 2.0us 4.1us 8.2us 16us  33us  66us"
    assert scale.index("4.1us") == bars[1].rindex("█████")
    assert plots.chart((), 60, 2) == []


@given(st.lists(st.integers(0, 10**9), max_size=136), st.integers(10, 200), st.integers(1, 5))
def test_a_chart_stays_in_its_room(counts: list[int], width: int, height: int) -> None:
    lines = plots.chart(counts, width, height)
    assert len(lines) in (0, height + 1)
    seen = len(plots.octaves(counts))
    for line in lines[:-1]:
        assert len(joined(line)) <= max(width, 34)
    if lines:
        drawn = [set(column) - {" "} for column in zip(*(joined(line) for line in lines[:-1]), strict=True)]
        assert sum(map(bool, drawn)) >= seen


@pytest.mark.parametrize(("share", "full"), [(0.0, 0), (0.5, 10), (1.0, 20), (1.2, 20)])
def test_a_meter(share: float, full: int) -> None:
    text = joined(plots.meter("CPU", share, "50 % of 2", 34, palette.GOOD))
    assert text == f"CPU {'━' * full}{'─' * (20 - full)} 50 % of 2"
    assert joined(plots.meter("CPU", None, "-", 34, palette.GOOD)).split() == ["CPU", "-"]

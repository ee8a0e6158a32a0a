"""What a second look found: lists without their beginning, words that are cut, and a past without what it has not.

Of `views/tui/grid.py`, `views/tui/header.py`, `views/tui/processes.py`, `views/tui/layout.py` and
`views/tui/command_words.py`.
"""

from __future__ import annotations

import itertools
import re

import msgspec
import pytest

from straced.model.frame import DescriptorRow, Frame, Machine
from straced.views.tui import columns, panels, plots, status_lines
from straced.views.tui.rows import SORTS, TITLES, ProcessRows
from tests.views.tui import frames
from tests.views.tui.frames import ScriptedFeed, buckets, detail_of, frame, row
from tests.views.tui.screen import all_of, lines_of, running, text_of

NOW = frames.machine_of_three()
MANY = frame(*(row(1000 + n, calls_s=float(n)) for n in range(60)))
PAST = frame(
    *(msgspec.structs.replace(each, state="?", now=None) for each in NOW.processes),
    source="history", machine=Machine(cpus=8), kept_since=NOW.epoch_s - 7200, duration_ns=60 * 10**9,
)  # fmt: skip


async def test_a_selected_process_that_moves_up_has_the_lines_before_it_in_sight() -> None:
    feed = ScriptedFeed(MANY)
    async with running(feed, (80, 24)) as (app, pilot):
        await pilot.press("G")
        assert app.list.top > 0
        first = row(1, calls_s=1e6, comm="init", cmdline="init")
        chosen = row(1000, 1, calls_s=1e6)  # the last one until now
        feed.give(frame(first, chosen, *MANY.processes[1:]))
        await pilot.pause()
        assert app.chosen is not None
        assert app.chosen.pid == 1000
        assert lines_of(app)[5].startswith("1 S")


async def test_a_bar_shows_which_part_of_a_list_is_seen() -> None:
    feed = ScriptedFeed(MANY)
    async with running(feed, (80, 24)) as (app, pilot):
        bars = [line.endswith("▐") for line in text_of(app)[5:22]]
        assert bars[0]
        assert not bars[-1]
        assert all(len(line) <= 80 for line in text_of(app))
        await pilot.press("G")
        assert [line.endswith("▐") for line in text_of(app)[5:22]] == bars[::-1]
        feed.give(NOW)
        await pilot.pause()
        assert "▐" not in all_of(app)


@pytest.mark.parametrize("sort", SORTS)
def test_what_is_sorted_by_is_to_be_seen_on_the_smallest_screen(sort: str) -> None:
    kept = columns.fitting(39, sorted_by=TITLES[sort])
    assert TITLES[sort] in {"command", *(each.title for each in kept)}


@pytest.mark.parametrize("size", [(40, 10), (50, 12), (64, 20), (80, 24)])
async def test_the_lines_around_end_with_whole_words(size: tuple[int, int]) -> None:
    async with running(ScriptedFeed(NOW), size) as (app, _):
        shown = text_of(app)
        for line in (shown[0], shown[-2]):
            assert not line.endswith(("·", "…")), line
        whole = " straced top · box · local · 22:13:20 · sorted by calls · showing on-CPU time"
        assert whole.startswith(shown[0])


@pytest.mark.parametrize("width", [80, 160, 200])
async def test_each_tab_has_its_name(width: int) -> None:
    feed = ScriptedFeed(NOW)
    async with running(feed, (width, 30)) as (app, pilot):
        calls = msgspec.structs.replace(detail_of(NOW.processes[0]).total, calls=123_456)
        files = tuple(DescriptorRow(fd=n, kind="file", name="/srv", mode="r") for n in range(10))
        feed.listener.detail_ready(detail_of(NOW.processes[0], total=calls, files=files, more_files=1000))  # type: ignore[union-attr]
        await pilot.pause()
        (tabs,) = (line for line in text_of(app) if " 1 calls 123,456 " in line)
        for number, name in enumerate(panels.TABS):
            assert f" {number + 1} {name}" in tabs


async def test_what_has_room_below_the_calls_fills_it() -> None:
    feed = ScriptedFeed(NOW)
    async with running(feed, (200, 55)) as (app, pilot):
        feed.listener.detail_ready(detail_of(NOW.processes[0]))  # type: ignore[union-attr]
        await pilot.pause()
        beside = "\n".join(line[app.panel.region.x :] for line in text_of(app))
        assert re.search(r"syscall.*TID.*time +what.*started.*fd kind.*/srv/www/index.html", beside, re.DOTALL)


@pytest.mark.parametrize("width", range(20, 200, 12))
def test_the_labels_of_a_chart_are_as_far_from_each_other(width: int) -> None:
    (scale,) = plots.chart(buckets(ns200=9, us30=1, ms30=4), width, 1)[-1]
    starts = [found.start() for found in re.finditer(r"\S+", scale.text)]
    assert len({after - before for before, after in itertools.pairwise(starts)}) <= 1
    assert starts[0] == 0


def test_jobs_come_in_the_order_of_what_they_do() -> None:
    rows = ProcessRows()
    rows.update(frame(row(1, job="a", calls_s=5.0), row(2, job="b", calls_s=500.0), row(3, job="c", calls_s=50.0)))
    assert [line.job for line in rows.lines() if line.job] == ["b", "c", "a"]


def test_figures_that_are_seen_twice_are_one_step_of_a_trend() -> None:
    rows = ProcessRows()
    for second, calls_s in (0, 5.0), (0, 5.0), (5, 7.0), (5, 7.0):
        rows.update(msgspec.structs.replace(frame(row(1, calls_s=calls_s)), epoch_s=NOW.epoch_s + second))
    assert rows.with_trail(row(1)).trail == (5.0, 7.0)


def test_sorted_by_command_is_in_the_order_of_the_alphabet() -> None:
    rows = ProcessRows("name")
    words = {"zsh": "/bin/zsh", "Bash": "/bin/Bash -l", "at": ""}
    rows.update(frame(*(row(pid, comm=comm, cmdline=line) for pid, (comm, line) in enumerate(words.items(), 1))))
    assert [line.row.comm for line in rows.lines() if line.row] == ["at", "Bash", "zsh"]


async def test_history_leaves_out_what_it_does_not_keep() -> None:
    async with running(ScriptedFeed(PAST)) as (app, _):
        shown = text_of(app)
        assert "22:13 · kept since 20:13 · sorted by calls" in shown[0]
        assert not re.search(r"CPU +- of|mem +- of|alerts|overhead|itself", all_of(app))
        assert shown[1].split() == ["calls/s", "12,034"]
        title = next(line for line in shown if "calls/s err/s" in line)
        assert " S " not in title
        assert "now in" not in title
        assert "trend" not in title


async def test_a_minute_without_anything_says_where_there_is_something() -> None:
    feed = ScriptedFeed(msgspec.structs.replace(PAST, processes=()))
    async with running(feed) as (app, pilot):
        assert "No history for this minute.  History begins at 20:13: type : and 20:13." in all_of(app)
        assert "▸" not in all_of(app)
        await pilot.press("]")
        feed.give(PAST)
        await pilot.pause()
        assert app.line is not None
        assert app.line.row is not None
        assert app.line.row.pid == 4243  # the busiest: nobody was selected before


@pytest.mark.parametrize(
    ("shown", "age_s", "words"),
    [
        (NOW, 0.4, "0.4 s old, every 1 s"),
        (msgspec.structs.replace(NOW, source="service", duration_ns=2_004_000_000), 2.1, "2.1 s old, every 2 s"),
        (PAST, 3600.0, "a minute that ended 60 min ago"),
        (PAST, -20.0, "a minute that is not over"),
    ],
)
def test_the_pace_of_the_figures_is_that_of_those_who_count(shown: Frame, age_s: float, words: str) -> None:
    assert status_lines.quality_words(shown, status_lines.State(age_s=age_s))[0] == words


async def test_a_word_about_calls_is_no_line_to_choose() -> None:
    feed = ScriptedFeed(NOW)
    async with running(feed) as (app, pilot):
        feed.listener.detail_ready(detail_of(NOW.processes[0], calls=(), histograms={}))  # type: ignore[union-attr]
        await pilot.press("tab", "G")
        assert "no call in this window; y asks why" in all_of(app)
        assert next(line for line in text_of(app)[10:] if line.startswith("▸")).split()[1] == "4243"


async def test_keys_before_the_first_figures_claim_nothing() -> None:
    async with running(ScriptedFeed(None)) as (app, pilot):
        await pilot.press(":", "s", "w", "l")
        assert "live" not in all_of(app)

"""What was wrong at a fresh look: counts that were cut, figures that tell nothing, a cursor that is nowhere at home.

Of `views/tui/columns.py`, `views/tui/panels.py`, `views/tui/panel.py` and `views/tui/rows.py`.
"""

from __future__ import annotations

import os
import re

import msgspec
import pytest

from straced.model.frame import Frame, ShortLived
from straced.model.slow import SlowCalls, SlowSyscall
from straced.views.tui import columns, slow_panel
from straced.views.tui.rows import ProcessRows
from tests.views.tui import frames
from tests.views.tui.frames import ScriptedFeed, detail_of, frame, row
from tests.views.tui.screen import all_of, running, text_of

NOW = frames.machine_of_three()
LONG = "x86_64-linux-gnu-gcc-12"


def with_short(program: str = LONG) -> Frame:
    short = ShortLived(parent=(4242, 42420), program=program, ended=214, calls_s=1640.0)
    return msgspec.structs.replace(NOW, short_lived=(short,))


@pytest.mark.parametrize("width", [79, 107, 119, 159])
def test_how_many_came_and_went_is_never_cut(width: int) -> None:
    rows = ProcessRows()
    for program in (LONG, "cc1"):
        rows.update(with_short(program))
        short = next(line for line in rows.lines() if line.short is not None)
        assert short.short is not None
        drawn = columns.short_line(columns.fitting(width), short.short, short.indent, width)
        text = "".join(piece.text for piece in drawn)
        assert len(text) <= width
        assert " × 214" in text
        assert text.rpartition(" ")[0].endswith(f"{program} × 214 ") or program == LONG
        assert "x86_64" in text or program == "cc1"


def test_the_longest_usual_call_is_not_cut_from_120_columns_on() -> None:
    for width in (119, 200):
        assert next(each.width for each in columns.fitting(width) if each.title == "now in") >= len("clock_nanosleep")
    assert next(each.width for each in columns.fitting(79) if each.title == "now in") == 12


async def test_at_least_nothing_is_unknown() -> None:
    waiting = row(5, waits_longer=True, working_pct=0.0, waiting_pct=0.0, wall_pct=0.0)
    async with running(ScriptedFeed(frame(waiting, row(6, waits_longer=True)))) as (app, _):
        shown = {line.split()[0]: line for line in (text.lstrip("▸ ") for text in text_of(app)[5:7])}
        assert ">0" not in shown["5"]
        assert re.search(r" 3\.0 +0 +- +- +- ", shown["5"])
        assert ">97" in shown["6"]


async def test_percentiles_that_nobody_tells_take_no_room() -> None:
    feed = ScriptedFeed(NOW)
    untimed = tuple(
        msgspec.structs.replace(each, p50_ns=None, p99_ns=None) for each in detail_of(NOW.processes[0]).calls or ()
    )
    async with running(feed) as (app, pilot):
        assert "p99" in all_of(app)
        feed.listener.detail_ready(detail_of(NOW.processes[0], calls=untimed, histograms={}))  # type: ignore[union-attr]
        await pilot.pause()
        assert "p99" not in all_of(app)
        assert "EAGAIN 3" in all_of(app)


async def test_an_error_has_its_name_where_its_number_has_no_room() -> None:
    feed = ScriptedFeed(NOW)
    calls = tuple(
        msgspec.structs.replace(each, errno={"ENOTCONN": 3000}, errors=3000)
        for each in detail_of(NOW.processes[0]).calls or ()
    )
    async with running(feed, (80, 24)) as (app, pilot):
        await pilot.press("enter")
        feed.listener.detail_ready(detail_of(NOW.processes[0], calls=calls))  # type: ignore[union-attr]
        await pilot.pause()
        assert sum(line.endswith(" ENOTCONN") for line in text_of(app)) == len(calls)


async def test_the_panel_says_why_nothing_is_counted() -> None:
    feed = ScriptedFeed(frames.without_rights())
    async with running(feed) as (app, pilot):
        feed.listener.detail_ready(detail_of(NOW.processes[0], calls=None, histograms={}))  # type: ignore[union-attr]
        await pilot.pause()
        assert all_of(app).count("Calls not counted: run with sudo.") == 2
        assert "(yet)" not in all_of(app)


async def test_it_does_not_open_on_itself() -> None:
    own = row(os.getpid(), calls_s=99_999.0, comm="straced", cmdline="straced top")
    async with running(ScriptedFeed(frame(own, *NOW.processes)), busiest=True) as (app, _):
        assert app.chosen is not None
        assert app.chosen.pid == 4243


async def test_what_a_half_typed_filter_hid_is_selected_again() -> None:
    async with running(ScriptedFeed(NOW)) as (app, pilot):
        await pilot.press("j", "slash", *"pos")
        assert app.chosen is not None
        assert app.chosen.pid == 77
        await pilot.press("ctrl+u", *"wor")
        assert app.chosen.pid == 4243
        await pilot.press("ctrl+u", *"pos", "escape")
        assert app.chosen.pid == 4243, "also when the filter is cleared"
        await pilot.press("slash", *"ngi", "enter", "G", "escape")
        assert app.chosen.pid == 4244, "not when another was chosen since"


async def test_where_there_is_no_event_there_is_no_cursor() -> None:
    async with running(ScriptedFeed(msgspec.structs.replace(NOW, notes=()))) as (app, pilot):
        await pilot.press("4")
        await pilot.pause()
        assert any(line == " no event of this process yet" for line in text_of(app))
        assert app.panel.grid.cursor is None


async def test_what_is_cut_from_the_head_of_the_panel_ends_in_an_ellipsis() -> None:
    long = row(5, cmdline="/usr/bin/prog5 " + "x" * 300)
    async with running(ScriptedFeed(frame(long))) as (app, _):
        head = next(line for line in text_of(app) if line.startswith("── 5 "))
        assert head.endswith("…")
        assert len(head) == 120


async def test_unknown_is_a_dash_without_a_unit() -> None:
    machine = msgspec.structs.replace(frames.MACHINE, cpu_pct=None)
    now = msgspec.structs.replace(NOW, machine=machine, cost_pct=None, counting_pct=None)
    async with running(ScriptedFeed(now)) as (app, _):
        assert "- %" not in all_of(app)
        assert "- of 8" in text_of(app)[1]


def test_the_file_of_a_slow_call_stands_there_once() -> None:
    call = SlowSyscall(
        pid=4242, tid=4242, comm="dd", name="write", start_ns=10**15, duration_ns=10**8, epoch_s=frames.EPOCH_S,
        path="/srv/journal", abi="x86_64", call='write(1</srv/journal>, ""..., 4096)',
    )  # fmt: skip
    found = slow_panel.SlowTable(SlowCalls(calls=(call,), limit_ns=10**8), None, {}, 119).lines
    text = "".join(piece.text for piece in found[0])
    assert text.count("/srv/journal") == 1
    assert '1, ""..., 4096' in text

"""What somebody sees who opens the screen for the first time: the busiest process, and the whole of the room in use.

Of `views/tui/view_actions.py` and `views/tui/layout.py`.
"""

from __future__ import annotations

import msgspec
import pytest
from rich.style import Style
from textual.color import Color
from textual.widgets._toast import Toast

from straced.model.frame import Frame, Note, ShortLived
from straced.views.tui.layout import Layout
from straced.views.tui.rows import ProcessRows
from tests.views.tui import frames
from tests.views.tui.frames import ScriptedFeed, frame, row
from tests.views.tui.screen import all_of, appears, lines_of, running, text_of

NOW = frames.machine_of_three()


def before_figures(now: Frame) -> Frame:
    """The first look at a machine: nothing has a rate yet."""
    rows = [msgspec.structs.replace(each, calls_s=None, errors_s=None, cpu_pct=None) for each in now.processes]
    return msgspec.structs.replace(now, processes=tuple(rows), calls_s=None, errors_s=None, duration_ns=0, tracer=None)


async def test_it_opens_on_the_busiest_process_once_that_is_known() -> None:
    feed = ScriptedFeed(before_figures(NOW))
    async with running(feed, busiest=True) as (app, pilot):
        assert app.chosen is not None
        assert app.chosen.pid == 77
        feed.give(NOW)
        await pilot.pause()
        assert "sorted by calls" in text_of(app)[0]
        assert app.chosen.pid == 4243
        quiet = tuple(msgspec.structs.replace(each, calls_s=1.0 * (each.pid == 77)) for each in NOW.processes)
        feed.give(msgspec.structs.replace(NOW, processes=quiet))
        await pilot.pause()
        assert app.chosen.pid == 4243  # once only: a cursor that runs about is of no use


async def test_who_chose_a_process_before_the_figures_came_keeps_it() -> None:
    feed = ScriptedFeed(before_figures(NOW))
    async with running(feed, busiest=True) as (app, pilot):
        await pilot.press("end")
        feed.give(NOW)
        await pilot.pause()
        assert app.chosen is not None
        assert app.chosen.pid == 4244


async def test_without_a_tracer_it_is_sorted_by_cpu_and_dashes_take_no_room() -> None:
    async with running(ScriptedFeed(frames.without_rights()), busiest=True) as (app, _):
        assert app.chosen is not None
        assert app.chosen.pid == 4243
        shown = all_of(app)
        assert "sorted by CPU" in shown
        assert "calls/s " not in shown.split("PSI", 1)[1].split("──")[0]
        (told,) = (line for line in text_of(app) if "Calls not counted" in line)
        assert told.strip() == "Calls not counted: run with sudo."


@pytest.mark.parametrize(("width", "beside"), [(159, False), (160, True), (200, True), (300, True)])
async def test_from_160_columns_on_the_panel_is_beside_the_list(width: int, beside: bool) -> None:
    async with running(ScriptedFeed(NOW), (width, 50)) as (app, _):
        titles = [line for line in text_of(app) if "calls/s err/s" in line]
        assert ("── 4242" in titles[0]) == beside
        assert app.list.region.height == (44 if beside else app.list.region.height)
        if beside:
            assert app.panel.region.x == app.list.region.right
            assert app.panel.region.right == width


@pytest.mark.parametrize("size", [(160, 16), (160, 29), (200, 55), (120, 40), (120, 30), (80, 24)])
def test_list_and_panel_have_all_the_room(size: tuple[int, int]) -> None:
    layout = Layout(*size, opened=False)
    assert layout.list_width + (layout.panel_width if layout.beside else 0) == size[0]
    if layout.shows_both and not layout.beside:
        assert layout.list_height(500, 5, None) > layout.list_height(500, 50, None)


async def test_now_in_is_next_to_the_command() -> None:
    async with running(ScriptedFeed(NOW)) as (app, _):
        assert text_of(app)[4].split()[-3:] == ["now", "in", "command"]


async def test_a_process_without_a_call_shows_what_its_threads_are_in() -> None:
    feed = ScriptedFeed(NOW)
    async with running(feed) as (app, pilot):
        assert feed.listener is not None
        feed.listener.detail_ready(frames.detail_of(NOW.processes[0], calls=()))
        await pilot.pause()
        shown = all_of(app)
        assert "no call in this window; y asks why" in shown
        assert "ep_poll" in shown
        assert "41.0 s" in shown


async def test_events_are_those_of_the_process() -> None:
    async with running(ScriptedFeed(NOW)) as (app, pilot):
        await pilot.press("4")
        await pilot.pause()
        assert "4 events 1" in all_of(app)
        assert "another user's process" not in all_of(app)
        await pilot.press("j")
        await pilot.pause()
        assert "no event of this process yet" in all_of(app)


async def test_an_ended_process_keeps_its_last_figures() -> None:
    feed = ScriptedFeed(NOW)
    async with running(feed) as (app, pilot):
        await pilot.press("j")
        feed.give(msgspec.structs.replace(NOW, processes=tuple(each for each in NOW.processes if each.pid != 4243)))
        await pilot.pause()
        (line,) = (line for line in lines_of(app) if "ENDED" in line and line.startswith("4243"))
        assert "9,800" in line
        assert "epoll_wait" in line


async def test_a_toast_is_legible_whatever_the_theme() -> None:
    async with running(ScriptedFeed(NOW)) as (app, pilot):
        app.say("something happened")
        await appears(pilot, lambda: "something happened" in all_of(app), "a toast")
        toast = app.screen.query_one(Toast)
        default = Color.parse("ansi_default")
        assert (toast.styles.background, toast.styles.color) == (default, default)
        (mark,) = (line for line in text_of(app) if "something happened" in line)
        assert mark


def test_the_cursor_is_legible_whatever_the_theme() -> None:
    from straced.views.tui import palette

    drawn = Style(color="bright_blue", bgcolor="black") + palette.cursor(focused=True)
    assert drawn.reverse
    assert (str(drawn.color and drawn.color.name), str(drawn.bgcolor and drawn.bgcolor.name)) == ("default", "default")


def test_the_busiest_is_the_first_in_any_order() -> None:
    rows = ProcessRows("calls")
    assert rows.busiest is None
    rows.update(frame(row(5, calls_s=1.0, cpu_pct=90.0), row(6, 5, calls_s=9.0, cpu_pct=1.0)))
    assert rows.busiest == (6, 60)
    rows.sort = "cpu"
    assert rows.busiest == (5, 50)
    rows.filter = "prog6"
    assert rows.busiest == (6, 60)


async def test_what_happened_to_nobody_in_particular_is_seen_while_nobody_is_selected() -> None:
    told = Note(epoch_s=frames.EPOCH_S, kind="lost", text="the service went away", severe=True)
    async with running(ScriptedFeed(frame(notes=(told,)))) as (app, pilot):
        await pilot.press("4")
        await pilot.pause()
        assert "the service went away" in all_of(app)


async def test_who_came_and_went_is_a_row_below_its_parent_that_no_key_acts_upon() -> None:
    short = ShortLived(program="cc1", parent=(4242, 42420), ended=214, calls_s=1640.0, errors_s=2.0)
    feed = ScriptedFeed(msgspec.structs.replace(NOW, short_lived=(short,)))
    async with running(feed) as (app, pilot):
        (line,) = (line for line in text_of(app) if "cc1 × 214" in line)
        assert "1,640" in line
        assert "└ cc1 × 214  short-lived" in line
        await pilot.press("j", "j", "j", "k")
        await pilot.pause()
        assert app.chosen is not None
        assert app.chosen.pid == 4244
        assert not next(line for line in text_of(app) if "cc1" in line).startswith("▸")
        await pilot.press("l", "slash", *"cc1", "enter", "x")
        await pilot.pause()
        assert len(app.screen_stack) == 1

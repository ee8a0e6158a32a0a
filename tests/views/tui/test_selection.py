"""What keys act upon is the process under the cursor that is to be seen, or nothing.

Of `views/tui/selection.py`, `views/tui/grid.py` and `views/tui/processes.py`.
"""

from __future__ import annotations

import itertools

import msgspec
import pytest
from textual import events

from straced.model.frame import Frame, Key
from straced.views.tui.app import TopApp
from straced.views.tui.messages import FrameReady
from straced.views.tui.rows import ProcessRows
from tests.views.tui import frames
from tests.views.tui.frames import ScriptedFeed, frame, row
from tests.views.tui.screen import all_of, running, settled, text_of

NOW = frames.machine_of_three()
ACTING = ("x", "t", "y", "enter")


def without(*pids: int) -> Frame:
    """The machine after some have ended."""
    return msgspec.structs.replace(NOW, processes=tuple(each for each in NOW.processes if each.pid not in pids))


def chosen(app: TopApp) -> Key | None:
    return app.chosen.key if app.chosen is not None else None


def marked(app: TopApp) -> str:
    """The line of the list under the cursor."""
    in_list = itertools.takewhile(lambda line: not line.startswith("── "), text_of(app)[5:])
    return next((line for line in in_list if line.startswith("▸")), "")


def said(app: TopApp) -> str:
    """The notices as one line."""
    return " ".join(" ".join(line.partition("▌")[2] for line in text_of(app)).split())


async def test_a_filter_leaves_the_selection_on_a_row_that_is_to_be_seen() -> None:
    async with running(ScriptedFeed(NOW), (80, 24)) as (app, pilot):
        await pilot.press("slash", *"postgres", "enter", "x")
        assert chosen(app) == (77, 770)
        assert "Send a signal to 77 (postgres)?" in all_of(app)
        await pilot.press("escape")
        assert marked(app).split()[1] == "77"


async def test_a_filter_that_is_kept_chooses_what_it_leaves() -> None:
    async with running(ScriptedFeed(NOW)) as (app, pilot):
        await pilot.press("slash", *"postgres", "escape")
        assert chosen(app) == (4242, 42420)
        await pilot.press("slash", *"postgres", "enter", "escape")
        assert chosen(app) == (77, 770)
        assert app.rows.filter == ""


async def test_a_filter_keeps_the_selection_where_it_matches() -> None:
    async with running(ScriptedFeed(NOW)) as (app, pilot):
        await pilot.press("j", "j", "slash", *"worker")
        assert chosen(app) == (4244, 42440)
        await pilot.press("escape")
        assert chosen(app) == (4244, 42440)
        assert marked(app).split()[1] == "4244"


@pytest.mark.parametrize("key", ACTING)
async def test_a_filter_that_nothing_matches_leaves_nothing_to_act_upon(key: str) -> None:
    feed = ScriptedFeed(NOW)
    async with running(feed) as (app, pilot):
        await pilot.press("slash", *"nosuch", "enter", key)
        assert chosen(app) is None
        assert len(app.screen_stack) == 1
        assert "no process selected" in said(app) or "no longer matches" in said(app)
        assert app.list.display
        assert feed.signals == []
        assert feed.running == []


@pytest.mark.parametrize("key", ACTING)
async def test_a_process_that_ended_is_not_acted_upon_nor_is_its_neighbour(key: str) -> None:
    feed = ScriptedFeed(NOW)
    async with running(feed, (80, 24)) as (app, pilot):
        await pilot.press("j")
        feed.give(without(4243))
        await pilot.press(key)
        assert chosen(app) is None
        assert len(app.screen_stack) == 1
        assert "4243 (nginx) has ended" in said(app)
        assert "ENDED" in marked(app)
        assert app.list.display


async def test_an_ended_process_that_the_filter_leaves_out_is_gone_for_good() -> None:
    feed = ScriptedFeed(NOW)
    async with running(feed) as (app, pilot):
        await pilot.press("G", "slash", *"postgres", "enter")
        feed.give(without(77))
        await pilot.press("slash", *"q")
        assert chosen(app) is None
        await pilot.press("escape")
        assert chosen(app) is None
        assert "ENDED" in marked(app)
        await pilot.press("slash", *"nginx")
        assert chosen(app) == (4242, 42420)
        assert "ENDED" not in all_of(app)


async def test_who_gets_the_pid_is_another_process() -> None:
    feed = ScriptedFeed(NOW)
    async with running(feed) as (app, pilot):
        await pilot.press("j", "j")
        again = row(4244, 4242, start_ticks=99_999, comm="bash", cmdline="bash")
        child = row(4300, 4244)
        feed.give(msgspec.structs.replace(NOW, processes=(*without(4244).processes, again, child)))
        await pilot.press("x")
        assert chosen(app) is None
        assert len(app.screen_stack) == 1
        assert "4244 (nginx) has ended" in said(app)
        assert sum("prog4300" in line for line in text_of(app)) == 1
        await pilot.press("j", "k")
        assert "ENDED" not in all_of(app)


async def test_a_refresh_that_hides_the_process_selects_no_other() -> None:
    feed = ScriptedFeed(NOW)
    other_call = msgspec.structs.replace(NOW.processes[1], now="futex")
    async with running(feed) as (app, pilot):
        await pilot.press("j", "slash", *"epoll_wait", "enter")
        assert chosen(app) == (4243, 42430)
        feed.give(msgspec.structs.replace(NOW, processes=(NOW.processes[0], other_call, *NOW.processes[2:])))
        await pilot.press("x")
        assert chosen(app) is None
        assert marked(app) == ""
        assert len(app.screen_stack) == 1
        assert "4243 (nginx) no longer matches the filter" in said(app)
        feed.give(NOW)
        await pilot.pause()
        assert chosen(app) == (4243, 42430)
        assert marked(app).split()[1] == "4243"


@pytest.mark.parametrize("keys", [["s"], ["S"], ["l"], ["w"], ["l", "s", "s"]])
async def test_the_cursor_follows_its_process_through_other_orders(keys: list[str]) -> None:
    async with running(ScriptedFeed(NOW)) as (app, pilot):
        await pilot.press("j", "j", *keys)
        assert chosen(app) == (4244, 42440)
        assert marked(app).split()[1] == "4244"


async def test_a_click_means_the_process_that_was_drawn_there() -> None:
    feed = ScriptedFeed(NOW)
    async with running(feed) as (app, pilot):
        assert text_of(app)[8].split()[0] == "77"
        busy = tuple(row(5000 + n, cpu_pct=99.0) for n in range(3))
        app.on_frame_ready(FrameReady(msgspec.structs.replace(NOW, processes=busy + NOW.processes)))
        app.list.on_click(events.Click(app.list, 5, 4, 0, 0, 1, False, False, False))  # before that is drawn
        assert chosen(app) == (77, 770)
        await pilot.pause()
        assert marked(app).split()[1] == "77"
        app.on_frame_ready(FrameReady(without(4243)))
        await pilot.pause()
        app.on_frame_ready(FrameReady(without(4242, 4243)))
        app.list.on_click(events.Click(app.list, 5, 1, 0, 0, 1, False, False, False))  # on 4242, which has ended
        assert chosen(app) == (77, 770)


async def test_the_head_of_a_job_is_no_process() -> None:
    rows = tuple(msgspec.structs.replace(each, job="build" if each.pid != 77 else "db") for each in NOW.processes)
    async with running(ScriptedFeed(msgspec.structs.replace(NOW, processes=rows))) as (app, pilot):
        seen = []
        for key in ("g", "k", "j", "j", "j", "j", "k"):
            await pilot.press(key)
            assert chosen(app) is not None
            seen.append(marked(app).split()[1])
            assert seen[-1] == str(app.rows.looked_at.pid if app.rows.looked_at else None)
        assert sorted(set(seen)) == ["4242", "4243", "4244", "77"]


@pytest.mark.parametrize("key", ACTING)
async def test_what_is_not_drawn_is_not_acted_upon(key: str) -> None:
    feed = ScriptedFeed(NOW)
    async with running(feed, (20, 5)) as (app, pilot):
        await pilot.press(key, "y")
        await pilot.resize_terminal(80, 24)
        await settled(app)
        assert len(app.screen_stack) == 1
        assert app.list.display
        assert feed.signals == []


@pytest.mark.parametrize("key", ["x", "t"])
@pytest.mark.parametrize(
    ("changes", "word"),
    [({"source": "history"}, "view shows the past"), ({"disconnected": "the service does not answer"}, "rows are old")],
)
async def test_nothing_is_done_to_processes_of_the_past(key: str, changes: dict[str, str], word: str) -> None:
    feed = ScriptedFeed(msgspec.structs.replace(NOW, **changes))  # type: ignore[arg-type]
    async with running(feed) as (app, pilot):
        await pilot.press(key)
        assert len(app.screen_stack) == 1
        assert word in said(app)


@pytest.mark.parametrize(("key", "decides"), [("x", "y"), ("t", "enter")])
async def test_a_picture_that_became_old_while_it_was_asked_decides_nothing(key: str, decides: str) -> None:
    feed = ScriptedFeed(NOW)
    async with running(feed) as (app, pilot):
        await pilot.press(key)
        feed.give(msgspec.structs.replace(NOW, disconnected="the service does not answer"))
        await pilot.press(decides)
        assert "these rows are old" in said(app)
        assert feed.signals == []
        assert feed.running == []


async def test_a_process_that_another_minute_has_not_is_not_said_to_have_ended() -> None:
    feed = ScriptedFeed(msgspec.structs.replace(NOW, source="history"))
    async with running(feed) as (app, pilot):
        await pilot.press("j")
        feed.give(msgspec.structs.replace(without(4243), source="history"))
        await pilot.press("y")
        assert "ENDED" not in all_of(app)
        assert "is not in this minute nginx" in marked(app)
        assert "4243 (nginx) is not in this minute; no process selected" in said(app)


async def test_the_first_processes_of_an_empty_screen_can_be_chosen() -> None:
    feed = ScriptedFeed(frame())
    async with running(feed) as (app, pilot):
        assert chosen(app) is None
        feed.give(NOW)
        await pilot.pause()
        assert chosen(app) == (4243, 42430)  # the busiest


def test_an_ended_process_is_in_the_list_as_long_as_it_matches() -> None:
    rows = ProcessRows(filter_text="postgres")
    rows.update(NOW)
    rows.look_at(NOW.processes[3])
    rows.update(without(77))
    assert [line.ended for line in rows.lines()] == [True]
    rows.filter = "nginx"
    assert [line.ended for line in rows.lines()] == [False] * 3

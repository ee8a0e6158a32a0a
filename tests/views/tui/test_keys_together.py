"""Keys that come in one read: each finds the screen as the one before it left it, and none decides what is unseen.

Of `views/tui/keyboard.py`.
"""

from __future__ import annotations

import pytest
from textual import events
from textual.pilot import Pilot

from straced.views.tui.app import TopApp
from straced.views.tui.signal_box import SignalBox
from tests.views.tui import frames
from tests.views.tui.frames import ScriptedFeed
from tests.views.tui.screen import all_of, running, text_of

NOW = frames.machine_of_three()
NAMES = {"/": "slash", "\r": "enter", "\x1b": "escape", "?": "question_mark", " ": "space", "\x03": "ctrl+c"}


async def together(app: TopApp, pilot: Pilot[None], typed: str) -> None:
    """All keys before any of them is handled, as a terminal hands on what came in one read."""
    for character in typed:
        app.post_message(events.Key(NAMES.get(character, character), character))
    await pilot.pause()


@pytest.mark.parametrize("name", ["nginx", "xylt", "qqq", "postgres -D", "p y x"])
async def test_a_filter_takes_all_that_is_typed_after_the_slash(name: str) -> None:
    feed = ScriptedFeed(NOW)
    async with running(feed) as (app, pilot):
        await together(app, pilot, f"/{name}\r")
        assert app.is_running
        assert len(app.screen_stack) == 1
        assert app.rows.filter == name
        assert not app.entry.display
        assert feed.signals == []
        assert "PAUSED" not in all_of(app)


async def test_the_key_after_a_filter_finds_it_done() -> None:
    async with running(ScriptedFeed(NOW)) as (app, pilot):
        await together(app, pilot, "/postgres\rx")
        assert "Send a signal to 77 (postgres)?" in all_of(app)


async def test_a_key_finds_the_cursor_where_the_key_before_left_it() -> None:
    async with running(ScriptedFeed(NOW)) as (app, pilot):
        await together(app, pilot, "jjx")
        assert "Send a signal to 4244 (nginx)?" in all_of(app)


async def test_a_key_finds_the_cursor_where_a_click_before_it_left_it() -> None:
    async with running(ScriptedFeed(NOW)) as (app, pilot):
        for kind in (events.MouseDown, events.MouseUp):
            app.post_message(kind(None, 5, 8, 0, 0, 1, False, False, False, 5, 8))
        await together(app, pilot, "x")
        assert "Send a signal to 77 (postgres)?" in all_of(app)


@pytest.mark.parametrize(
    "typed", ["xy", "x\r", "xSIGTERM\r", "xkill\r", "xyyyy\r\r", "jx\ry", "t\r", "t\r\r", "?xy", "yxy"]
)
async def test_no_box_is_answered_by_keys_that_came_with_the_one_that_opened_it(typed: str) -> None:
    feed = ScriptedFeed(NOW)
    async with running(feed) as (app, pilot):
        await together(app, pilot, typed)
        assert feed.signals == []
        assert feed.running == []
        assert len(app.screen_stack) == 2


@pytest.mark.parametrize("key", ["x", "t", "y", "?"])
@pytest.mark.parametrize("close", ["\x1b", "\x03"])
async def test_a_box_is_closed_by_keys_that_came_with_the_one_that_opened_it(key: str, close: str) -> None:
    async with running(ScriptedFeed(NOW)) as (app, pilot):
        await together(app, pilot, key + close)
        assert len(app.screen_stack) == 1


async def test_a_paste_is_text_for_the_filter_and_nothing_else() -> None:
    feed = ScriptedFeed(NOW)
    async with running(feed) as (app, pilot):
        app.post_message(events.Paste("xy\r/nginx\rx\r"))
        await pilot.pause()
        assert len(app.screen_stack) == 1
        assert app.rows.filter == ""
        await pilot.press("slash")
        app.post_message(events.Paste("\nnginx\x1b[2J\nx\ny"))
        await pilot.pause()
        assert app.rows.filter == "nginx[2J"
        await pilot.press("escape", "x")
        app.post_message(events.Paste("y"))
        app.post_message(events.Paste("SIGTERM\r"))
        await pilot.pause()
        assert isinstance(app.screen, SignalBox)
        assert app.screen.typed == ""
        assert feed.signals == []


async def test_a_slash_and_its_paste_in_one_read() -> None:
    async with running(ScriptedFeed(NOW)) as (app, pilot):
        app.post_message(events.Key("slash", "/"))
        app.post_message(events.Paste("worker"))
        await together(app, pilot, "\r")
        assert app.rows.filter == "worker"
        assert app.list.count == 2


async def test_a_filter_is_edited_and_has_an_end() -> None:
    async with running(ScriptedFeed(NOW)) as (app, pilot):
        await pilot.press("slash", *"xnginy", "backspace", "x", "home", "delete", "enter")
        assert app.rows.filter == "nginx"
        await pilot.press("slash", "ctrl+u")
        app.post_message(events.Paste("a" * 198))
        await pilot.press(*"a" * 5)
        assert len(app.rows.filter) == 200
        assert f'filter "{"a" * 23}…": 0 of 4 · box' in text_of(app)[0]
        await pilot.press("ctrl+c")
        assert app.rows.filter == ""
        assert app.is_running


async def test_a_filter_in_an_opened_process_shows_the_list() -> None:
    async with running(ScriptedFeed(NOW), (80, 24)) as (app, pilot):
        await pilot.press("enter")
        assert not app.list.display
        await pilot.press("slash", *"postgres", "enter")
        assert app.list.display
        assert app.chosen is not None
        assert app.chosen.pid == 77

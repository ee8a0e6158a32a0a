"""Every place that reacts to the mouse, clicked.

Of `views/tui/click_line.py`, `views/tui/segments.py` and `views/tui/key_bindings.py`.
"""

from __future__ import annotations

import pytest

from straced.views.tui import key_bindings, panels
from straced.views.tui.app import TopApp
from straced.views.tui.rows import SORTS, ProcessRows
from straced.views.tui.segments import Piece, action_at
from tests.views.tui import frames
from tests.views.tui.frames import ScriptedFeed
from tests.views.tui.screen import all_of, appears, running, text_of

NOW = frames.machine_of_three()


def place_of(app: TopApp, words: str, line: int) -> tuple[int, int]:
    """Where words stand on the screen."""
    line %= len(text_of(app))
    return text_of(app)[line].index(words), line


TITLES = {
    "PID": "pid", "CPU%": "cpu", "RSS": "rss", "calls/s": "calls", "err/s": "errors", "work%": "working",
    "wait%": "waiting", "wall%": "wall", "command": "name",
}  # fmt: skip


@pytest.mark.parametrize("title", TITLES)
async def test_a_click_on_a_title_sorts_by_it(title: str) -> None:
    first = "errors" if title != "err/s" else "cpu"
    async with running(ScriptedFeed(NOW), rows=ProcessRows(first)) as (app, pilot):
        await pilot.click(offset=place_of(app, title, 4))
        await pilot.pause()
        assert app.rows.sort == TITLES[title]


def test_every_order_has_a_title() -> None:
    assert sorted(TITLES.values()) == sorted(SORTS)


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4, 5])
async def test_a_click_on_a_tab_turns_to_it(number: int) -> None:
    async with running(ScriptedFeed(NOW)) as (app, pilot):
        app.panel.turn(number + 1)
        await pilot.pause()
        line = next(n for n, text in enumerate(text_of(app)) if "2 threads" in text)
        await pilot.click(offset=place_of(app, panels.TABS[number], line))
        await pilot.pause()
        assert app.panel.tab == number


@pytest.mark.parametrize("place", ["list", "panel", "filtered", "paused", "history"])
def test_what_the_last_line_offers_is_an_action_of_the_screen(place: str) -> None:
    for _, _, action in key_bindings.HINTS[place]:
        assert action
        assert hasattr(TopApp, f"action_{action.partition('(')[0]}"), action


CLICKS = [
    ("help", lambda app, feed: len(app.screen_stack) == 2),
    ("open", lambda app, feed: app.opened),
    ("filter", lambda app, feed: app.entry.display),
    ("sort", lambda app, feed: app.rows.sort == "errors"),
    ("why", lambda app, feed: "waits for work" in all_of(app)),
    ("trace", lambda app, feed: "Trace every call of 4242" in all_of(app)),
    ("signal", lambda app, feed: "Send a signal to 4242" in all_of(app)),
    ("pause", lambda app, feed: app.paused),
    ("times", lambda app, feed: app.mode == "waiting"),
    ("panel", lambda app, feed: app.panel.grid.has_focus),
    ("flat", lambda app, feed: app.rows.flat),
    ("quit", lambda app, feed: not app.is_running),
]


@pytest.mark.parametrize(("word", "done"), CLICKS, ids=[word for word, _ in CLICKS])
async def test_a_click_on_the_last_line_does_what_the_key_does(word: str, done: object) -> None:
    feed = ScriptedFeed(NOW)
    async with running(feed) as (app, pilot):
        await pilot.click(offset=place_of(app, f" {word}", -1))
        await appears(pilot, lambda: bool(done(app, feed)), word)  # type: ignore[operator]
        assert feed.signals == []
        assert feed.running == []


async def test_a_click_keeps_or_clears_what_was_typed() -> None:
    async with running(ScriptedFeed(NOW)) as (app, pilot):
        await pilot.press("slash", *"postgres")
        await pilot.pause()
        await pilot.click(offset=place_of(app, "keep", -2))
        await pilot.pause()
        assert (app.entry.display, app.rows.filter) == (False, "postgres")
        await pilot.press("slash")
        await pilot.pause()
        await pilot.click(offset=place_of(app, "clear", -2))
        await pilot.pause()
        assert (app.entry.display, app.rows.filter) == (False, "")


async def test_a_click_behind_an_open_box_does_nothing() -> None:
    feed = ScriptedFeed(NOW)
    async with running(feed) as (app, pilot):
        at = place_of(app, " flat", -1)
        await pilot.press("x")
        await pilot.pause()
        await pilot.click(offset=at)
        await pilot.pause()
        assert not app.rows.flat


async def test_the_last_line_tells_of_the_keys_that_there_are() -> None:
    async with running(ScriptedFeed(NOW)) as (app, pilot):
        for pressed, word in (("tab", "Esc back"), ("escape", "Enter open"), ("p", "p resume"), ("p", "p pause")):
            await pilot.press(pressed)
            await pilot.pause()
            assert word in text_of(app)[-1]
        await pilot.press("slash", "7", "enter")
        await pilot.pause()
        assert "Esc clear the filter" in text_of(app)[-1]


def test_a_click_finds_the_piece_under_it_in_cells() -> None:
    line = (Piece("日本", action="wide"), Piece(" "), Piece("x", action="narrow"))
    assert [action_at(line, x) for x in (-1, 0, 3, 4, 5, 6)] == ["", "wide", "wide", "", "narrow", ""]

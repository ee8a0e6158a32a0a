"""No key and no target of the mouse that no test uses: the tables of keys against what the tests of this folder press.

Of `views/tui/key_bindings.py` and `views/tui/keyboard.py`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from straced.views.tui import key_bindings
from straced.views.tui.app import TopApp
from straced.views.tui.dialogs import CLOSING, Box
from straced.views.tui.filter_line import FilterLine
from straced.views.tui.grid import Grid
from straced.views.tui.signal_box import MOVES
from tests.views.tui import frames
from tests.views.tui.frames import ScriptedFeed
from tests.views.tui.screen import running, text_of

NOW = frames.machine_of_three()
PLACES: dict[str, tuple[str, ...]] = {
    "list": (), "panel": ("tab",), "filter": ("slash",), "filtered": ("slash", "n", "enter"), "paused": ("p",),
    "history": (), "time": ("colon",), "ended": ("j",), "box": ("h",),
}  # fmt: skip
"""The places that the last line knows, and the keys that lead there."""


def pressed_in(path: Path) -> Iterator[str]:
    """What the tests of a file press; of what is no literal there, the parameters and loops of its test."""
    for test in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(test, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        calls = [node for node in ast.walk(test) if isinstance(node, ast.Call)]
        presses = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "press"]
        for argument in [each for call in presses for each in call.args]:
            text = argument.value if isinstance(argument, ast.Starred) else argument
            if isinstance(text, ast.Constant):
                yield from text.value if isinstance(argument, ast.Starred) else (text.value,)
            else:
                loops = [node.iter for node in ast.walk(test) if isinstance(node, ast.For)]
                for given in (*test.decorator_list, *loops):
                    yield from (node.value for node in ast.walk(given) if isinstance(node, ast.Constant))


def test_each_key_is_pressed_by_some_test() -> None:
    keys = {*key_bindings.ACTIONS, *Grid.KEYS, *FilterLine.EDITS, *Box.SCROLLS, *MOVES, *CLOSING, "enter", "y"}
    pressed = {key for path in Path(__file__).parent.glob("test_*.py") for key in pressed_in(path)}
    assert keys - pressed == set()


def test_each_place_of_the_last_line_is_visited() -> None:
    assert set(PLACES) == set(key_bindings.HINTS)


@pytest.mark.parametrize("place", PLACES)
async def test_each_word_of_the_last_line_can_be_clicked(place: str) -> None:
    now = msgspec.structs.replace(NOW, source="history") if place in ("history", "time") else NOW
    feed, done = ScriptedFeed(now), []
    async with running(feed, (200, 40)) as (app, pilot):
        await pilot.press(*PLACES[place])
        if place == "ended":
            feed.give(msgspec.structs.replace(now, processes=tuple(each for each in now.processes if each.pid != 4243)))
        await pilot.pause()

        async def noted(action: str, *_: object) -> bool:
            done.append(action)
            return True

        app.run_action = noted  # type: ignore[method-assign, assignment]
        lines = text_of(app)
        line = next(n for n in (len(lines) - 1, len(lines) - 2) if key_bindings.HINTS[place][0][1] in lines[n])
        at = 0
        for shown, word, action in key_bindings.HINTS[place]:
            at = lines[line].index(f"{shown} {word}", at)
            await pilot.click(offset=(at, line))
            await pilot.pause()
            if action:
                assert hasattr(TopApp, f"action_{action.partition('(')[0]}")
                assert done[-1] == action, word


async def test_keys_that_edit_a_filter() -> None:
    async with running(ScriptedFeed(NOW)) as (app, pilot):
        await pilot.press("slash", *"nginx: w")
        for key, text in (
            ("ctrl+a", "xnginx: w"), ("ctrl+e", "xnginx: wx"), ("ctrl+w", "xnginx: x"), ("home", "xxnginx: x"),
            ("end", "xxnginx: xx"), ("left", "xxnginx: xxx"), ("right", "xxnginx: xxxx"),
            ("backspace", "xxnginx: xxxx"), ("delete", "xxnginx: xxxxx"),
        ):  # fmt: skip
            await pilot.press(key, "x")
            assert app.rows.filter == text, key
        await pilot.press("home", "ctrl+k", "x")
        assert app.rows.filter == "x"
        assert app.entry.display


async def test_keys_that_scroll_a_box_and_quit() -> None:
    async with running(ScriptedFeed(NOW), (80, 14)) as (app, pilot):
        await pilot.press("h", "j", "down", "k", "up", "pagedown", "pageup", "end", "home", "G", "g")
        assert isinstance(app.screen, Box)
        await pilot.press("escape", "ctrl+q")
        assert not app.is_running

"""Whole screens at 80x24 and 120x40, compared with files.

Of `views/tui/layout.py`, `views/tui/chrome.py`, `views/tui/header.py`, `views/tui/panel.py` and `views/tui/panels.py`.
"""

from __future__ import annotations

import msgspec
import pytest

from straced.model.frame import Frame
from straced.views.tui.messages import FrameReady
from tests.views.tui import frames
from tests.views.tui.frames import LOSSY, ScriptedFeed
from tests.views.tui.screen import all_of, appears, golden, running, text_of

SIZES = {"80x24": (80, 24), "120x40": (120, 40)}
STATES: dict[str, Frame] = {
    "live": frames.machine_of_three(),
    "no_rights": frames.without_rights(),
    "lossy": msgspec.structs.replace(frames.machine_of_three(), quality=LOSSY),
    "disconnected": msgspec.structs.replace(
        frames.machine_of_three(), source="service", disconnected="the service does not answer"
    ),
    "500_processes": frames.five_hundred(),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("state", STATES)
async def test_state(state: str, size: str) -> None:
    async with running(ScriptedFeed(STATES[state]), SIZES[size]) as (app, _):
        golden(app, f"{state}_{size}")


@pytest.mark.parametrize("size", SIZES)
async def test_paused(size: str) -> None:
    async with running(ScriptedFeed(frames.machine_of_three()), SIZES[size], age_s=12) as (app, pilot):
        await pilot.press("p")
        await pilot.pause()
        golden(app, f"paused_{size}")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("tab", ["calls", "threads", "files", "events"])
async def test_opened(tab: str, size: str) -> None:
    async with running(ScriptedFeed(frames.machine_of_three()), SIZES[size]) as (app, pilot):
        await pilot.press("enter", {"calls": "1", "threads": "2", "files": "3", "events": "4"}[tab])
        await pilot.pause()
        golden(app, f"opened_{tab}_{size}")


@pytest.mark.parametrize("size", [(20, 5), (39, 24), (80, 9)])
async def test_a_screen_too_small_says_so(size: tuple[int, int]) -> None:
    async with running(ScriptedFeed(frames.machine_of_three()), size) as (app, pilot):
        assert "too small" in all_of(app).replace("\n", " ")
        assert "nginx" not in all_of(app)
        await pilot.resize_terminal(80, 24)
        await appears(pilot, lambda: any("nginx" in line for line in text_of(app)), "the list")


@pytest.mark.parametrize("size", [(40, 10), (60, 15), (200, 60), (300, 20)])
async def test_any_size_shows_processes_and_how_far_they_hold(size: tuple[int, int]) -> None:
    async with running(ScriptedFeed(frames.machine_of_three()), size) as (app, _):
        lines = text_of(app)
        assert any("4243" in line for line in lines)
        assert any("exact" in line for line in lines)
        assert len(lines) == size[1]


async def test_no_frame_yet() -> None:
    async with running(ScriptedFeed(None)) as (app, _):
        assert text_of(app)[0] == " straced top · waiting for the first figures"


async def test_a_frame_that_comes_while_the_screen_is_taken_down_is_no_fault() -> None:
    async with running(ScriptedFeed(frames.machine_of_three())) as (app, _):
        app.list.action_jump(0)
    app.on_frame_ready(FrameReady(frames.machine_of_three()))
    assert app.error is None

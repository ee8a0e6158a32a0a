"""Runs the app without a terminal, and reads what is on its screen."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from straced.live.protocols import ScreenFeed
from straced.views.tui import reaction
from straced.views.tui.app import TopApp
from straced.views.tui.rows import ProcessRows
from tests.support.poll import auntil
from tests.views.tui.frames import AT_NS

GOLDEN = Path(__file__).parent / "golden"
DEADLINE_S = 10.0


@contextlib.asynccontextmanager
async def running(
    feed: ScreenFeed,
    size: tuple[int, int] = (120, 40),
    *,
    rows: ProcessRows | None = None,
    age_s: float = 0.4,
    reaction_s: float = 0.0,
    busiest: bool = False,
) -> AsyncIterator[tuple[TopApp, Pilot[None]]]:
    """The app on a screen of ``size``, with all that its feed gave shown; who presses its keys reacts at once.

    The first line is selected; ``busiest``: what the screen itself selects.
    """
    app = TopApp(feed, interval_s=1.0, rows=rows or ProcessRows(), clock=lambda: AT_NS + int(age_s * 1e9))
    with pytest.MonkeyPatch.context() as patch:
        for module in ("textual.app", "textual.pilot"):
            patch.setattr(f"{module}.wait_for_idle", lambda *_: settled(app))
        patch.setattr(reaction, "REACTION_S", reaction_s)
        async with app.run_test(size=size, notifications=True) as pilot:
            await pilot.pause()
            if not busiest:
                app.list.action_jump(0)
                await pilot.pause()
            yield app, pilot


async def settled(app: TopApp) -> None:
    """Until no message waits and nothing is left to be drawn.

    In place of the way of Textual, which waits for this process to use no CPU: slow, and slower on a busy machine.
    """
    quiet = 0
    for _ in range(2000):
        await asyncio.sleep(0.001)
        quiet = 0 if _busy(app) else quiet + 1
        if quiet == 3:
            return


def _busy(app: TopApp) -> bool:
    if not app.is_running or not app.screen_stack:
        return False
    screen = app.screen
    nodes = [app, screen, *screen.walk_children()]
    waits = any(node._message_queue is not None and not node._message_queue.empty() for node in nodes)
    draws = screen._layout_required or screen._repaint_required or bool(screen._dirty_widgets) or screen._callbacks
    return waits or bool(draws) or bool(app._batch_count)


def text_of(app: TopApp) -> list[str]:
    """The screen, a string a line, without blanks at the ends."""
    strips = app.screen._compositor.render_strips()
    return ["".join(segment.text for segment in strip).rstrip() for strip in strips]


def lines_of(app: TopApp) -> list[str]:
    """The same without the margin, and what marks a line in it."""
    return [line.lstrip("▸ ") for line in text_of(app)]


def all_of(app: TopApp) -> str:
    return "\n".join(text_of(app))


async def appears(pilot: Pilot[None], condition: Callable[[], bool], what: str, seconds: float = DEADLINE_S) -> None:
    """Until something is so; a test that waits for nothing fails with the screen."""
    app = pilot.app
    assert isinstance(app, TopApp)
    await auntil(condition, seconds, lambda: f"{what}\n{all_of(app)}", lambda: pilot.pause(0.02))


def golden(app: TopApp, name: str) -> None:
    """Compare the screen with a file of golden/; STRACED_GOLDEN=write makes the files anew."""
    path = GOLDEN / f"{name}.txt"
    now = all_of(app) + "\n"
    if os.environ.get("STRACED_GOLDEN") == "write":
        path.write_text(now, encoding="utf-8")
    before = path.read_text(encoding="utf-8")
    if now != before:
        pytest.fail(
            "\n".join(difflib.unified_diff(before.splitlines(), now.splitlines(), "golden", "now", lineterm=""))
        )

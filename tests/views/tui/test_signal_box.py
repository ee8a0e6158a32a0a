"""The box that asks before a signal goes: who it is about, and what decides."""

from __future__ import annotations

import os
import signal
import time

import msgspec
import pytest

from straced.views.tui import status_lines
from tests.views.tui import frames
from tests.views.tui.frames import ScriptedFeed, row
from tests.views.tui.screen import all_of, appears, running

NOW = frames.machine_of_three()
MASTER = (4242, 42420)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (40, 10)])
async def test_it_says_who_and_which_signal(size: tuple[int, int]) -> None:
    async with running(ScriptedFeed(NOW), size) as (app, pilot):
        await pilot.press("x")
        shown = " ".join(all_of(app).replace("│", " ").split())
        assert "4242 (nginx)" in shown
        assert "nginx: master process" in shown
        assert "user root (0) · started" in shown
        assert "y sends SIGTERM to 4242" in shown


def test_whose_a_process_is() -> None:
    hz = os.sysconf("SC_CLK_TCK")
    assert status_lines.whose(row(7, uid=None, start_ticks=5 * hz), 65.0) == (
        "/usr/bin/prog7 --serve",
        "user unknown · started 60 s ago",
    )
    assert status_lines.whose(row(7, uid=0, cmdline="", start_ticks=0), 3 * 86_400) == (
        "[prog7]",
        "user root (0) · started 3 days ago",
    )
    assert status_lines.whose(row(7, uid=4_000_000_000, start_ticks=0), 7200)[1] == "user 4000000000 · started 2 h ago"
    assert status_lines.boottime_s() == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=5)


@pytest.mark.parametrize(
    ("pressed", "number"),
    [
        (["y"], signal.SIGTERM),
        (["down", "y"], signal.SIGINT),
        (["up", "y"], signal.SIGKILL),
        ([*"SIGKILL", "enter"], signal.SIGKILL),
        ([*"hup", "enter"], signal.SIGHUP),
        ([*"quit", "enter"], signal.SIGQUIT),
        ([*"winch", "enter"], signal.SIGWINCH),
        ([*"termm", "backspace", "enter"], signal.SIGTERM),
        ([*"kill", "down", "y"], signal.SIGINT),
    ],
)
async def test_y_or_a_name_and_enter_send(pressed: list[str], number: int) -> None:
    feed = ScriptedFeed(NOW)
    async with running(feed) as (app, pilot):
        await pilot.press("x", *pressed)
        await appears(pilot, lambda: bool(feed.signals), "a signal")
        assert feed.signals == [(MASTER, number)]
        assert len(app.screen_stack) == 1


@pytest.mark.parametrize(
    "pressed",
    [
        ["enter"],
        ["enter", "enter", "enter"],
        ["down", "enter"],
        [*"term"],
        [*"ter", "enter"],
        [*"ter", "y"],
        [*"SIG", "enter"],
        [*"nonsense", "enter"],
        ["space", "j", "k", "q", "h", "enter"],
        ["escape"],
        ["ctrl+c"],
        [*"kill", "escape"],
        [*"kill", "ctrl+c"],
    ],
)
async def test_nothing_else_sends(pressed: list[str]) -> None:
    feed = ScriptedFeed(NOW)
    async with running(feed) as (app, pilot):
        await pilot.press("x", *pressed)
        assert feed.signals == []
        assert app.is_running


async def test_enter_alone_says_what_is_missing() -> None:
    async with running(ScriptedFeed(NOW), (80, 24)) as (app, pilot):
        await pilot.press("x", "enter")
        assert "Enter alone sends nothing" in all_of(app)
        await pilot.press(*"ter", "enter")
        assert "no signal has this name" in all_of(app)


@pytest.mark.parametrize(("key", "decides"), [("x", ["y", *"kill", "enter"]), ("t", ["enter"])])
@pytest.mark.parametrize("reused", [False, True])
async def test_a_process_that_ends_while_it_is_asked_about_gets_nothing(
    key: str, decides: list[str], reused: bool
) -> None:
    feed = ScriptedFeed(NOW)
    others = NOW.processes[1:]
    if reused:
        others = (row(4242, start_ticks=1_000_000, comm="bash"), *others)
    async with running(feed) as (app, pilot):
        await pilot.press(key)
        feed.give(msgspec.structs.replace(NOW, processes=others))
        await pilot.press(*decides)
        assert "4242 (nginx) has exited; nothing was done" in all_of(app)
        assert feed.signals == []
        assert feed.running == []
        assert len(app.screen_stack) == 2  # what was meant for it does not go to the list
        await pilot.press("escape")
        assert len(app.screen_stack) == 1


async def test_a_process_that_became_another_program_is_shown_as_it_is() -> None:
    feed = ScriptedFeed(NOW)
    async with running(feed) as (app, pilot):
        await pilot.press("x")
        changed = msgspec.structs.replace(NOW.processes[0], comm="postgres", cmdline="postgres -D /srv")
        feed.give(msgspec.structs.replace(NOW, processes=(changed, *NOW.processes[1:])))
        await pilot.pause()
        assert "Send a signal to 4242 (postgres)?" in all_of(app)


@pytest.mark.parametrize(
    ("pid", "word"),
    [(1, "the first process"), (os.getpid(), "straced itself"), (os.getppid(), "straced runs below")],
    ids=["first", "itself", "above"],  # by no number: a second run has others
)
async def test_who_keeps_the_screen_alive_is_refused_before_anything_is_asked(pid: int, word: str) -> None:
    feed = ScriptedFeed(frames.frame(row(pid, 0)))
    async with running(feed) as (app, pilot):
        await pilot.press("x")
        assert len(app.screen_stack) == 1
        assert word in " ".join(all_of(app).replace("▌", "").split())

"""From when on a key is an answer to a question that is risky to answer.

Of `views/tui/reaction.py`.
"""

from __future__ import annotations

import pytest
from textual import events
from textual.pilot import Pilot

from straced.views.tui.app import TopApp
from straced.views.tui.reaction import REACTION_S, Reaction
from tests.views.tui import frames
from tests.views.tui.frames import ScriptedFeed
from tests.views.tui.screen import all_of, appears, running

NOW = frames.machine_of_three()
NAMES = {"\r": "enter", "\x03": "ctrl+c"}
LONG_S = 1000.0
"""A reaction that takes longer than any test."""
SOON = "other keys count in a moment"


async def press_later(app: TopApp, pilot: Pilot[None], typed: str, seconds: float) -> None:
    """Keys that come one by one, each handled before the next one, as if it were so much later."""
    for character in typed:
        event = events.Key(NAMES.get(character, character), character)
        event.time += seconds
        app.post_message(event)
        await pilot.pause()


@pytest.mark.parametrize(("key", "answer"), [("x", "y"), ("x", "SIGTERM\r"), ("x", "yyy\r\r"), ("t", "\r\r")])
@pytest.mark.parametrize("gap_s", [0.0, LONG_S / 2])
async def test_a_burst_decides_nothing_however_it_is_delivered(key: str, answer: str, gap_s: float) -> None:
    feed = ScriptedFeed(NOW)
    async with running(feed, reaction_s=LONG_S) as (app, pilot):
        await press_later(app, pilot, key, 0)
        await press_later(app, pilot, answer, gap_s)
        assert SOON in all_of(app)
        assert (feed.signals, feed.running, len(app.screen_stack)) == ([], [], 2)
        await press_later(app, pilot, answer, gap_s + 2 * LONG_S)
        await appears(pilot, lambda: feed.signals or feed.running, "what was decided in sight of the question")


async def test_a_key_that_is_held_down_decides_nothing() -> None:
    feed = ScriptedFeed(NOW)
    async with running(feed, reaction_s=LONG_S) as (app, pilot):
        await press_later(app, pilot, "x", 0)
        for turn in range(5):
            await press_later(app, pilot, "y", turn * LONG_S / 2)
        assert (feed.signals, len(app.screen_stack)) == ([], 2)
        await press_later(app, pilot, "\x03", 0)
        assert len(app.screen_stack) == 1


def test_it_counts_a_reaction_after_it_was_seen() -> None:
    reaction = Reaction()
    assert reaction.left_s(10.0) is None
    assert not reaction.counts(10.0)
    reaction.seen(10.0)
    reaction.seen(99.0)
    assert not reaction.counts(10.0 + 0.9 * REACTION_S)
    assert not reaction.counts(10.0 + 1.8 * REACTION_S)
    assert reaction.left_s(10.0 + 1.8 * REACTION_S) == pytest.approx(REACTION_S)
    assert reaction.counts(10.0 + 3 * REACTION_S)
    assert reaction.counts(10.0 + 3 * REACTION_S)

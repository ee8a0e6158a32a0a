"""What a filter leaves, and what is said about it.

Of `views/tui/row_filter.py` and `views/tui/filter_line.py`.
"""

from __future__ import annotations

import pytest

from straced.views.tui.row_filter import RowFilter
from tests.views.tui import frames
from tests.views.tui.frames import ScriptedFeed, row
from tests.views.tui.screen import all_of, running, text_of

NOW = frames.machine_of_three()


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("nginx: worker", True),
        ("NGINX", True),
        ("4242", True),
        ("worker nginx", False),
        ("call:epoll", True),
        ("call:read", False),
        ("user:root", True),
        ("user:0", True),
        ("user:nobody", False),
        ("job:build", True),
        ("job:web", False),
        ("call:epoll user:root worker", True),
        ("call:epoll user:root master", False),
        ("call:", True),
        ("https://x", False),
        ("unix:/run", True),
    ],
)
def test_words_with_a_prefix_ask_one_column(text: str, matches: bool) -> None:
    asked = row(4242, comm="nginx", cmdline="nginx: worker unix:/run/x", job="build-42", uid=0, now="epoll_wait")
    assert RowFilter(text).matches(asked) == matches


def test_what_is_not_known_matches_nothing() -> None:
    unknown = row(1, uid=None, now=None, job=None)
    assert not any(RowFilter(text).matches(unknown) for text in ("user:0", "call:read", "job:x"))


async def test_the_line_has_a_prompt_and_counts_what_it_leaves() -> None:
    async with running(ScriptedFeed(NOW)) as (app, pilot):
        await pilot.press("slash")
        await pilot.pause()
        assert text_of(app)[-1].startswith(" filter ")
        assert "call:read" in text_of(app)[-1]
        await pilot.press(*"worker")
        await pilot.pause()
        assert text_of(app)[-1].split() == ["filter", "worker", "2", "of", "4"]
        await pilot.press("enter")
        await pilot.pause()
        assert not app.entry.display
        assert 'filter "worker": 2 of 4' in text_of(app)[0]


async def test_what_was_found_stands_out() -> None:
    async with running(ScriptedFeed(NOW)) as (app, pilot):
        await pilot.press("slash", *"WORKER", "enter")
        await pilot.pause()
        strips = app.screen._compositor.render_strips()
        lit = [segment.text for strip in strips[5:8] for segment in strip if segment.style and segment.style.underline]
        assert lit == ["worker", "worker"]


async def test_a_filter_that_leaves_nothing_says_so_and_how_to_go_on() -> None:
    async with running(ScriptedFeed(NOW)) as (app, pilot):
        await pilot.press("slash", *"zzz", "enter")
        await pilot.pause()
        assert 'No process matches "zzz".  Esc clears the filter' in all_of(app)
        await pilot.press("escape")
        await pilot.pause()
        assert app.list.count == 4

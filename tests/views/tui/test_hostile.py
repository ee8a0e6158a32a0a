"""Names and command lines made to break a screen: they stay text, in every view."""

from __future__ import annotations

import itertools
import re

import msgspec
import pytest
from rich.cells import cell_len

from straced.model.frame import DescriptorRow, Note, ThreadRow
from straced.text.sanitize import scrub, scrub_bytes
from straced.views.text.summary import plain
from straced.views.tui import once, status_lines
from straced.views.tui.rows import ProcessRows
from straced.waits.model import Why
from tests.views.tui import frames
from tests.views.tui.frames import ScriptedFeed, frame, row
from tests.views.tui.screen import all_of, running, text_of

RAW = {
    "escape": b"\x1b[31mred\x1b]0;owned\x07\x1b[2J",
    "c1": "\x9b31m".encode(),
    "markup": b"[bold red]x[/] [link=http://a]y[/link] [@click=app.quit]z[/]",
    "broken_markup": b"[/] [[ ]] [/nothing",
    "newlines": b"a\nb\rc\td\x0be",
    "right_to_left": "\u202egnp.exe\u2066x\u2069 \u05e9\u05dc\u05d5\u05dd".encode(),
    "long": b"A" * 4096,
    "wide": "进程名称很长很长很长".encode() * 20,
    "invalid_utf8": b"\xff\xfe\xc3(caf\xe9",
    "zero_width": "a\u200b\u0301\u0301\u0301b\ufeff".encode(),
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈".encode() * 5,
}
FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200e\u200f]")


def hostile_frame(text: str) -> tuple[frames.Frame, frames.Detail]:
    """The text wherever a process has a say."""
    bad = row(666, comm=text[:15], cmdline=text, job=text, now="read")
    seen = frame(
        bad, row(667, 666, cmdline=text), notes=(Note(epoch_s=frames.EPOCH_S, kind="exec", pid=666, text=text),)
    )
    detail = frames.detail_of(
        bad,
        threads=(ThreadRow(tid=666, comm=text[:15], state="S", call="read", place=text),),
        files=(
            DescriptorRow(fd=3, kind="unix", name=text),
            DescriptorRow(fd=4, kind="file", name=text, mode="r", position=1),
        ),
    )
    return seen, detail


@pytest.mark.parametrize(("name", "size"), list(zip(RAW, itertools.cycle([(80, 24), (120, 40)]))))
async def test_every_view_stays_in_its_lines(name: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    seen, detail = hostile_frame(scrub_bytes(RAW[name]))
    monkeypatch.setattr(frames, "detail_of", lambda which, **changes: detail)
    feed = ScriptedFeed(seen)
    text = scrub_bytes(RAW[name])
    feed.answer = Why(pid=666, start_ticks=6660, comm=text, uid=0, verdict="stuck", reason=text, evidence=(text,))
    async with running(feed, size) as (app, pilot):
        for pressed in ("j", "enter", "1", "2", "3", "4", "escape", "x", "escape", "t", "escape", "y", "escape"):
            await pilot.press(pressed)
            await pilot.pause()
            assert app.is_running
            for line in text_of(app):
                assert not FORBIDDEN.search(line)
                assert cell_len(line) <= size[0]
        await pilot.press("slash", *"[/]", "enter")
        await pilot.pause()
        assert app.is_running


async def test_markup_is_shown_as_it_is() -> None:
    seen, _ = hostile_frame(scrub_bytes(RAW["markup"]))
    async with running(ScriptedFeed(seen)) as (app, pilot):
        assert "[bold red]x[/] [link=http://a]y" in all_of(app)
        await pilot.press("x")
        await pilot.pause()
        assert "Send a signal to 666 ([bold red]x[/] )?" in all_of(app)


@pytest.mark.parametrize("name", RAW)
def test_one_frame_as_text_and_as_json(name: str) -> None:
    seen, _ = hostile_frame(scrub_bytes(RAW[name]))
    rows = ProcessRows()
    rows.update(seen)
    text = plain(once.lines(seen, rows, limit=None, width=100, state=status_lines.State()))
    assert not FORBIDDEN.search(text.replace("\n", ""))
    assert all(cell_len(line) <= 100 for line in text.splitlines()[3:-3])
    assert b"\n" not in msgspec.json.encode(seen.to_dict())


def test_a_notice_is_no_markup() -> None:
    assert "\x1b" not in scrub("\x1b[31m")

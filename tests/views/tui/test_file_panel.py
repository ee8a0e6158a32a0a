"""The tab of files and peers by time: counted while it is to be seen, and shown with what is not known of them.

Of `views/tui/file_panel.py` and `model/file_window.py`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from straced.linux.targets import parse
from straced.live.actions import LocalActions
from straced.live.local import LocalSource
from straced.live.worker import FrameWorker
from straced.model.file_window import SHOWN, FileRow, FileWindow, window_of
from straced.model.files import MOST_ROWS, FileTable, FileUse
from straced.views.tui.app import TopApp
from tests.live.file_worker import BEFORE, CODE, file_rows, serve
from tests.tracers.ebpf.slow_targets import Script
from tests.views.tui import frames
from tests.views.tui.frames import ScriptedFeed
from tests.views.tui.screen import all_of, appears, running, text_of

MS = 10**6
LOADING_S = 60.0
"""What the kernel may take to load programs on a busy machine, many times over."""
WAL = "/srv/db/pg_wal/0001"


def use(name: str | None, calls: int = 1, **known: object) -> FileUse:
    """A file with as many calls."""
    fields = {"errors": 0, "bytes": 0, "wall_ns": calls * MS, "waiting_ns": 0, "max_ns": MS, "p99_ns": MS, **known}
    return FileUse(name=name, calls=calls, **fields)  # type: ignore[arg-type]


def known(**changes: object) -> FileWindow:
    """A log that waits for its disk, a path that does not exist, and something without a name."""
    rows = (
        use(WAL, 40, bytes=8192, wall_ns=9200 * MS, waiting_ns=9100 * MS, max_ns=800 * MS, p99_ns=700 * MS),
        use("/etc/none", 200, errors=200, errno="ENOENT", wall_ns=MS, kind="path"),
        use(None, 3),
    )
    return window_of(FileTable(rows=rows, **changes), None, 0, 12_000 * MS)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(40, 30), (80, 24), (120, 40)])
async def test_files_and_peers_are_shown_with_what_is_missing(size: tuple[int, int]) -> None:
    feed = ScriptedFeed(frames.machine_of_three())
    feed.by_file = known(others=use(None, 77), unplaced=5)
    async with running(feed, size) as (app, pilot):
        await pilot.press("6", "enter")
        await appears(pilot, lambda: "counted for 12.0 s" in all_of(app), "since when it is counted")
        assert app.panel.by_file
        at = next(n for n, line in enumerate(text_of(app)) if "counted for" in line)
        head, wal, none, unnamed, others = text_of(app)[at : at + 5]
        assert "9.2 s" in wal
        assert "0001" in wal, "the end of a path, however narrow the screen"
        if size[0] < 80:
            return
        assert "6 by file 3" in all_of(app)
        assert "5 calls in no row" in head
        assert all(word in wal for word in ("9.1 s", "40", "700 ms", WAL))
        assert all(word in none for word in ("200", "ENOENT /etc/none"))
        assert "(not resolved)" in unnamed
        assert "77" in others
        assert "(all others)" in others
        assert ("800 ms" in wal and "8.2 kB" in wal) is (app.panel.size.width >= 100)


async def test_it_is_counted_as_long_as_it_is_to_be_seen() -> None:
    feed = ScriptedFeed(frames.machine_of_three())
    async with running(feed, (80, 24)) as (app, pilot):
        await pilot.press("6")
        assert feed.looks == [], "the list hides the panel"
        await pilot.press("enter")
        assert feed.looks == [True]
        await appears(pilot, lambda: "counting begins" in all_of(app), "that nothing is there yet")
        await pilot.press("5")
        assert feed.looks == [True, False]
        await pilot.press("right")
        assert feed.looks == [True, False, True]
        feed.by_file = FileWindow(unavailable="eBPF needs root; run it with sudo")
        await pilot.press("p", "left", "right")
        await appears(pilot, lambda: "eBPF needs root; run it with sudo" in all_of(app), "why, also when paused")
        await pilot.press("escape")
        assert feed.looks == [True, False, True, False, True, False], "the list is shown again"


async def test_a_process_that_ended_keeps_its_last_figures() -> None:
    feed = ScriptedFeed(frames.machine_of_three())
    async with running(feed, (120, 40)) as (app, pilot):
        await pilot.press("6")
        assert feed.listener is not None
        gone = frames.detail_of(frames.row(4242), gone=True, calls=None, threads=None, files=None)
        feed.listener.detail_ready(gone)
        await appears(pilot, lambda: "it ended before anything was counted" in all_of(app), "that there is nothing")
        feed.listener.detail_ready(frames.detail_of(frames.row(4242), by_file=known()))
        feed.listener.detail_ready(gone)
        await appears(pilot, lambda: "ENDED" in all_of(app) and WAL in all_of(app), "its last figures")


def test_what_cannot_be_told_a_second_is_unknown() -> None:
    one, two = use("/a", 10, bytes=100), use("/b", 4)
    before = FileTable(rows=(one,))
    now = window_of(FileTable(rows=(use("/a", 30, bytes=700), two, use(None, 9))), before, 2 * 10**9, 5 * 10**9)
    assert [(row.calls_s, row.bytes_s) for row in now.rows] == [(10.0, 300.0), (2.0, 0.0), (None, None)]
    full = FileTable(rows=tuple(use(f"/{number}") for number in range(MOST_ROWS)))
    (row,) = window_of(FileTable(rows=(two,)), full, 10**9, 10**9).rows
    assert row == FileRow(**{name: getattr(two, name) for name in FileUse.__struct_fields__}), "it may have been there"
    assert window_of(full, None, 0, 1).more == MOST_ROWS - SHOWN
    failing = FileTable(rows=(*full.rows[:900], use("/none", errors=3, wall_ns=1)))
    assert window_of(failing, None, 0, 1).rows[-1].name == "/none", "though it took no time"


@pytest.mark.needs("ebpf")
@pytest.mark.limit(150)
async def test_real_files_and_peers_are_named_with_the_right_counts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        peer = f"tcp 127.0.0.1:{server.getsockname()[1]}"
        script = Script(CODE, tmp_path, server.getsockname()[1], before=BEFORE)
        try:
            await script.waits()
            source = LocalSource([parse(str(script.pid))], "ebpf")
            worker = FrameWorker(lambda: source, LocalActions(tmp_path), 0.2)
            async with running(worker, (160, 50)) as (app, pilot):

                async def shows(condition: Callable[[], bool], what: str) -> None:
                    await appears(pilot, condition, what, LOADING_S)

                await shows(lambda: str(script.pid) in all_of(app), "the process")
                await pilot.press("g", "6")
                await shows(lambda: "since you look" in all_of(app), "that it is counted")
                script.go()
                await asyncio.gather(serve(server, script), shows(lambda: calls(app, peer) == 7, peer))
                found = file_rows(app._detail.by_file if app._detail is not None else None)
                data, none, other = (found[name] for name in (f"{tmp_path}/data", f"{tmp_path}/missing", peer))
                assert (data.calls, data.errors, data.bytes) == (14, 0, 700)
                assert (none.calls, none.errors, none.errno, none.kind) == (5, 5, "ENOENT", "path")
                assert (other.errors, other.bytes) == (0, 27)
                assert other.waiting_ns >= 60 * MS
                assert other.wall_ns >= (other.max_ns or 0) >= 30 * MS
                line = next(line for line in text_of(app) if "ENOENT" in line)
                assert "/missing" in line
                await pilot.press("1")
                await shows(lambda: not source.files_counted, "that nobody is counted by file any more")
                await shows(lambda: calls(app, peer) is None, "and that the screen knows that")
                await pilot.press("6")
                await shows(lambda: "since you look" in all_of(app), "that it is counted again")
                assert calls(app, peer) is None, "that was before"
                script.go()
                await shows(lambda: "until its end" in all_of(app), "that these are its last figures")
        finally:
            script.close()


def calls(app: TopApp, name: str) -> int | None:
    """How many calls about a file or peer the screen knows of."""
    found = file_rows(app._detail.by_file if app._detail is not None else None)
    return found[name].calls if name in found else None

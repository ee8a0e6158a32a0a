"""The tab of slow calls: those of the chosen process first, what is left out is counted.

Of `views/tui/slow_panel.py`.
"""

from __future__ import annotations

import time

import msgspec
import pytest

from straced.model.frame import Frame
from straced.model.slow import SlowCalls
from tests.model.test_slow import call
from tests.views.tui import frames
from tests.views.tui.frames import EPOCH_S, ScriptedFeed
from tests.views.tui.screen import all_of, appears, running, text_of

MS = 10**6
WAL = "/srv/db/pg_wal/0001"


def with_calls(**changes: int) -> Frame:
    """A frame in which two processes had slow calls; began when the machine ran already."""
    at_ns = time.monotonic_ns()
    calls = (
        call(at_ns, 3200 * MS, inside=True, pid=77, tid=79, comm="walwriter", name="fdatasync", path=WAL,
             call=f"fdatasync(5<{WAL}> ...", epoch_s=EPOCH_S - 3.2, waiting_ns=3100 * MS),
        call(at_ns, 240 * MS, pid=4243, tid=4243, comm="nginx", name="connect", peer="tcp 10.0.0.7:5432",
             errno="ETIMEDOUT", result=-110, call="connect(9, {sa_family=AF_INET})", epoch_s=EPOCH_S - 20),
    )  # fmt: skip
    slow = SlowCalls(limit_ns=100 * MS, seen=2, calls=calls, **changes)
    return msgspec.structs.replace(frames.machine_of_three(), slow=slow)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 55)])
async def test_slow_calls_have_their_file_or_peer_and_are_told_apart(size: tuple[int, int]) -> None:
    async with running(ScriptedFeed(with_calls(untold=7, waits=31)), size) as (app, pilot):
        await pilot.press("slash", *"postgres", "enter", "5", "enter")
        wide = size[0] > 80
        shown = "5 slow 1 of 2"
        await appears(pilot, lambda: shown in all_of(app) and (" result " in all_of(app)) is wide, "its slow calls")
        at = next(n for n, line in enumerate(text_of(app)) if "file or peer" in line)
        rest, own, head, other = text_of(app)[at + 1 : at + 5]
        assert all(word in own for word in ("≥3.2 s", "79 walwriter", "fdatasync", WAL)), own
        assert ("3.1 s" in own and "inside" in own) is wide
        assert "1 of other processes" in head
        assert all(word in other for word in ("240 ms", "4243 nginx", "connect", "ETIMEDOUT", "tcp 10.0.0.7:5432"))
        assert "slow: 100 ms or more; 7 more left out (too many at a time); 31 waits" in rest


async def test_where_there_is_room_below_the_calls_are_the_threads_and_the_slow_calls() -> None:
    async with running(ScriptedFeed(with_calls()), (200, 55)) as (app, pilot):
        await pilot.press("slash", *"postgres", "enter")
        await appears(pilot, lambda: WAL in all_of(app), "its slow call, on the tab of its calls")
        panel = [line[110:] for line in text_of(app)]
        at = [next(n for n, line in enumerate(panel) if word in line) for word in ("EAGAIN", "io_schedule", WAL)]
        assert at == sorted(at)
        assert "tcp 10.0.0.7:5432" not in all_of(app), "those of others are on their own tab"
        await pilot.press("tab", "G")
        await pilot.pause()
        assert app.panel.grid.cursor == 1, "the last call"


async def test_who_has_none_and_where_nobody_tells_any() -> None:
    feed = ScriptedFeed(with_calls())
    async with running(feed) as (app, pilot):
        await pilot.press("5")
        await appears(pilot, lambda: "slow: 100 ms or more; none of this process" in all_of(app), "that it has none")
        feed.give(frames.without_rights())
        why = "no slow calls here: they need eBPF. Calls not counted: run with sudo."
        await appears(pilot, lambda: why in all_of(app), "why there are none, and what to do")


async def test_a_call_before_its_process_began_is_of_another_one_with_that_pid() -> None:
    later = time.clock_gettime(time.CLOCK_BOOTTIME) + 1000
    shown = with_calls()
    rows = tuple(msgspec.structs.replace(row, start_ticks=int(later * 100)) for row in shown.processes)
    async with running(ScriptedFeed(msgspec.structs.replace(shown, processes=rows))) as (app, pilot):
        await pilot.press("slash", *"postgres", "enter", "5")
        await appears(pilot, lambda: "5 slow 0 of 2" in all_of(app), "that both are of others")

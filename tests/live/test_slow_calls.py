"""Slow calls on the screen, from this machine, from a service and from its history.

Of `live/slow_calls.py` and `model/slow_events.py`.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from straced.linux import procfs
from straced.linux.targets import parse
from straced.live.history import HistorySource
from straced.live.local import LocalSource
from straced.live.protocols import FrameSource
from straced.live.service import ServiceSource
from straced.live.slow_calls import SHOWN, SlowCallList, SlowEventList
from straced.model.history import KeptEvent
from straced.model.slow import SlowCalls, SlowSyscall
from straced.model.slow_events import call_of
from straced.service.collect.idle_calls import IdlePlaces
from tests.live.test_file_look import ServiceLook
from tests.live.test_service import first_frame
from tests.model.test_slow import call
from tests.service.daemon import Daemon
from tests.service.processes import running
from tests.service.test_slow_calls import FILLS, full
from tests.support.needs import require
from tests.support.poll import auntil

__all__ = ["full"]
LIMIT_NS = 20_000_000


def event(number: int, kind: str = "slow_call", **data: object) -> KeptEvent:
    known = {"call": "fsync", "tid": 8, "thread": "wal", "start_ns": number, "duration_ns": 10**9, "path": "/wal"}
    return KeptEvent(id=number, time=100.0, kind=kind, text="", pid=7, comm="db", data={**known, **data})  # type: ignore[arg-type]


def test_events_become_calls_again() -> None:
    made = call_of(event(5, began=98.5, waiting_ns=3, inside=True, errno="EIO", text="fsync(4</wal>)"))
    about = {"tid": 8, "comm": "wal", "name": "fsync", "abi": "", "epoch_s": 98.5, "path": "/wal"}
    assert made == call(5, 10**9, waiting_ns=3, inside=True, errno="EIO", call="fsync(4</wal>)", **about)
    for broken in ({"call": None}, {"tid": "8"}, {"start_ns": True}, {"duration_ns": 1.5}):
        assert call_of(event(5, **broken)) is None
    told = SlowEventList()
    told.add(
        [event(1, start_ns=3, inside=True), event(2, start_ns=3), event(3, "slow_calls", count=9), event(4, "exec")]
    )
    state = told.state(10**8)
    assert state is not None
    assert [(each.start_ns, each.inside) for each in state.calls] == [(3, False)], "each call once, as it ended"
    assert (state.seen, state.untold) == (10, 9)
    told.add(event(number) for number in range(5, 3000))
    assert len(told.state(1).calls) == SHOWN  # type: ignore[union-attr]
    assert told.state(None) is None


def test_what_sessions_tell_less_what_is_rest() -> None:
    seen = SlowCallList(10**8, IdlePlaces(lambda pid, tid: 0))
    assert seen.state([None]) is None
    seen.add(call(1, 5, name="fsync", path="/wal", epoch_s=1.0), 0)
    seen.add(call(2, 5, name="read", kind="pipe"), 0)
    seen.add(call(3, 5, name="fsync", inside=True), 0)
    inside = (call(4, 9, tid=9, name="openat", inside=True, epoch_s=2.0), call(5, 9, name="read", inside=True))
    live = SlowCalls(limit_ns=1, seen=3, waits=4, untold=1, lost=1, calls=inside)
    state = seen.state([live])
    assert state is not None
    assert [each.name for each in state.calls] == ["openat", "fsync"], "the one that began last first"
    assert (state.seen, state.waits, state.untold, state.lost) == (2, 5, 1, 1)
    seen.end(live)
    ended = seen.state([])
    assert ended is not None
    assert ([each.name for each in ended.calls], ended.untold) == (["fsync"], 1)


async def slow_call(source: FrameSource, **wanted: object) -> SlowSyscall:
    """The first slow call on the screen of which something is so."""

    async def look() -> SlowSyscall | None:
        slow = (await source.frame()).slow
        await source.settle()
        calls = slow.calls if slow is not None else ()
        return next((each for each in calls if all(getattr(each, name) == it for name, it in wanted.items())), None)

    found = await auntil(look, 30, f"a slow call: {wanted}", lambda: asyncio.sleep(0.05))
    assert found is not None
    return found


async def counted(source: FrameSource, pid: int) -> None:
    """Until the calls of a process are counted."""

    async def look() -> bool:
        frame = await source.frame()
        await source.settle()
        return any(row.pid == pid and row.watched for row in frame.processes)

    await auntil(look, 30, "that it is counted", lambda: asyncio.sleep(0.05))


async def test_a_slow_call_of_this_machine_while_it_is_inside_and_afterwards(tmp_path: Path, full: int) -> None:
    require("ebpf")
    path = str(tmp_path / "fifo")
    with running(FILLS.format(path=path)) as job:
        source = LocalSource([parse(str(job.pid))], "ebpf", LIMIT_NS)
        try:
            await counted(source, job.pid)
            assert job.stdin is not None
            job.stdin.write("\n")
            job.stdin.flush()
            inside = await slow_call(source, name="write", inside=True, path=path)
            assert (inside.pid, inside.result) == (job.pid, None)
            os.read(full, 65536)
            returned = await slow_call(source, name="write", inside=False, start_ns=inside.start_ns)
            assert (returned.path, returned.result) == (path, 65536)
            frame = await source.frame()
            assert frame.slow is not None
            assert frame.slow.limit_ns == LIMIT_NS
            assert len([each for each in frame.slow.calls if each.start_ns == inside.start_ns]) == 1
            assert not any(each.name == "read" for each in frame.slow.calls), "where it waits for a line it rests"
        finally:
            await source.close()


async def test_those_of_a_service_and_of_its_history(tmp_path: Path, full: int) -> None:
    """And which file they were about, counted by the service while somebody looks."""
    require("ebpf")
    path = str(tmp_path / "fifo")
    with running(FILLS.format(path=path)) as job:
        daemon = Daemon(tmp_path, f'[slow]\nlimit = "20ms"\n[[watch]]\ntarget = "{job.pid}"\n').start()
        source = ServiceSource(daemon.socket)
        past = HistorySource(0.0, daemon.socket)
        try:
            frame = await first_frame(source)
            assert frame.slow is not None
            assert frame.slow.limit_ns == LIMIT_NS
            await counted(source, job.pid)
            files = ServiceLook(source, (job.pid, procfs.stat(job.pid).start_ticks))
            await files.begin()
            assert job.stdin is not None
            job.stdin.write("\n")
            job.stdin.flush()
            inside = await slow_call(source, name="write", inside=True, path=path)
            os.read(full, 65536)
            returned = await slow_call(source, name="write", inside=False, start_ns=inside.start_ns)
            await files.is_right(path, 1, 65536, waited_ns=LIMIT_NS)
            assert daemon.process is not None
            await files.leaves((daemon.process.pid, procfs.stat(daemon.process.pid).start_ticks))
            assert (returned.pid, returned.path, returned.result) == (job.pid, path, 65536)

            async def kept() -> bool:
                past.go_to(returned.epoch_s + returned.duration_ns / 1e9)
                slow = (await past.frame()).slow
                return slow is not None and any(each.start_ns == returned.start_ns for each in slow.calls)

            await auntil(kept, 30, "that history has it", lambda: asyncio.sleep(0.1))
            await files.is_cut_off()
        finally:
            await source.close()
            await past.close()
            daemon.stop()

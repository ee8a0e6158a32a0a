"""Dumps of the flight recorder at unlucky moments: each alert has its dump, or it is said why not.

Of `service/own_dumps.py`, `service/alerts/reactions.py` and `service/alerts/announcer.py`.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from straced.config.paths import ServicePaths
from straced.config.schema import Alerts, Bytes, DumpAction, OnAlert, RecordConfig, StreamConfig
from straced.errors import AttachError
from straced.linux import procfs
from straced.model.alerts import AlertRow
from straced.profiling.profiler import Profiler
from straced.records.reader import RecordFile
from straced.records.values import RecordKind
from straced.service.alerts.announcer import AlertAnnouncer
from straced.service.alerts.reactions import Reactions
from straced.service.alerts.tracker import AlertBook
from straced.service.flight_keeper import FlightKeeper
from straced.service.sinks.fanout import Fanout
from straced.service.sinks.ndjson import NdjsonSink
from straced.tracers.ebpf.flight_choice import Choice, DumpWindow
from tests.service.needs import needs_ebpf
from tests.service.processes import READY, running
from tests.service.samples import tick
from tests.support.poll import auntil

pytestmark = needs_ebpf
WAITS = READY + "sys.stdin.read()"
LOOP = READY + "while True: os.access('/seen', 0); time.sleep(0.001)"
MANY = 8000
"""Calls that are half of a ring."""
SEEN = (
    f"{READY}sys.stdin.readline()\nfor _ in range({MANY}): os.getppid()\n"
    "os.access('/seen', 0); print('x', flush=True); sys.stdin.read()"
)
FAST = READY + "sys.stdin.readline()\nwhile True: os.getppid()"
Said = list[tuple[str, str, dict[str, Any]]]


class Kept:
    """A keeper, and what it says.

    Args:
        folder: of the service.
        config: of the recorder.
    """

    def __init__(self, folder: Path, config: RecordConfig) -> None:
        self.folder, self.config = folder, config
        self.ring_bytes = int(config.ring)
        self.said: Said = []
        self.keeper = FlightKeeper(
            config, ServicePaths(system=True, state=folder, runtime=folder, socket=folder / "socket"), 1.0, self.say
        )

    def say(self, kind: str, text: str, **data: Any) -> None:
        self.said.append((kind, text, data))

    async def follow(self, *pids: int) -> None:
        """Record these from now on, as it is configured."""
        keys = [(pid, procfs.stat(pid).start_ticks) for pid in pids]

        def follows() -> bool:
            self.keeper.follow(keys)
            recorder = self.keeper._recorder
            return (
                recorder is not None
                and recorder.engine.ring_bytes == self.ring_bytes
                and {each.pid for each in recorder.targets} == {*pids}
            )

        await auntil(follows, 60, "they are recorded")

    def dumps(self) -> list[Path]:
        return sorted((self.folder / "dumps").iterdir())


@asynccontextmanager
async def keeping(folder: Path, *pids: int, **config: Any) -> AsyncIterator[Kept]:
    kept = Kept(folder, RecordConfig(enabled=True, ring=Bytes(1 << 20), **config))
    try:
        await kept.follow(*pids)
        yield kept
    finally:
        await kept.keeper.close()


@asynccontextmanager
async def in_the_middle(kept: Kept, pid: int) -> AsyncIterator[tuple[asyncio.Task[Any], threading.Event]]:
    """A dump that is being taken: it goes on with the event."""
    began, may = threading.Event(), threading.Event()

    def choose(_window: DumpWindow) -> Choice:
        began.set()
        assert may.wait(60)
        return {pid: 0}

    fd = os.open(kept.folder, os.O_TMPFILE | os.O_RDWR)
    task = asyncio.create_task(kept.keeper.dump(fd, pid, choose, None, None, sees_all=True))
    try:
        await auntil(began.is_set, 60, "it is taken")
        yield task, may
    finally:
        may.set()
        await asyncio.gather(task, return_exceptions=True)
        os.close(fd)


def alert_of(pid: int, kind: str = "stuck") -> AlertRow:
    return AlertRow(
        id="0123456789abcdef", kind=kind, subject="x", opened_s=1.0, updated_s=1.0, text="busy", pid=pid,
        comm="x", start_ticks=procfs.stat(pid).start_ticks,
    )  # fmt: skip


def reactions_of(kept: Kept, profiler: Profiler, *command: str) -> Reactions:
    config = OnAlert(dump=DumpAction(), command=command)
    return Reactions(config, kept.folder / "traces", profiler, kept.say, kept.keeper.dump_for_alert)


def tell(process: subprocess.Popen[str], line: str) -> None:
    print(line, file=process.stdin, flush=True)


def paths_in(path: Path) -> set[bytes]:
    return {blob.data for each in RecordFile(path) for blob in each.blobs.values()}


async def test_alerts_of_one_process_in_one_tick_right_before_the_end(tmp_path: Path) -> None:
    """Each has a dump of its own, also when everything is ended while they are taken."""
    with running(WAITS) as target:
        async with keeping(tmp_path, target.pid) as kept, Profiler("ebpf") as profiler:
            reactions = reactions_of(kept, profiler)
            for kind in ("stuck", "stuck", "cpu"):
                reactions.opened(alert_of(target.pid, kind))
            await reactions.close()
            assert [kind for kind, *_rest in kept.said] == ["dump_taken"] * 3
            assert len(kept.dumps()) == 3
            assert all(RecordFile(path).end for path in kept.dumps())


async def test_a_reload_in_the_middle_of_a_dump_and_an_end_in_the_middle(tmp_path: Path) -> None:
    """Rings of another size wait for it; the end of the service does not."""
    with running(LOOP) as target:
        async with keeping(tmp_path, target.pid) as kept:
            old = kept.keeper.recorder_of(target.pid)
            async with in_the_middle(kept, target.pid) as (dump, may):
                kept.ring_bytes = 2 << 20
                kept.keeper.configure(structs.replace(kept.config, ring=Bytes(kept.ring_bytes)))
                following = asyncio.create_task(kept.follow(target.pid))
                await auntil(lambda: old._closed, 60, "it is let go of")
                await kept.keeper.dump_for_alert(alert_of(target.pid), None)
                assert (kept.said[-1][0], not dump.done()) == ("dump_failed", True)
                may.set()
                assert (await dump).end.chosen
            await following
            await auntil(lambda: kept.keeper.recorder_of(target.pid).kept_bytes, 60, "there is something to write")
            async with in_the_middle(kept, target.pid) as (dump, may):
                kept.keeper.hurry()
                may.set()
                with pytest.raises(AttachError, match="ended in the middle"):
                    await dump


async def test_whoever_has_ended_since(tmp_path: Path) -> None:
    """Its last calls are there, and who is to be told is told."""
    with running(SEEN) as target:
        async with keeping(tmp_path, target.pid) as kept, Profiler("ebpf") as profiler:
            alert = alert_of(target.pid)
            tell(target, "go")
            assert await asyncio.to_thread(target.stdout.readline) == "x\n"  # type: ignore[union-attr]
            target.kill()
            await asyncio.to_thread(target.wait, 30)
            await kept.follow()
            reactions = reactions_of(kept, profiler, "/bin/sh", "-c", f"cat >> {tmp_path}/told")
            announcer = AlertAnnouncer(AlertBook(Alerts()), Fanout(NdjsonSink(StreamConfig())), reactions)
            announcer.announce(alert, tick(alert.opened_s))
            await auntil(lambda: (tmp_path / "told").exists() and not reactions.busy, 60, "all of it is done")
            (path,) = kept.dumps()
            assert b"/seen" in paths_in(path)
            await kept.keeper.dump_for_alert(structs.replace(alert, pid=os.getpid()), None)
            await kept.keeper.dump_for_alert(structs.replace(alert, pid=1 << 22), None)
            assert [kind for kind, *_rest in kept.said] == ["dump_taken", "dump_failed", "dump_failed"]
            assert "another process has its number" in kept.said[1][1]
            assert "no record of it is left" in kept.said[2][1]
            assert len(kept.dumps()) == 1


async def test_what_was_lost_takes_nothing_away_from_a_dump_of_an_alert(tmp_path: Path) -> None:
    """While one is held up, calls find no room; the next has what was before that, and says that some are missing."""
    cpu = min(os.sched_getaffinity(0))
    with running(SEEN) as target, running(FAST) as fast:
        for each in (target, fast):
            os.sched_setaffinity(each.pid, {cpu})
        async with keeping(tmp_path, target.pid, fast.pid) as kept:
            tell(target, "go")
            assert await asyncio.to_thread(target.stdout.readline) == "x\n"  # type: ignore[union-attr]
            engine = kept.keeper.recorder_of(target.pid).engine
            async with in_the_middle(kept, target.pid) as (dump, may):
                tell(fast, "go")
                await auntil(lambda: engine.ring(cpu).untold, 60, "records find no room")
                fast.kill()
                await asyncio.to_thread(fast.wait, 30)
                may.set()
                await dump
            tell(target, "say more")
            await auntil(lambda: not engine.ring(cpu).untold, 60, "it is told with the next record")
            await kept.keeper.dump_for_alert(alert_of(target.pid), None)
            (path,) = kept.dumps()
            assert b"/seen" in paths_in(path)
            assert [each for each in RecordFile(path) if each.kind is RecordKind.LOST]


@pytest.mark.needs("root", "tmpfs")
async def test_a_disk_that_is_nearly_full_stays_so(tmp_path: Path) -> None:
    """A dump leaves room to others, and to the next: also one that would just fit."""
    folder = tmp_path / "dumps"
    folder.mkdir()
    with running(WAITS) as target:
        async with keeping(tmp_path, target.pid) as kept:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", folder], check=True)  # noqa: ASYNC221
            try:
                (folder / "other").write_bytes(bytes((4 << 20) - (100 << 10)))
                await kept.keeper.dump_for_alert(alert_of(target.pid), None)
                assert [path.name for path in kept.dumps()] == ["other"]
                assert (kept.said[0][0], "nearly full" in kept.said[0][1]) == ("dump_failed", True)
                (folder / "other").unlink()
                await kept.keeper.dump_for_alert(alert_of(target.pid), None)
                assert (kept.said[1][0], len(kept.dumps())) == ("dump_taken", 1)
            finally:
                subprocess.run(["umount", folder], check=True)  # noqa: ASYNC221

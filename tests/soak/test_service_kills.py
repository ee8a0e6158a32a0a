"""The service is killed a hundred times at random moments, under load: its file is whole, and no row is wrong.

STRACED_SOAK_KILLS=10 makes it ten. The load knows what it did.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from straced.linux import procfs
from straced.model.history import SeriesInfo
from straced.store import events
from straced.store.history import History
from tests.service.daemon import Daemon
from tests.soak.conftest import Figures
from tests.soak.test_service import INTERVAL_S, Load, config_of, of_long_ones
from tests.support.poll import until

KILLS = int(os.environ.get("STRACED_SOAK_KILLS", "100"))
LONGEST_LIFE_S = 5.0
AFTERWARDS = 10_000
"""Calls that the service which is not killed has to count."""
pytestmark = [pytest.mark.needs("root", "ebpf", "cc"), pytest.mark.limit(60 * KILLS + 300)]


def of_session(leader: int) -> list[int]:
    """The processes that a killed service has left in its session."""
    found = []
    for pid in procfs.pids():
        try:
            if procfs.stat(pid).session == leader:
                found.append(pid)
        except (procfs.Gone, OSError):
            continue
    return found


def check(state: Path, copy: Path) -> None:
    """What was killed has left a whole database; of a copy, so that the next service mends it by itself."""
    copy.mkdir()
    for path in state.glob("history.db*"):
        shutil.copy(path, copy)
    database = sqlite3.connect(copy / "history.db")
    assert database.execute("pragma integrity_check").fetchone() == ("ok",)
    database.close()
    shutil.rmtree(copy)


def test_a_hundred_kills(tmp_path: Path, figures: Figures) -> None:
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    with figures.row("the service killed at random moments", KILLS) as found:
        found["seed"] = seed
        load = Load(tmp_path)
        daemon = Daemon(tmp_path, config_of(load, 0), interval=f"{INTERVAL_S:g}s")
        try:
            for number in range(KILLS):
                daemon.process = daemon.spawn()
                if number % 2:  # the others may be killed before they answer
                    until(daemon.answers, 60, daemon.log.read_text)
                time.sleep(chance.uniform(0.0, LONGEST_LIFE_S))
                leader = daemon.process.pid
                daemon.kill()
                until(lambda leader=leader: not of_session(leader), 30, lambda leader=leader: str(of_session(leader)))  # type: ignore[misc]
                if (daemon.state / "history.db").exists():
                    check(daemon.state, tmp_path / "copy")
            before = counted(daemon)
            daemon.start()
            until(lambda: asyncio.run(is_counted(daemon, load)), 120, pause_s=0.1)
            made = load.made
            until(lambda: load.made > made + AFTERWARDS, 120, pause_s=0.1)
            load.park()
            parked_ms = int(time.time() * 1000)
            until(lambda: samples_since(daemon, parked_ms) >= 3, 120, pause_s=INTERVAL_S)
            assert daemon.stop() <= 3.0
            assert counted(daemon) - before >= load.made - made, "the last one has counted all"
            judge(daemon, load, found)
        finally:
            daemon.stop()
            load.close()
    assert "Traceback" not in daemon.log.read_text()


async def is_counted(daemon: Daemon, load: Load) -> bool:
    async with daemon.client() as client:
        snapshot = await client.snapshot()
    mine = load.process.pid
    return snapshot is not None and any(
        each.facts.pid == mine and each.calls is not None for each in snapshot.processes
    )


@contextlib.contextmanager
def opened(daemon: Daemon) -> Iterator[History]:
    history = History(daemon.state / "history.db")
    try:
        yield history
    finally:
        history.close()


def samples_since(daemon: Daemon, ms: int) -> int:
    with opened(daemon) as history:
        return int(history.connection.execute("select count(*) from host where ts > ?", (ms,)).fetchone()[0])


def calls_of(history: History, processes: list[SeriesInfo]) -> int:
    return next((row.calls or 0 for row in history.answer(processes, 0).rows if row.name == "getppid"), 0)


def counted(daemon: Daemon) -> int:
    """All calls of the load that history has."""
    if not (daemon.state / "history.db").exists():
        return 0
    with opened(daemon) as history:
        return calls_of(history, history.find(job="soak"))


def judge(daemon: Daemon, load: Load, found: dict[str, object]) -> None:
    """Nothing is counted that was not made, of any process, and no sample is of a time that has not been."""
    with opened(daemon) as history:
        assert history.connection.execute("pragma integrity_check").fetchone() == ("ok",)
        times = [row[0] / 1000 for row in history.connection.execute("select ts from host order by ts")]
        assert times[-1] <= time.time()
        processes = history.find(job="soak")
        for child, made in of_long_ones(load).items():
            there = calls_of(history, [info for info in processes if info.kind == "process" and info.pid == child])
            assert there <= made, f"{child} made {made} calls, history has {there}"
        total = calls_of(history, processes)
        kinds = [event.kind for event in events.events(history, limit=10_000) if event.pid is None]
        found["samples"] = len(times)
        found["calls"] = f"{load.made:,}, {total:,} of them counted"
        found["interrupted"] = kinds.count("interrupted")
        assert 0 < total <= load.made
        assert kinds.count("interrupted") <= KILLS

"""Ten minutes of servers that have nothing to do, under a service as it comes: no slow call is told of any of them.

STRACED_SOAK_SCALE=0.1 makes it one minute.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from straced.client import Client
from straced.ipc.messages import Select
from straced.model.tick import ServiceEvent
from tests.service.daemon import serving
from tests.soak.conftest import SCALE, Figures
from tests.soak.idle_servers import idle_servers
from tests.support.poll import auntil

SECONDS = 600 * SCALE


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that all users may enter, with a FIFO and a place for the service."""
    with tempfile.TemporaryDirectory(prefix="straced-idle-", dir="/tmp") as name:
        made = Path(name)
        made.chmod(0o755)
        (made / "service").mkdir()
        os.mkfifo(made / "fifo")
        yield made


@pytest.fixture
def opener(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """It opens the FIFO when it is told to, which takes until somebody reads there: the one call that is slow."""
    process = subprocess.Popen(["sh", "-c", "read line; : > fifo; read line"], stdin=subprocess.PIPE, cwd=folder)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.needs("root", "ebpf")
@pytest.mark.limit(1800)
async def test_who_is_idle_is_not_slow(figures: Figures, folder: Path, opener: subprocess.Popen[bytes]) -> None:
    with idle_servers(folder) as pids, serving(folder / "service", interval="1s", discover="2s") as daemon:
        watched = {*pids.values(), opener.pid}
        async with daemon.client() as client:
            for pid in watched:
                await client.watch(str(pid))
            await auntil(lambda: _are_counted(client, watched), 120, "all of them are counted")
            await asyncio.sleep(SECONDS)  # which is what is to be seen
            assert opener.stdin is not None
            opener.stdin.write(b"go\n")
            opener.stdin.flush()
            await auntil(lambda: _told(client, opener.pid), 60, "what is slow is told")
            snapshot = await client.snapshot()
            told = await _told(client)
    assert snapshot is not None
    others = [event for event in told if event.pid != opener.pid]
    with figures.row(f"idle: {', '.join(pids)}", len(pids)) as found:
        found["seconds"] = SECONDS
        found["processes"] = len(snapshot.processes)
        found["told as slow"] = Counter(f"{event.comm}: {event.text}" for event in others) or "none"
    assert len(pids) >= 10
    assert not others


async def _are_counted(client: Client, pids: set[int]) -> bool:
    snapshot = await client.snapshot()
    return snapshot is not None and pids <= {each.facts.pid for each in snapshot.processes if each.calls is not None}


async def _told(client: Client, pid: int | None = None) -> list[ServiceEvent]:
    events = [each for each in await client.events(Select(limit=1000)) if each.kind == "slow_call"]
    return [each for each in events if pid in (None, each.pid)]

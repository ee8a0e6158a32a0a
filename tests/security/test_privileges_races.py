"""Readings as fast as they can be made while stronger programs come and go: each count is told to whom it belongs."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Iterator
from pathlib import Path

import pytest

from straced.config import watch_rules
from straced.linux.credentials import Peer
from straced.model.tick import Tick
from straced.service.collect.collector import Watcher
from straced.tracers.ebpf import EbpfTracer
from tests.security import rights
from tests.security.rights import USER, children, go_on, heard, started, strong
from tests.service.needs import needs_ebpf, needs_root
from tests.service.processes import public_folder

ME = Peer(1, USER, USER)
TIMES = 200


@pytest.fixture
def plain(world: None) -> Iterator[Path]:
    """The workload, where another user can run it."""
    with public_folder() as folder:
        yield rights.build(folder)


class Sums:
    """What the user may be told, and what root may, of all ticks."""

    def __init__(self) -> None:
        self.mine: collections.Counter[str] = collections.Counter()
        self.all: collections.Counter[str] = collections.Counter()

    def add(self, tick: Tick) -> None:
        """Add a tick."""
        for sample in tick.processes:
            shared = (*(sample.calls or ()), *sample.ended)
            for call in (*shared, *sample.others):
                self.all[call.name] += call.calls or 0
            for call in shared if ME.may_see(sample.owner) else ():
                self.mine[call.name] += call.calls or 0


@needs_root
@needs_ebpf
async def test_a_reading_may_come_at_any_moment(plain: Path) -> None:
    more = strong(plain, "set-user-ID")
    once = children("mine", 3, "exec", more, "theirs", 11, times=TIMES)
    twice = children("mine", 5, "exec", plain, "mine", 7, times=TIMES)
    sums = Sums()
    watcher = Watcher(EbpfTracer())
    with started(plain, "say", "ready", *once, *twice, "say", "done") as process:
        watcher.set_rules([watch_rules.parse(str(process.pid), {})])
        sums.add((await watcher.tick())[0])
        go_on(process)
        done = asyncio.create_task(asyncio.to_thread(heard, process))
        while not done.done():
            sums.add((await watcher.tick(look=False))[0])
            await asyncio.sleep(0)  # a tick need not wait for anything
        assert await done == "done"
        sums.add((await watcher.tick())[0])
        await watcher.close()
    assert sums.mine["umask"] == 0
    assert sums.all["umask"] > 0
    assert sums.all["getppid"] == TIMES * (3 + 5 + 7)
    assert sums.mine["getppid"] == sums.all["getppid"], "nothing of the user's is root's alone"

"""A tick begins on time: who came and went is found out before it is due. Of `service/service.py`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from straced.config.paths import ServicePaths
from straced.config.schema import Config, Nanoseconds
from straced.service.service import Service

INTERVAL = Nanoseconds(200_000_000)


async def test_the_look_is_over_when_the_tick_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for one that was refused: the tick makes up for it, and says why it cannot if it is so still."""
    paths = ServicePaths(system=False, state=tmp_path, runtime=tmp_path, socket=tmp_path / "socket")
    service = Service(Config(tracer="none", interval=INTERVAL, discover=INTERVAL), paths)
    look, tick, done = service.watcher.look, service.watcher.tick, asyncio.Event()
    order: list[str] = []

    async def looked() -> None:
        order.append("look")
        if len(order) == 5:
            raise OSError(24, "no descriptor")
        await look()

    async def ticked(*, look: bool = True, late: bool = False) -> object:
        order.append("tick")
        if order.count("tick") == 4:
            done.set()
        return await tick(look=look, late=late)

    service.start()
    monkeypatch.setattr(service.watcher, "look", looked)
    monkeypatch.setattr(service.watcher, "tick", ticked)
    running = asyncio.create_task(service.run())
    await done.wait()
    service.ask_to_stop()
    await running
    await service.stop()
    await service.close()
    assert order[:9] == ["look", "tick", "look", "tick", "look", "tick", "look", "look", "tick"]

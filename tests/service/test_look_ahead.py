"""A tick begins on time: who came and went is found out before it is due. Of `service/service.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from straced.config.paths import ServicePaths
from straced.config.schema import Config, Nanoseconds
from straced.service.service import Service

HOUR = Nanoseconds(3600 * 10**9)


async def test_the_look_is_over_when_the_tick_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for one that was refused: the tick makes up for it, and says why it cannot if it is so still."""
    paths = ServicePaths(system=False, state=tmp_path, runtime=tmp_path, socket=tmp_path / "socket")
    service = Service(Config(tracer="none", interval=HOUR, discover=HOUR), paths)
    look, tick = service.watcher.look, service.watcher.tick
    order: list[str] = []
    refused = False

    async def looked() -> None:
        order.append("look")
        if refused:
            raise OSError(24, "no descriptor")
        await look()

    async def ticked(*, look: bool = True, late: bool = False) -> object:
        order.append("tick")
        return await tick(look=look, late=late)

    service.start()
    service.after_tick.append(service.ask_to_stop)
    monkeypatch.setattr(service.watcher, "look", looked)
    monkeypatch.setattr(service.watcher, "tick", ticked)
    await service.run()
    assert order == ["look", "tick"]
    await service._look_ahead()
    await service.tick()
    assert order == ["look", "tick", "look", "tick"]
    service.rules_changed()
    refused = True
    await service._look_ahead()
    refused = False
    await service.tick()
    assert order == ["look", "tick", "look", "tick", "look", "tick", "look"]
    await service.stop()
    await service.close()

"""What holds up the end of a service: nothing of its own. Of `service/service.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from straced.config.paths import ServicePaths
from straced.config.schema import Config
from straced.service.service import Service


async def test_durations_that_can_not_be_read_hold_up_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def torn(epoch_s: float) -> None:
        raise RuntimeError("a row that contradicts itself")

    paths = ServicePaths(system=False, state=tmp_path, runtime=tmp_path, socket=tmp_path / "socket")
    service = Service(Config(), paths)
    service.start()
    monkeypatch.setattr(service.watcher.durations, "take", torn)
    ended: list[str] = []
    monkeypatch.setattr(service, "say", lambda kind, *_, **__: ended.append(kind))
    await service.stop()
    await service.close()
    assert ended == ["service_stopped"]
    assert "durations_failed" in caplog.text

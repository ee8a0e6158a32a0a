"""What holds up the end of a service: nothing of its own. Of `service/service.py`."""

from __future__ import annotations

import asyncio
import selectors
from pathlib import Path

import pytest

from straced.config.paths import ServicePaths
from straced.config.schema import Config
from straced.service.service import Service
from straced.workflows.daemon import STOP_S, Daemon


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


class _Hourglass(selectors.DefaultSelector):
    """Lets the time of a loop pass at once when it would wait, so that what is measured is what was waited for."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0 if timeout is not None else None)
        self.now += 0 if ready else timeout or 0
        return ready


def test_what_does_not_come_to_its_end_leaves_the_rest_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part had a limit of its own, and all together were longer than the service may take."""
    times, selector = list[float](), _Hourglass()
    loop = asyncio.SelectorEventLoop(selector)
    monkeypatch.setattr(loop, "time", lambda: selector.now)

    async def never(*_: object) -> None:
        await loop.create_future()

    async def stuck(timeout_s: float) -> None:
        times.append(timeout_s)
        await asyncio.sleep(timeout_s)

    async def main() -> float:
        paths = ServicePaths(system=False, state=tmp_path, runtime=tmp_path, socket=tmp_path / "socket")
        daemon = Daemon(Config(), paths)
        service = daemon.service
        service.start()
        close = service.history.close
        for part, name in (
            (service.watcher.durations, "take"), (service.watcher, "close"), (daemon.sessions, "close"),
            (service._profiler, "close"), (service.flight, "close"),
        ):  # fmt: skip
            monkeypatch.setattr(part, name, never)
        monkeypatch.setattr(service.history, "close", stuck)
        await daemon.stop()
        took = loop.time()
        await close(10)
        return took

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        assert runner.run(main()) <= STOP_S + 1e-6
    assert times[0] >= STOP_S * 0.25

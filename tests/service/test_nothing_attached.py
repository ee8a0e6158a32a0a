"""A service that is to attach to nothing: whoever asks is refused in clear words, and no tracer comes near a process.

Of `service/collect/tracer_choice.py` and `service/alerts/announcer.py`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from straced.client.client import Client
from straced.config.paths import ServicePaths
from straced.config.schema import Config, OnAlert, RecordConfig, TraceAction
from straced.errors import TracerUnavailable
from straced.linux import procfs
from straced.model.alerts import AlertRow
from straced.service.service import Service
from tests.service.daemon import serving
from tests.service.processes import running
from tests.support.poll import auntil

NOTHING = "this service attaches to no process"


async def test_clients_are_refused(tmp_path: Path) -> None:
    """What they start runs all the same, and facts are theirs as ever."""
    with serving(tmp_path, 'tracer = "none"\n[record]\nenabled = true\n') as daemon, running() as target:
        async with daemon.client() as client:
            for ask in _asks(client, target.pid, tmp_path):
                with pytest.raises(TracerUnavailable, match=NOTHING) as refused:
                    await ask()
                assert 'tracer = "none"' in refused.value.hint
            with pytest.raises(TracerUnavailable, match=NOTHING) as refused:
                await client.spawn(["true"])
            process = refused.value.process  # type: ignore[attr-defined]
            assert await process.wait() == 0
            await client.watch(str(target.pid))
            await auntil(lambda: _is_watched(client, target.pid))
            status = await client.status()
    assert (status.tracer, status.tracer_reason) == (None, "turned off in the configuration")
    assert not {"trace", "dump.strc"} & set(os.listdir(tmp_path))


def _asks(client: Client, pid: int, folder: Path) -> list[Callable[[], Awaitable[object]]]:
    traces = [lambda by=by: client.trace(pid, folder / "trace", tracer=by) for by in ("auto", "ebpf", "strace")]
    return [
        lambda: client.attach(pid),
        lambda: client.watch_children(os.getpid()),
        lambda: client.dump(pid, folder / "dump.strc"),
        *traces,
    ]


async def _is_watched(client: Client, pid: int) -> bool:
    return any(each.facts.pid == pid for each in (await client.snapshot()).processes)


async def test_nor_does_it_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No recorder, no traces of alerts, and why of a stuck process is asked to count nothing."""
    said: list[tuple[str, str]] = []
    paths = ServicePaths(system=False, state=tmp_path, runtime=tmp_path, socket=tmp_path / "socket")
    config = Config(tracer="none", on_alert=OnAlert(trace=TraceAction()), record=RecordConfig(enabled=True))
    service = Service(config, paths)
    monkeypatch.setattr(service, "say", lambda kind, text, **_: said.append((kind, text)))
    for keeper in (service.flight, service.reactions):
        monkeypatch.setattr(keeper, "_say", service.say)
    asked, words = tmp_path / "straced", tmp_path / "words"
    asked.write_text(f'#!/bin/sh\necho "$@" > {words}.new; mv {words}.new {words}\n')
    asked.chmod(0o755)
    service.start()
    try:
        with running() as target:
            alert = AlertRow(
                id="0123456789abcdef", kind="stuck", subject="x", text="x", pid=target.pid,
                start_ticks=procfs.stat(target.pid).start_ticks, opened_s=1.0, updated_s=1.0,
            )  # fmt: skip
            monkeypatch.setattr(sys, "executable", str(asked))
            service.reactions.opened(alert)
            tick = await service.tick()
            now = tick.epoch_s
            service._announcer.announce(msgspec.structs.replace(alert, opened_s=now, updated_s=now), tick)
            await auntil(lambda: len(said) >= 2 and words.exists())
    finally:
        await service.stop()
        await service.close()
    assert {kind for kind, text in said if NOTHING in text} == {"trace_failed", "not_recorded"}
    assert words.read_text().split()[-2:] == ["--tracer", "none"]
    assert not paths.traces.exists()

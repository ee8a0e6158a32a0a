"""The service has its history exported: at its start, elsewhere after a reload, and says when it can not.

Of `service/hourly_exporter.py`.
"""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import pytest

from straced.ipc.messages import Select
from straced.store.hourly_export import file_of
from tests.service.daemon import Daemon, serving
from tests.store import exported_hosts
from tests.support.poll import until

pytest.importorskip("duckdb", reason="the extra analytics is not installed")
EIGHT = time.time() // 86400 * 86400 - 2 * 86400 + 8 * 3600


def kinds(daemon: Daemon) -> list[str]:
    async def ask() -> list[str]:
        async with daemon.client() as client:
            return [event.kind for event in await client.events(Select(since=time.time() - 600))]

    return asyncio.run(ask())


def config(folder: Path) -> str:
    return f'tracer = "none"\n[export]\ndirectory = "{folder}"\nhost = "web-9"\n'


def test_at_the_start_and_after_a_reload_whole_hours_are_written(tmp_path: Path) -> None:
    first, second, file = tmp_path / "first", tmp_path / "second", tmp_path / "file"
    exported_hosts.record(tmp_path / "state" / "history.db", EIGHT, 1)
    file.write_text("no directory")
    with serving(tmp_path, config(first)) as daemon:
        assert until(lambda: file_of(first, "hours", "web-9", EIGHT + 3600).exists(), 60)
        daemon.write(config(file))
        daemon.signal(signal.SIGHUP)
        until(lambda: "export_failed" in kinds(daemon), 60, pause_s=0.1)
        daemon.write(config(second))
        daemon.signal(signal.SIGHUP)
        assert until(lambda: file_of(second, "hours", "web-9", EIGHT + 3600).exists(), 60)
    assert file.read_text() == "no directory"


def test_a_service_that_ends_meanwhile_ends_the_worker(tmp_path: Path) -> None:
    """Which the world check at the end of the test sees, too."""
    exported_hosts.record(tmp_path / "state" / "history.db", EIGHT, 1)
    folder = tmp_path / "srv"
    with serving(tmp_path, config(folder)) as daemon:
        until(lambda: folder.exists(), 60)
        daemon.kill()
    with serving(tmp_path, config(folder)) as daemon:
        until(lambda: folder.exists(), 60)
        assert daemon.stop() < 10

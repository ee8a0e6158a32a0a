"""The service has its history exported: at its start, elsewhere after a reload, and says when it can not.

It tries again soon where an hour could not be written. Of `service/hourly_exporter.py`.
"""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import pytest

from straced.commands import status
from straced.config.schema import ExportConfig, StoreConfig
from straced.ipc.messages import Select
from straced.service.hourly_exporter import HourlyExporter
from straced.store.hourly_export import file_of
from straced.store.writer import HistoryWriter
from tests.service.daemon import Daemon, serving
from tests.service.samples import calls, process, tick
from tests.store import exported_hosts
from tests.support.poll import auntil, until

pytest.importorskip("duckdb", reason="the extra analytics is not installed")
EIGHT = time.time() // 86400 * 86400 - 2 * 86400 + 8 * 3600


def kinds(daemon: Daemon) -> list[str]:
    async def ask() -> list[str]:
        async with daemon.client() as client:
            return [event.kind for event in await client.events(Select(since=time.time() - 600))]

    return asyncio.run(ask())


def export_line(daemon: Daemon) -> str:
    async def ask() -> list[str]:
        async with daemon.client() as client:
            return ["".join(span.text for span in line) for line in status.lines(await client.status())]

    return next(line for line in asyncio.run(ask()) if line.startswith("export"))


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
        until(lambda: export_line(daemon).endswith("is no directory; 3 hours to be written"), 60, pause_s=0.1)
        daemon.write(config(second))
        daemon.signal(signal.SIGHUP)
        assert until(lambda: file_of(second, "hours", "web-9", EIGHT + 3600).exists(), 60)
        until(lambda: export_line(daemon) == "export     ok", 60, pause_s=0.1)
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


class Said:
    """The events of an exporter that soon tries again."""

    def __init__(self, database: Path, folder: Path) -> None:
        self.kinds: list[str] = []
        written = ExportConfig(directory=str(folder), host="web-9")
        self.exporter = HourlyExporter(written, lambda: database, self._say, again_s=(0.05, 0.2))

    def _say(self, kind: str, _text: str, **_data: object) -> None:
        self.kinds.append(kind)

    async def is_at(self, state: str) -> None:
        """Look, as the service does each second, until it says that it is."""

        def looked() -> bool:
            self.exporter.look()
            return self.exporter.state == state and self.exporter.waiting is not None

        await auntil(looked, 60, lambda: f"{state}: {self.exporter.state} {self.exporter.error}")


async def test_a_directory_that_was_not_there_is_tried_again_when_it_is(tmp_path: Path) -> None:
    database, mount = tmp_path / "private" / "history.db", tmp_path / "mount"
    exported_hosts.record(database, EIGHT, 1)
    mount.symlink_to(tmp_path / "nowhere" / "else")  # of a file system that is not mounted
    said = Said(database, mount / "srv")
    try:
        await said.is_at("failed")
        assert said.exporter.waiting == 3
        (tmp_path / "nowhere" / "else").mkdir(parents=True)
        await said.is_at("behind")
    finally:
        await said.exporter.close()
    assert said.exporter.waiting == 1, "of a minute that no service has closed"
    assert all(file_of(mount / "srv", "hours", "web-9", hour).exists() for hour in (EIGHT, EIGHT + 3600))
    assert said.kinds == ["export_failed", "export_resumed"], "each is said once, however often it is tried"


async def test_an_hour_whose_last_minute_was_not_closed_is_written_once_it_is(tmp_path: Path) -> None:
    """A service was killed within it, and the next one looks before it has taken a sample."""
    database, folder = tmp_path / "private" / "history.db", tmp_path / "srv"
    writer = HistoryWriter(database, StoreConfig())
    writer.start()
    for minute in range(60):
        writer.tick(tick(EIGHT + 60 * minute, process(7, made=(calls("read", 10),))))
    assert writer.flush(60)
    said = Said(database, folder)
    try:
        await said.is_at("behind")
        assert said.exporter.waiting == 1
        assert not file_of(folder, "hours", "web-9", EIGHT).exists()
        writer.tick(tick(EIGHT + 7200))
        assert writer.flush(60)
        await said.is_at("ok")
    finally:
        await said.exporter.close()
        writer.close(30)
    assert file_of(folder, "hours", "web-9", EIGHT).exists()
    assert said.kinds == []

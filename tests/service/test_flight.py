"""The flight recorder of a service: on for what it watches, dumped on alerts, within a budget.

Of `service/flight_keeper.py` and `client/remote_dump.py`.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from straced.config.paths import ServicePaths
from straced.config.schema import Bytes, DumpAction, OnAlert, RecordConfig
from straced.errors import InvalidArgument, OutputError, TracerUnavailable
from straced.linux import procfs
from straced.model.alerts import AlertRow
from straced.profiling.profiler import Profiler
from straced.records.reader import RecordFile
from straced.records.values import RecordKind
from straced.service.alerts.reactions import Reactions
from straced.service.flight_keeper import FlightKeeper
from straced.service.flight_rights import choose_for
from tests.service.daemon import serving
from tests.service.needs import needs_ebpf
from tests.service.processes import READY, running
from tests.support.poll import auntil

pytestmark = needs_ebpf
LOOP = READY + "while True: os.access('/seen', 0); time.sleep(0.001)"


class Said(list[tuple[str, str, dict[str, Any]]]):
    def __call__(self, kind: str, text: str, **data: Any) -> None:
        self.append((kind, text, data))


def keeper_of(folder: Path, said: Said, **config: Any) -> FlightKeeper:
    paths = ServicePaths(system=True, state=folder, runtime=folder, socket=folder / "socket")
    return FlightKeeper(RecordConfig(enabled=True, ring=Bytes(1 << 20), **config), paths, 1.0, said)


async def following(keeper: FlightKeeper, *pids: int) -> None:
    """Record these, and no others, from now on."""
    keys = [(pid, procfs.stat(pid).start_ticks) for pid in pids]

    def done() -> bool:
        keeper.follow(keys)
        try:
            followed = keeper.recorder_of(pids[0]).targets
        except (InvalidArgument, TracerUnavailable):
            return False
        return {target.pid for target in followed} == set(pids)

    await auntil(done, 60, "they are recorded")


def alert_of(pid: int, kind: str = "stuck") -> AlertRow:
    return AlertRow(
        id="0123456789abcdef", kind=kind, subject="x", opened_s=1.0, updated_s=1.0, text="busy", pid=pid,
        comm="x", start_ticks=procfs.stat(pid).start_ticks,
    )  # fmt: skip


async def test_five_alerts_have_five_dumps_of_what_was_before_them(tmp_path: Path) -> None:
    said = Said()
    keeper = keeper_of(tmp_path, said)
    try:
        with running(LOOP) as target:
            await following(keeper, target.pid)
            await auntil(lambda: keeper.recorder_of(target.pid).kept_bytes > 1 << 16, 60, "it has records")
            async with Profiler("ebpf") as profiler:
                wanted = OnAlert(dump=DumpAction())
                reactions = Reactions(wanted, tmp_path / "traces", profiler, said, keeper.dump_for_alert)
                for number in range(5):
                    reactions.opened(alert_of(target.pid))
                    await auntil(lambda: len(said) == number + 1, 60, "it is taken")  # noqa: B023
                await reactions.close()
    finally:
        await keeper.close()
    assert [kind for kind, _text, _data in said] == ["dump_taken"] * 5
    dumps = sorted((tmp_path / "dumps").iterdir())
    assert len(dumps) == 5
    assert (tmp_path / "dumps").stat().st_mode & 0o777 == 0o700
    for path in dumps:
        assert path.name.startswith(f"stuck-{target.pid}-")
        assert path.stat().st_mode & 0o777 == 0o600
        file = RecordFile(path)
        assert file.end is not None
        assert file.facts.since_ns is not None
        assert (file.end.reason, file.end.chosen) == ("alert stuck", True)
        times = [each.end_ns for each in file if each.kind is RecordKind.CALL]
        assert min(times) >= file.facts.since_ns
        assert max(times) <= file.end.ended_ns


async def test_dumps_keep_within_their_budget(tmp_path: Path) -> None:
    said = Said()
    keeper = keeper_of(tmp_path, said, max_bytes=Bytes(300_000))
    folder = tmp_path / "dumps"
    folder.mkdir()
    old = folder / "cpu-1-20200101T000000.strc"
    old.write_bytes(bytes(200_000))
    with running(LOOP) as target:
        try:
            await following(keeper, target.pid)
            await auntil(lambda: keeper.recorder_of(target.pid).kept_bytes > 1 << 16, 60, "it has records")
            await keeper.dump_for_alert(alert_of(target.pid), None)
            assert not old.exists()
            assert sum(path.stat().st_size for path in folder.iterdir()) <= 300_000
            os.utime(next(folder.iterdir()), (1, 1))
            keeper.keep_within()
            assert [kind for kind, *_rest in said] == ["dump_taken", "dumps_dropped"]
            assert not list(folder.iterdir())
        finally:
            await keeper.close()


async def test_what_is_let_go_of_and_what_was_never_recorded(tmp_path: Path) -> None:
    said = Said()
    keeper = keeper_of(tmp_path, said)
    fd = os.open(tmp_path, os.O_TMPFILE | os.O_RDWR)
    with running(LOOP) as target, running() as other:
        try:
            with pytest.raises(TracerUnavailable, match="keeps no records"):
                await keeper.dump(fd, target.pid, choose_for(None, target.pid), None, None)
            await following(keeper, target.pid, other.pid)
            await auntil(lambda: keeper.recorder_of(target.pid).kept_bytes > 1 << 12, 60, "it has records")
            await following(keeper, other.pid)
            with pytest.raises(InvalidArgument, match="is not watched"):
                await keeper.dump(fd, target.pid, choose_for(None, target.pid), None, None)
            with pytest.raises(OutputError, match="larger than"):
                await keeper.dump(fd, other.pid, lambda window: {other.pid: 0, target.pid: 0}, None, 100)
            assert os.fstat(fd).st_size == 0
            keeper.configure(RecordConfig())
            keeper.follow([])
            await auntil(lambda: keeper.state == "off", 60, "it is turned off")
            await keeper.dump_for_alert(alert_of(other.pid), None)
            assert said[-1][0] == "dump_failed"
        finally:
            os.close(fd)
            await keeper.close()


async def test_a_dump_through_the_service(public: Path) -> None:
    """It is turned on by a reload, and told of in events."""
    config = '[record]\nenabled = {}\nring = "1MiB"\n[[watch]]\ntarget = "{}"\n'
    with running(LOOP) as target, serving(public, config.format("false", target.pid)) as daemon:
        path = public / "t.strc"
        async with daemon.client() as client:
            with pytest.raises(TracerUnavailable, match="keeps no records"):
                await client.dump(target.pid, path)
            assert not path.exists()
            daemon.write(config.format("true", target.pid))
            daemon.signal(signal.SIGHUP)

            async def taken() -> bool:
                try:
                    return (await client.dump(target.pid, path, overwrite=True, last_s=5)).calls > 10
                except (TracerUnavailable, InvalidArgument):
                    return False

            await auntil(taken, 60, "it records", lambda: asyncio.sleep(0.05))
            with pytest.raises(OutputError):
                await client.dump(target.pid, public / "full", min_free_bytes=1 << 60)
            assert not (public / "full").exists()
            with pytest.raises(InvalidArgument, match="no time to look back"):
                await client.dump(target.pid, path, overwrite=True, last_s=0)
        assert any(blob.data == b"/seen" for each in RecordFile(path) for blob in each.blobs.values())
        assert daemon.stop() < 3.0
        assert "Traceback" not in daemon.log.read_text()

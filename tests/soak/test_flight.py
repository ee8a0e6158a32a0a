"""The flight recorder under mixed load: flat memory, a hundred staged alerts, large dumps, exact sums.

Of `tracers/ebpf/flight.py` and `service/flight_keeper.py`.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from straced.config.paths import ServicePaths
from straced.config.schema import Bytes, RecordConfig
from straced.errors import InvalidArgument, TracerUnavailable
from straced.linux import procfs
from straced.linux.output_file import OutputFile
from straced.model.alerts import AlertRow
from straced.records.reader import RecordFile
from straced.records.values import CALLS
from straced.service.flight_keeper import FlightKeeper
from straced.tracers.ebpf import flight
from straced.tracers.ebpf.flight import FlightOptions
from tests.service.processes import READY, running
from tests.soak.conftest import Figures, times
from tests.support.poll import auntil
from tests.support.records import check_sums

pytestmark = [pytest.mark.needs("ebpf"), pytest.mark.limit(2400)]
FILES = READY + "while True:\n    os.stat('/etc'); os.access('/none', 0); time.sleep(0.0002)"
CHILDREN = READY + "while True:\n    if os.fork() == 0: os._exit(0)\n    os.wait(); time.sleep(0.005)"
FAST = READY + "while True: os.getppid()"
BEFORE_NS = 5 * 10**9


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_a_hundred_alerts_under_mixed_load(tmp_path: Path, figures: Figures) -> None:
    """Each dump has the five seconds before it, or as much as the ring can, and says which."""
    count = times(100)
    said: list[tuple[str, dict[str, Any]]] = []
    asked_ns: list[int] = []
    paths = ServicePaths(system=True, state=tmp_path, runtime=tmp_path, socket=tmp_path / "socket")
    config = RecordConfig(enabled=True, ring=Bytes(2 << 20), max_bytes=Bytes(10**9))
    keeper = FlightKeeper(config, paths, 1.0, lambda kind, text, **data: said.append((kind, data)))
    with ExitStack() as stack:
        targets = [stack.enter_context(running(code)) for code in (FILES, FILES, CHILDREN)]
        keys = [(each.pid, procfs.stat(each.pid).start_ticks) for each in targets]

        def follows() -> bool:
            keeper.follow(keys)
            try:
                return len(keeper.recorder_of(targets[0].pid).targets) == len(targets)
            except (InvalidArgument, TracerUnavailable):
                return False

        try:
            await auntil(follows, 60, "they are recorded")
            recorder = keeper.recorder_of(targets[0].pid)
            await auntil(lambda: any(recorder.engine.ring(cpu).tail for cpu in range(recorder.engine.cpus)), 300)
            await keeper.dump_for_alert(alert_of(keys[0], -1), BEFORE_NS)
            memory, said[:] = resident_bytes(), []
            with figures.row("alerts, each a dump of the 5 s before", count) as found:
                for number in range(count):
                    asked_ns.append(time.monotonic_ns())
                    await keeper.dump_for_alert(alert_of(keys[number % 3], number), BEFORE_NS)
                found.update({
                    "taken": len(said), "memory grown": f"{(resident_bytes() - memory) >> 10} kB",
                    "least span": f"{min(data['span_ns'] for _kind, data in said) / 1e9:.1f} s",
                })  # fmt: skip
        finally:
            await keeper.close()
    assert [kind for kind, _data in said] == ["dump_taken"] * count
    dumps = sorted((RecordFile(path) for path in (tmp_path / "dumps").iterdir()), key=ended_ns)
    assert len(dumps) == count + 1
    for file, asked in zip(dumps[1:], asked_ns, strict=True):
        check_start(file, asked)
    assert resident_bytes() - memory < 16 << 20


def ended_ns(file: RecordFile) -> int:
    assert file.end is not None
    return file.end.ended_ns


def check_start(file: RecordFile, asked_ns: int) -> None:
    """It begins where it says: five seconds before the alert, or where a ring does, in whose first record that is."""
    assert file.facts.since_ns is not None
    ended = [each.end_ns for each in file if each.kind in CALLS and each.cpu >= 0]
    assert min(ended) >= file.facts.since_ns >= asked_ns - BEFORE_NS
    assert min(ended) - file.facts.since_ns < 10**9


def alert_of(key: tuple[int, int], number: int) -> AlertRow:
    return AlertRow(
        id=f"{number:016x}", kind="stuck", subject="x", opened_s=1.0, updated_s=1.0, text="", pid=key[0], comm="x",
        start_ticks=key[1],
    )  # fmt: skip


async def test_large_dumps_while_it_goes_on(tmp_path: Path, figures: Figures) -> None:
    """64 MiB a CPU, full, of two loops as fast as they can; every sum holds, and nothing was lost for the dump."""
    recorder = await flight.load(FlightOptions(ring_bytes=64 << 20))
    took, exact = [], 0
    with running(FAST) as one, running(FAST) as other:
        try:
            for target in (one, other):
                await recorder.add(procfs.target(target.pid))
            full = recorder.memory_bytes - recorder.memory_bytes // 8
            await auntil(lambda: recorder.kept_bytes > full, 600, "the rings are full")
            with figures.row("dumps of 64 MiB a CPU", times(10)) as found:
                for _ in range(times(10)):
                    began = time.monotonic()
                    with OutputFile(tmp_path / "t.strc", overwrite=True) as file:
                        dumped = await recorder.dump(file.fd)
                    took.append(time.monotonic() - began)
                    exact += dumped.end.exact
                    await asyncio.sleep(0)
                lost = sum(recorder.engine.all_fates()[1::2])
                found.update({"MB": dumped.bytes >> 20, "longest": f"{max(took):.2f} s", "exact": exact, "lost": lost})
        finally:
            await recorder.close()
    assert exact == times(10)
    check_sums(RecordFile(tmp_path / "t.strc"))

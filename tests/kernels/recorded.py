"""Inside a booted kernel: records of workloads whose calls are known, beside whatever else wants the CPUs."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from straced.linux import procfs
from straced.records.reader import RecordFile
from straced.tracers.ebpf import flight
from straced.tracers.ebpf.flight import FlightOptions
from straced.tracers.ebpf.flight_engine import LEAST
from tests.accuracy.test_records import by_name, record
from tests.accuracy.truth import TRUTH
from tests.kernels.checks import LONG_S, check
from tests.support.records import check_sums
from tests.support.workload import Starter

NAMES = ("n-20000", "nthreads-8-2000", "nforks-8-2000")
THREADS, EACH = 8, 5000
"""Their records are more than two rings hold of the smallest kind."""


@check
def recorded(refused: str) -> str:
    """Each call has its record; of those that a flight recorder has no more it knows how many there were."""
    if refused:
        return f"eBPF cannot serve: {refused}"
    with tempfile.TemporaryDirectory() as name:
        starter = Starter(Path("/tmp/gt"), None)
        try:
            return asyncio.run(_records(starter, Path(name)))
        finally:
            starter.end()


async def _records(starter: Starter, folder: Path) -> str:
    total = 0
    for truth in (each for each in TRUTH if each.name in NAMES):
        file = await record(starter, truth, folder / truth.name)
        check_sums(file)
        found = by_name(file)
        assert {name: found.get(name) for name in truth.calls} == truth.calls, (truth.name, found)
        total += sum(calls for calls, _errors in truth.calls.values())
    kept, overwritten = await _flight(starter, folder / "dump")
    return f"{total} calls of which each has its record; {kept} kept, {overwritten} overwritten"


async def _flight(starter: Starter, path: Path) -> tuple[int, int]:
    recorder = await flight.load(FlightOptions(ring_bytes=LEAST))
    try:
        target = starter("nthreads", THREADS, EACH)
        await recorder.add(procfs.target(target.pid))
        await target.work(LONG_S)
        with path.open("xb") as file:
            await recorder.dump(file.fileno())
    finally:
        await recorder.close()
    dumped = RecordFile(path)
    kept = check_sums(dumped)["getppid"]
    assert dumped.end is not None
    fates = dumped.end.calls["getppid"]
    assert (fates.counted, fates.lost) == (THREADS * EACH, 0), fates
    assert fates.overwritten, fates
    return kept, fates.overwritten

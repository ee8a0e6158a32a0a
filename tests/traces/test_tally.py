"""What a full trace counted is the truth: a summary goes on over the time in which a trace had the target.

Of `traces/analysis/partial_counts.py` and `traces/analysis/worker.py`.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from straced import Profiler
from straced.model.types import Sample
from straced.profiling.trace_counts import tally
from straced.tracers.strace.recording import RecordOptions
from tests.accuracy.truth import TRUTH, Truth
from tests.support.needs import unavailable
from tests.support.workload import Starter

pytestmark = pytest.mark.needs("strace", "cc")
RESTARTED = Truth(("sarestart", 50), {"read": (1, 0)})
LONG = ("n-20000", "nthreads-8-2000", "nforks-8-2000", "io-2000")
CHOSEN = [truth for truth in (*TRUTH, RESTARTED) if truth.name not in LONG]


async def traced(
    profiler: Profiler, start: Starter, truth: Truth, path: Path, options: RecordOptions | None = None
) -> Sample:
    """Run a workload under a full trace that has a file, and count that."""
    if truth.i386 and start.gt32 is None:
        unavailable("i386", "the compiler has no 32-bit C library")
    workload = start(*truth.argv, binary=start.gt32 if truth.i386 else None)
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        recording = await profiler.record(workload.pid, fd, options or RecordOptions())
        recording.path = path
        await workload.work()
        if truth.ends:
            await asyncio.to_thread(workload.let_end)
            await recording.wait()
        else:
            await recording.stop()
    finally:
        os.close(fd)
    return tally(recording, 0, 0.0)


@pytest.mark.parametrize("truth", CHOSEN, ids=lambda truth: truth.name)
async def test_counts(profiler: Profiler, start: Starter, truth: Truth, tmp_path: Path) -> None:
    sample = await traced(profiler, start, truth, tmp_path / "trace")
    found = {name: [0, 0] for name in truth.calls}
    for row in sample.rows:
        assert row.wall_ns is not None
        if row.name in found:
            found[row.name][0] += row.calls or 0
            found[row.name][1] += row.errors or 0
    assert {name: tuple(pair) for name, pair in found.items()} == truth.calls
    assert (sample.reasons, sample.lost, sample.time) == ((), 0, "wall")


async def test_without_durations_time_is_not_known(profiler: Profiler, start: Starter, tmp_path: Path) -> None:
    sample = await traced(
        profiler, start, Truth(("n", 50), {}), tmp_path / "trace", RecordOptions(timestamps="s", trace="getppid")
    )
    (row,) = sample.rows
    assert (row.name, row.calls, row.wall_ns, sample.time) == ("getppid", 50, None, "none")
    assert [reason.code for reason in sample.reasons] == ["filtered"]


@pytest.mark.parametrize(("text", "reasons"), [(b"", []), (b"no trace\n", ["unread"]), (None, ["unread"])])
async def test_a_file_that_somebody_changed(
    profiler: Profiler, start: Starter, tmp_path: Path, text: bytes | None, reasons: list[str]
) -> None:
    """It is read back when the target has long gone on: whatever stands there, the summary goes on."""
    path = tmp_path / "trace"
    workload = start("pause")
    with path.open("wb") as file:
        recording = await profiler.record(workload.pid, file.fileno(), RecordOptions())
        await recording.stop()
    recording.path = path
    path.unlink()
    if text is not None:
        path.write_bytes(text)
    sample = tally(recording, 0, 0.0)
    assert ([reason.code for reason in sample.reasons], sample.rows) == (reasons, ())
    assert (sample.lost is None) == (reasons == ["unread"])

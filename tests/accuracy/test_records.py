"""The accuracy table for records: each counted call has one, or is counted as filtered or lost, name by name.

Of `tracers/ebpf/recorder.py`, `tracers/ebpf/record_engine.py`, `tracers/ebpf/ring_drain.py` and `records/reader.py`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from straced.records.reader import RecordFile
from straced.records.values import CALLS, label_of
from straced.syscalls import ABIS, number_of
from straced.tracers.ebpf import preemption
from straced.tracers.ebpf.record_engine import RecordFilter
from straced.tracers.ebpf.record_session import RecorderOptions
from tests.accuracy.truth import TRUTH, Truth
from tests.support.needs import unavailable
from tests.support.records import check_sums, recording
from tests.support.workload import Starter

pytestmark = pytest.mark.needs("ebpf", "cc")
OTHER = ("nthreads", "threxec", "eintr", "seccerrno")
"""What differs most where the programs hear of calls in another way."""


async def record(start: Starter, truth: Truth, path: Path, options: RecorderOptions | None = None) -> RecordFile:
    if truth.i386 and start.gt32 is None:
        unavailable("i386", "the compiler has no 32-bit C library")
    workload = start(*truth.argv, binary=start.gt32 if truth.i386 else None)  # type: ignore[arg-type]
    async with recording(workload.pid, path, options) as running:
        await workload.work(60)
        if truth.ends:
            await asyncio.to_thread(workload.let_end)
            await running.wait()
    if not truth.ends:
        workload.kill()
    return RecordFile(path)


def by_name(file: RecordFile) -> dict[str, tuple[int, int]]:
    """Calls and errors, all ABIs together."""
    calls: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    for each in file:
        if each.kind in CALLS:
            name = each.label.partition("/")[0]
            calls[name] += 1
            errors[name] += each.result is not None and -4095 <= each.result < 0
    return {name: (count, errors[name]) for name, count in calls.items()}


@pytest.mark.parametrize("truth", TRUTH, ids=lambda truth: truth.name)
async def test_every_call_has_its_record(start: Starter, tmp_path: Path, truth: Truth) -> None:
    await check_records(start, truth, tmp_path)


@pytest.mark.parametrize("truth", [truth for truth in TRUTH if truth.argv[0] in OTHER], ids=lambda truth: truth.name)
async def test_every_call_has_its_record_by_the_programs_for_other_kernels(
    start: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, truth: Truth
) -> None:
    monkeypatch.setattr(preemption, "programs_are_preempted", lambda: True)
    await check_records(start, truth, tmp_path)


async def check_records(start: Starter, truth: Truth, tmp_path: Path) -> None:
    file = await record(start, truth, tmp_path / "t.strc")
    check_sums(file)
    assert file.end is not None
    assert all(not fate.lost and not fate.filtered for fate in file.end.calls.values())
    found = by_name(file)
    assert {name: found.get(name) for name in truth.calls} == truth.calls


@pytest.mark.parametrize(
    "wanted",
    [RecordFilter(failed_only=True), RecordFilter(calls=frozenset({"kill"})), RecordFilter(slower_ns=10**12)],
    ids=["failed", "calls", "slower"],
)
async def test_what_is_filtered_is_counted(start: Starter, tmp_path: Path, wanted: RecordFilter) -> None:
    truth = next(truth for truth in TRUTH if truth.argv[0] == "errs")
    found = check_sums(await record(start, truth, tmp_path / "t.strc", RecorderOptions(wanted=wanted)))
    if wanted.failed_only:
        assert {name: found[name] for name in truth.calls} == dict.fromkeys(truth.calls, 1000)
    else:
        assert found == ({"kill": 1000} if wanted.calls else {})


async def test_what_found_no_room_is_counted(start: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody drains until the workload is done."""
    monkeypatch.setattr("straced.tracers.ebpf.ring_drain.RingDrain._run", lambda drain: None)
    truth = next(truth for truth in TRUTH if truth.argv[0] == "nthreads")
    file = await record(start, truth, tmp_path / "t.strc", RecorderOptions(ring_bytes=1 << 17))
    found = check_sums(file)
    assert file.end is not None
    assert 0 < found["getppid"] < 16000
    assert file.end.calls["getppid"].lost == 16000 - found["getppid"]


def test_the_label_of_a_number_is_its_name() -> None:
    for abi in ABIS:
        assert label_of(number_of("read", abi) or 0, abi).partition("/")[0] == "read"
        assert label_of((1 << 28) - 1, abi) == f"beyond/{abi}"

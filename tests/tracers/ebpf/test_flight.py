"""A flight recorder: what it holds, what made way, and that nothing of it is lost unseen.

Of `tracers/ebpf/flight.py`, `tracers/ebpf/flight_engine.py`, `tracers/ebpf/flight_cut.py`,
`tracers/ebpf/flight_dump.py`, `tracers/ebpf/flight_file.py`, `tracers/ebpf/flight_part.py` and
`tracers/ebpf/record_sums.py`.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from straced.errors import InvalidArgument, OutputError
from straced.linux import procfs
from straced.linux.output_file import OutputFile
from straced.records.reader import RecordFile
from straced.records.values import CALLS, RecordKind
from straced.syscalls import native_abi, number_of
from straced.tracers.ebpf import flight, flight_dump
from straced.tracers.ebpf.flight import FlightOptions, FlightRecorder
from straced.tracers.ebpf.flight_dump import Dumped
from straced.tracers.ebpf.flight_engine import LEAST
from straced.tracers.ebpf.record_engine import RecordFilter
from tests.support.poll import auntil
from tests.support.priority import has_priority, may_have_priority
from tests.support.records import check_sums

pytestmark = pytest.mark.needs("ebpf")
BUSY = """
import os, time
while True:
    os.stat("/etc"); os.getppid(); time.sleep(0.0001)
    try: open("/there/is/none")
    except OSError: pass
"""


@contextmanager
def busy(code: str = BUSY) -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        try:
            yield process.pid
        finally:
            process.kill()


@contextmanager
def talking(code: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program that waits for a byte, and answers with one."""
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def reads(pid: int) -> bool:
    """Whether it waits in a read of its stdin."""
    return Path(f"/proc/{pid}/syscall").read_text().startswith(f"{number_of('read', native_abi())} 0x0 ")


def answer(process: subprocess.Popen[bytes]) -> None:
    """Let it go on, until it has answered."""
    assert process.stdin is not None
    assert process.stdout is not None
    os.write(process.stdin.fileno(), b"1")
    assert os.read(process.stdout.fileno(), 1) == b"x"


@asynccontextmanager
async def recording(*pids: int, wanted: RecordFilter | None = None, ring: int = LEAST) -> AsyncIterator[FlightRecorder]:
    recorder = await flight.load(FlightOptions(ring_bytes=ring, wanted=wanted or RecordFilter()))
    try:
        for pid in pids:
            await recorder.add(procfs.target(pid))
        yield recorder
    finally:
        await recorder.close()


async def dump(recorder: FlightRecorder, path: Path, last_ns: int | None = None) -> tuple[RecordFile, Dumped]:
    with OutputFile(path, overwrite=True) as file:
        dumped = await recorder.dump(file.fd, last_ns=last_ns)
    return RecordFile(path), dumped


async def last_dump(recorder: FlightRecorder, path: Path) -> RecordFile:
    """The end of a recorder."""
    with OutputFile(path) as file:
        await recorder.close(lambda: file.fd)
    return RecordFile(path)


def overwritten(file: RecordFile) -> int:
    assert file.end is not None
    return sum(each.overwritten for each in file.end.calls.values())


async def made_way(recorder: FlightRecorder) -> None:
    """Wait until each ring that is used has given something up."""

    def gone() -> bool:
        return any(recorder.engine.ring(cpu).tail for cpu in range(recorder.engine.cpus))

    await auntil(gone, 60, "the rings are full")


@pytest.mark.parametrize(
    "wanted",
    [RecordFilter(), RecordFilter(failed_only=True), RecordFilter(calls=frozenset({"openat", "clock_nanosleep"}))],
    ids=["all", "failed", "calls"],
)
async def test_a_dump_while_it_goes_on_accounts_for_every_call(tmp_path: Path, wanted: RecordFilter) -> None:
    with busy() as one, busy() as other:
        async with recording(one, other, wanted=wanted) as recorder:
            await made_way(recorder)
            for _ in range(4):
                file, dumped = await dump(recorder, tmp_path / "t.strc")
                check_sums(file)
                told = [(each.tid, each.start_ns, each.label) for each in file if each.kind in CALLS]
                assert len(told) == len(set(told))
                assert overwritten(file) > 0
                assert dumped.calls == len(told)


async def test_the_last_dump_is_exact_name_by_name(tmp_path: Path) -> None:
    code = "import os\nos.read(0, 1)\nfor _ in range(30000): os.getppid()\nos.write(1, b'x'); os.read(0, 1)"
    with talking(code) as process:
        async with recording(process.pid) as recorder:
            answer(process)
            file = await last_dump(recorder, tmp_path / "t.strc")
    found = check_sums(file)
    assert file.end is not None
    assert (file.end.calls["getppid"].counted, file.end.meanwhile, file.end.reason) == (30000, 0, "ended")
    assert 0 < found["getppid"] < 30000
    assert file.end.calls["getppid"].overwritten == 30000 - found["getppid"]


async def test_a_dump_states_its_true_start(tmp_path: Path) -> None:
    """Not before the oldest record of any ring that has given something up."""
    with busy("import os\nwhile True: os.getppid()") as pid:
        async with recording(pid) as recorder:
            whole, _dumped = await dump(recorder, tmp_path / "whole.strc")
            await made_way(recorder)
            tails = [recorder.engine.ring(cpu).tail for cpu in range(recorder.engine.cpus)]
            file, dumped = await dump(recorder, tmp_path / "t.strc")
    since_ns = file.facts.since_ns
    assert since_ns is not None
    assert whole.facts.since_ns is not None
    assert whole.facts.since_ns <= since_ns < time.monotonic_ns()
    assert dumped.span_ns > 0
    assert file.troubles()[0].startswith("a dump: it has all calls of the last ")
    check_sums(file)
    oldest = {}
    for each in file:
        oldest.setdefault(each.cpu, each.end_ns)
    oldest.pop(-1, None)
    gave_up = [cpu for cpu in range(len(tails)) if tails[cpu]]
    assert since_ns >= max(oldest[cpu] for cpu in gave_up)


async def test_only_the_last_of_it(tmp_path: Path) -> None:
    with busy() as pid:
        async with recording(pid, ring=32 * LEAST) as recorder:
            await auntil(lambda: recorder.kept_bytes > 1 << 18, 60, "there is something to leave out")
            whole, _dumped = await dump(recorder, tmp_path / "all.strc")
            times = [each.end_ns for each in whole if each.kind is RecordKind.CALL]
            last_ns = time.monotonic_ns() - times[len(times) // 2]
            file, _dumped = await dump(recorder, tmp_path / "t.strc", last_ns=last_ns)
    check_sums(file)
    assert file.end is not None
    assert file.facts.since_ns == file.end.ended_ns - last_ns
    ended = [each.end_ns for each in file if each.kind is RecordKind.CALL]
    assert all(each >= file.facts.since_ns for each in ended)
    assert sum(each.filtered for each in file.end.calls.values()) >= len(times) // 2 - 1


async def test_what_is_in_flight_is_told_and_goes_on(tmp_path: Path) -> None:
    code = "import os\nos.read(0, 1); os.getppid(); os.write(1, b'x'); os.read(0, 1)"
    with talking(code) as process:
        async with recording(process.pid) as recorder:
            answer(process)
            await auntil(lambda: reads(process.pid), 30, "it reads again")
            for _ in range(3):
                file, _dumped = await dump(recorder, tmp_path / "t.strc")
                check_sums(file)
                (inside,) = [each for each in file if each.kind is RecordKind.START]
                assert (inside.label, inside.args[0], inside.tid) == ("read", 0, process.pid)
                assert inside.waiting_ns
            os.write(process.stdin.fileno(), b"2")  # type: ignore[union-attr]
            await asyncio.to_thread(process.wait, 30)
            last = await last_dump(recorder, tmp_path / "last.strc")
    assert check_sums(last)["read"] >= 1
    assert not [each for each in last if each.kind is RecordKind.START]


async def test_what_is_stuck_since_before_is_told_each_time(tmp_path: Path) -> None:
    with talking("import os\nos.read(0, 1)") as process:
        await auntil(lambda: reads(process.pid), 30, "it reads")
        async with recording(process.pid) as recorder:
            files = [(await dump(recorder, tmp_path / f"{number}.strc"))[0] for number in range(2)]
            files.append(await last_dump(recorder, tmp_path / "last.strc"))
    for file in files:
        assert check_sums(file) == {}
        (inside,) = list(file)
        assert (inside.kind, inside.label, inside.tid) == (RecordKind.BEFORE, "read", process.pid)


async def test_what_comes_while_a_dump_is_held_up_is_lost_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk stands still until the reserve is full; records that are being copied are not overwritten.

    Who copies goes first on its CPU where it may: whose calls are lost is who keeps the CPUs busy.
    """
    append, first = flight_dump.append, set[bool]()

    with busy("import os\nwhile True: os.getppid()") as pid:
        os.sched_setaffinity(pid, {min(os.sched_getaffinity(0))})  # a ring tells with its next record what it has lost
        async with recording(pid) as recorder:
            rings = [recorder.engine.ring(cpu) for cpu in range(recorder.engine.cpus)]

            def slow(fd: int, *parts: bytes | memoryview) -> None:
                first.add(has_priority(0))
                deadline = time.monotonic() + 60
                while not any(ring.untold for ring in rings) and time.monotonic() < deadline:
                    time.sleep(0.001)
                append(fd, *parts)

            await made_way(recorder)
            monkeypatch.setattr(flight_dump, "append", slow)
            file, _dumped = await dump(recorder, tmp_path / "t.strc")
            monkeypatch.undo()
            check_sums(file)
            lost = sum(recorder.engine.all_fates()[1::2])
            await auntil(lambda: not any(ring.untold for ring in rings), 60, "room is there again")
            last = await last_dump(recorder, tmp_path / "last.strc")
    assert lost > 0
    assert first == {may_have_priority()}
    check_sums(last)
    assert last.end is not None
    assert last.end.calls["getppid"].lost >= lost


async def test_targets_that_come_and_go(tmp_path: Path) -> None:
    with busy() as stays:
        async with recording(stays) as recorder:
            with busy() as goes:
                await recorder.add(procfs.target(goes))
                assert recorder.holds(goes)
                await auntil(lambda: recorder.kept_bytes > 1 << 18, 60, "both are recorded")
            await recorder.remove(goes)
            assert not recorder.holds(goes)
            file, _dumped = await dump(recorder, tmp_path / "t.strc")
    check_sums(file)
    assert {each.pid for each in file if each.kind in CALLS} <= {stays, goes}


async def test_memory_is_flat(tmp_path: Path) -> None:
    """Everything that it will ever hold is there at the beginning."""

    def memory() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    with busy() as pid:
        async with recording(pid) as recorder:
            await made_way(recorder)
            for _ in range(3):
                await dump(recorder, tmp_path / "t.strc")
            before, heads = memory(), [recorder.engine.ring(cpu).head for cpu in range(recorder.engine.cpus)]
            laps = 3 * recorder.engine.ring_bytes
            await auntil(
                lambda: sum(recorder.engine.ring(cpu).head for cpu in range(recorder.engine.cpus)) > sum(heads) + laps,
                60,
                "it goes round",
            )
            for _ in range(3):
                await dump(recorder, tmp_path / "t.strc")
            assert recorder.kept_bytes <= recorder.memory_bytes
            assert memory() - before < 8 << 20


async def test_no_room_on_the_disk(tmp_path: Path) -> None:
    """The recorder goes on, and the file is empty."""
    space = os.statvfs(tmp_path)
    with busy() as pid:
        async with recording(pid) as recorder:
            fd = os.open(tmp_path / "none.strc", os.O_RDWR | os.O_CREAT)
            with pytest.raises(OutputError, match=r"no room|nearly full"):
                await recorder.dump(fd, min_free_bytes=space.f_blocks * space.f_frsize)
            assert os.fstat(fd).st_size == 0
            os.close(fd)
            fd = os.open("/dev/full", os.O_RDWR)
            with pytest.raises(OutputError, match="No space left"):
                await recorder.dump(fd)
            os.close(fd)
            file, _dumped = await dump(recorder, tmp_path / "t.strc")
    check_sums(file)


@pytest.mark.parametrize("size", [0, 4096, LEAST - 1, 1 << 27, 1 << 40])
async def test_rings_that_cannot_be_are_refused(size: int) -> None:
    with pytest.raises(InvalidArgument, match="is no size of a ring"):
        await flight.load(FlightOptions(ring_bytes=size))


async def test_rings_larger_than_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("straced.tracers.ebpf.record_engine.memory_available", lambda: 1 << 20)
    with pytest.raises(InvalidArgument, match=r"of memory are free"):
        await flight.load(FlightOptions(ring_bytes=1 << 20))

"""``Profiler.trace`` by records: the same file, the same result, without ptrace; and who takes it where that cannot be.

Of `profiling/profiler_traces.py`, `profiling/kernel_recording.py`, `profiling/record_text.py` and
`tracers/recording.py`.
"""

from __future__ import annotations

import asyncio
import os
import re
import resource
import subprocess
import threading
from pathlib import Path

import pytest

from straced import Profiler, Recording, blocking, gate
from straced.errors import AttachError, InvalidArgument, OutputExists
from straced.profiling import kernel_recording
from straced.profiling.kernel_recording import KernelRecording
from straced.profiling.record_text import TextCopier
from straced.records.reader import RecordFile
from straced.tracers.ebpf import record_engine, ring_drain
from tests.support import proc
from tests.support.poll import auntil
from tests.support.records import check_sums
from tests.support.workload import Starter

pytestmark = pytest.mark.needs("ebpf", "cc")
LINE = re.compile(r"(?m)^\d+ +\d{10}\.\d{9} getppid\(\) += \d+ <\d\.\d{9}>$")

COUNTED = re.compile(r" = \S+ <\d+\.\d{9}>$|<unfinished \.\.\.>$")
"""A call that was inside at the attach has a line, but no duration, and is counted by nobody."""


async def test_lines_until_the_target_ends(start: Starter, tmp_path: Path) -> None:
    target = start("n", 250)
    async with Profiler() as profiler:
        recording = await profiler.trace(target.pid, tmp_path / "t", failed_only=False)
        assert isinstance(recording, Recording)
        assert (recording.tracer, recording.path, recording.alive) == ("ebpf", tmp_path / "t", True)
        assert target.untraced()
        target.finish()
        target.let_end()
        ending = await recording.wait()
        assert (ending.reason, ending.exit_status) == ("exited", 0)
        assert (recording.alive, recording.dropped_lines, recording.reasons) == (False, 0, [])
    text = (tmp_path / "t").read_text()
    assert text.startswith("# straced trace {")
    assert len(LINE.findall(text)) == 250
    assert "exit_group(0)" in text
    assert (tmp_path / "t").stat().st_mode & 0o777 == 0o600


async def test_records_and_counts_of_a_program_begin_together(start: Starter, tmp_path: Path) -> None:
    async with Profiler() as profiler:
        process = await asyncio.create_subprocess_exec(*gate(["sh", "-c", "exit 3"]))
        session, recording = await asyncio.gather(
            profiler.attach(process.pid), profiler.trace(process.pid, tmp_path / "t.strc", tracer="ebpf")
        )
        assert await process.wait() == 3
        ending = await recording.wait()
        counted = {row.name: row.calls for row in (await session.result()).rows}
    assert (ending.reason, ending.exit_status, recording.from_the_first) == ("exited", 3, True)
    assert dict(check_sums(RecordFile(tmp_path / "t.strc"))) == counted


async def test_a_close_ends_it_and_a_limit_does(
    start: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was recorded faster than it can be written is not waited for without end, and not dropped in silence."""
    target = start("spin")
    async with Profiler() as profiler:
        (tmp_path / "there").write_text("mine")
        with pytest.raises(OutputExists):
            await profiler.trace(target.pid, tmp_path / "there")
        limited = await profiler.trace(target.pid, tmp_path / "limited", max_bytes=200_000)
        assert (await limited.wait()).reason == "max_bytes"
        assert 100_000 < (tmp_path / "limited").stat().st_size < 800_000
        monkeypatch.setattr(kernel_recording, "STOP_S", 0.1)
        running = await profiler.trace(target.pid, tmp_path / "t", decode_fds=False)
        await auntil(lambda: (tmp_path / "t").stat().st_size > 10_000, 30, "it writes")
    assert (await running.wait()).reason == "detached"
    lines = (tmp_path / "t").read_text().splitlines()
    dropped = running.dropped_lines
    said = [f"strace: {dropped} lines were dropped: the reader was too slow"] if dropped else []
    assert [line for line in lines if line.startswith("strace: ")] == said
    assert isinstance(running, KernelRecording)
    assert running._inner.end is not None
    counted = sum(each.counted for each in running._inner.end.calls.values())
    written = sum(bool(COUNTED.search(line)) for line in lines)
    assert written + dropped == counted
    assert (tmp_path / "there").read_text() == "mine"
    assert target.runs()


async def test_lines_that_come_late_hold_the_records_up(
    start: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the disk nor the end has more of them than a bound: the kernel counts what it cannot write down.

    The bounds are small: each record has to be made by the target, and to become a line, in what CPU time others leave.
    """
    target = start("spin")
    ahead = 1 << 18
    monkeypatch.setattr(record_engine, "RING_BYTES", 1 << 19)
    monkeypatch.setattr(ring_drain, "AHEAD_BYTES", ahead)
    monkeypatch.setattr(kernel_recording, "STOP_S", 0.1)
    go_on = threading.Event()
    monkeypatch.setattr(TextCopier, "_check_room", lambda _: go_on.wait(60))
    async with Profiler() as profiler:
        running = await profiler.trace(target.pid, tmp_path / "t")
        assert isinstance(running, KernelRecording)
        engine, drain = running._inner.engine, running._inner._drain
        assert running._scratch is not None
        running._inner.read_up_to(0)
        await auntil(lambda: any(engine.all_fates()[1::2]), 60, "the rings are full")
        assert drain.written < ahead + engine.cpus * engine.ring_bytes
        go_on.set()
        await auntil(lambda: (tmp_path / "t").stat().st_size > ahead, 60, "it writes")
        assert os.fstat(running._scratch.fileno()).st_blocks * 512 < drain.written
        await running.stop()
    assert running.dropped_lines
    assert target.runs()


async def test_a_file_that_may_not_grow_has_whole_lines(start: Starter, tmp_path: Path) -> None:
    target = start("spin")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with Profiler() as profiler:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        try:
            recording = await profiler.trace(target.pid, tmp_path / "t")
            ending = await recording.wait()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert ending.reason == recording.cut == "file_limit"
    assert (tmp_path / "t").read_bytes().endswith(b"\n")
    assert target.runs()


@pytest.mark.needs("strace")
def test_who_takes_it(start: Starter, tmp_path: Path) -> None:
    """Also without an event loop: what eBPF cannot do is strace's, unless one was asked for by name."""
    target = start("tick")
    taken = [
        ({}, "ebpf"),
        ({"string_bytes": 8}, "strace"),
        ({"filter": "%desc"}, "strace"),
        ({"tracer": "strace"}, "strace"),
    ]
    refused = [{"tracer": "ebpf", "paths": ["/etc"]}, {"tracer": "perf"}, {"tracer": "ebpf", "filter": "%desc"}]
    with blocking.Profiler() as profiler:
        for number, (options, wanted) in enumerate(taken):
            with profiler.trace(target.pid, tmp_path / str(number), **options) as recording:  # type: ignore[arg-type]
                assert recording.tracer == wanted
                assert (proc.tracer(target.pid) != 0) == (wanted == "strace")
                assert ("only strace knows" in recording.tracer_reason) == ("filter" in options)
        for each in refused:
            with pytest.raises(InvalidArgument):
                profiler.trace(target.pid, tmp_path / "no", **each)  # type: ignore[arg-type]
        with pytest.raises(InvalidArgument):
            profiler.trace(target.pid, tmp_path / "no.strc", tracer="strace")
        gone = subprocess.Popen(["true"])
        gone.wait()
        with pytest.raises(AttachError):
            profiler.trace(gone.pid, tmp_path / "no")
    assert not list(tmp_path.glob("no*"))

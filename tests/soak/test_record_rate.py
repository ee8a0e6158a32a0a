"""Records of a million calls a second: what was lost is known exactly, also where the reader stands still.

Of `tracers/ebpf/ring_drain.py` and `workflows/record.py`.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from pathlib import Path

import pytest

from straced.records.reader import RecordFile
from tests.soak.conftest import Figures, times
from tests.support.cli import popen_straced
from tests.support.poll import until
from tests.support.records import check_sums, recording
from tests.support.workload import Starter, Workload

pytestmark = [pytest.mark.needs("ebpf", "cc"), pytest.mark.limit(2400)]
THREADS, A_SECOND = 4, 1_000_000
A_MILLISECOND = A_SECOND // THREADS // 1000
"""Of each thread."""


async def test_a_million_calls_a_second(start: Starter, tmp_path: Path, figures: Figures) -> None:
    """Sixty seconds into a file, with rings of the usual size."""
    count, path = times(60) * A_SECOND, tmp_path / "t.strc"
    target = start("paced", THREADS, count // THREADS, A_MILLISECOND)
    with figures.row("calls of four threads into a file", count) as found:
        async with recording(target.pid, path):
            began = time.monotonic()
            await asyncio.to_thread(target.go_through)
            found["a second"] = f"{count / (time.monotonic() - began):,.0f}"
        found["MB"] = path.stat().st_size // 10**6
        found["lost"] = await asyncio.to_thread(check, path, count)


def test_a_reader_that_stands_still(start: Starter, tmp_path: Path, figures: Figures) -> None:
    """It takes nothing for five seconds' worth of calls."""
    stopped = times(5) * A_SECOND
    count, path = stopped + 2 * A_SECOND, tmp_path / "t.strc"
    target = start("paced", THREADS, count // THREADS, A_MILLISECOND)
    with figures.row("calls, most of them with a stopped reader", count) as found:
        tracer = popen_straced("trace", target.pid, "-o", path)
        try:
            until(lambda: path.exists() and path.stat().st_size, 60, "it records")
            target.go()
            made(target, A_SECOND)
            tracer.send_signal(signal.SIGSTOP)
            made(target, A_SECOND + stopped)
            tracer.send_signal(signal.SIGCONT)
            target.channel.expect("done", 300)
            target.let_end()
            _out, err = tracer.communicate(timeout=300)
        finally:
            end(tracer)
        assert tracer.returncode == 0, err
        found["lost"] = lost = check(path, count)
    assert lost > stopped // 2
    assert b"calls are missing" in err


def made(target: Workload, count: int) -> None:
    """Wait for the target."""
    until(lambda: target.ticks() >= count, 300, f"it has made {count:,} calls")


def end(process: subprocess.Popen[bytes]) -> None:
    """Whatever state it is in."""
    process.kill()
    process.communicate()


def check(path: Path, count: int) -> int:
    """Each of the calls was counted, and what has no record is lost, name by name; returns how many are."""
    file = RecordFile(path)
    check_sums(file)
    assert file.end is not None
    assert file.end.calls["getppid"].counted == count
    return sum(each.lost for each in file.end.calls.values())

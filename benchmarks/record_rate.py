"""A million calls a second from four threads, all recorded into a file: how many are lost, and what writing it costs.

Each call must have its record, or be counted as lost, name by name; the records are counted by a program of their own.
The status is 1 where one is missing unseen, or where any was lost.

    python -m benchmarks.record_rate [--seconds 60] [--rate 1000000] [--ring BYTES] [--folder /tmp]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks import workloads
from benchmarks.workloads import Running
from straced.linux import procfs
from straced.records.values import RecordingEnd, label_of
from straced.tracers.ebpf import recorder, wire
from straced.tracers.ebpf.record_session import RecorderOptions

THREADS = 4


async def measure(running: Running, path: Path, ring_bytes: int | None) -> tuple[RecordingEnd, float, float]:
    """What became of all calls, the nanoseconds from one call to the next, and the CPU seconds of the drain."""
    loaded = await recorder.load(RecorderOptions(ring_bytes=ring_bytes))
    with open(path, "x+b") as file:  # noqa: ASYNC230
        recording = await loaded.begin(procfs.target(running.pid), file.fileno())
        before_s = os.times()
        wall_ns, _ = await asyncio.to_thread(running.measure, "ns/call")
        after_s = os.times()
        await recording.stop()
    assert recording.end is not None
    return recording.end, wall_ns, after_s.user + after_s.system - before_s.user - before_s.system


def differences(end: RecordingEnd, path: Path, counter: Path) -> list[str]:
    """The names whose records, filtered, overwritten and lost calls are not all that were counted."""
    found: Counter[str] = Counter()
    for line in subprocess.run([counter, path], capture_output=True, text=True, check=True).stdout.splitlines():
        key, count = map(int, line.split())
        found[label_of(key & wire.KEY_NR_MASK, wire.ABIS[key >> wire.KEY_NR_BITS])] += count
    return [
        f"{name}: {found[name]:,} records of {fate.counted:,} calls, {fate.lost:,} lost"
        for name, fate in end.calls.items()
        if found[name] + fate.filtered + fate.overwritten + fate.lost != fate.counted
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--rate", type=int, default=1_000_000, help="calls a second of all threads together")
    parser.add_argument("--ring", type=int, help="bytes a CPU")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where the records go")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="straced-benchmark-", dir=given.folder) as name:
        folder = Path(name)
        workloads.build(folder)
        burst = given.rate // THREADS // 1000
        words = (str(folder / "loops"), "paced", str(burst * 1000 * given.seconds), str(burst))
        end, wall_ns, cpu_s = asyncio.run(measure(Running(words), folder / "t.strc", given.ring))
        size = (folder / "t.strc").stat().st_size
        missing = differences(end, folder / "t.strc", folder / "fates")
    counted = sum(each.counted for each in end.calls.values())
    lost = sum(each.lost for each in end.calls.values())
    print(f"Linux {platform.release()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, {given.seconds} s")
    print(
        f"{counted:,} calls of {THREADS} threads, {1e9 / wall_ns:,.0f} a second, {size / 1e6:,.0f} MB: {lost:,} lost,"
        f" {1000 * cpu_s / (counted / 1e6):.0f} ms of CPU to write a million records"
    )
    print(*(missing or ["records + filtered + overwritten + lost = counted, for each name"]), sep="\n")
    return 1 if lost or missing else 0


if __name__ == "__main__":
    raise SystemExit(main())

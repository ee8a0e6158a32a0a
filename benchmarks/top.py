"""What the live screen costs: first paint, a refresh of 1,000 processes, and CPU at one refresh a second.

    python benchmarks/top.py [--processes 1000] [--calls 50]
    python benchmarks/top.py --build 8

Each part prints one JSON line. The processes are real, and make ``--calls`` different system calls a second each.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import json
import os
import pty
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent.parent / "src")]

from straced.errors import StracedError  # noqa: E402
from straced.linux.targets import TargetSpec  # noqa: E402
from straced.live.local import LocalSource  # noqa: E402
from straced.model.frame import Frame  # noqa: E402

NUMBERS = [39, 102, 104, 107, 108, 110, 111, 112, 121, 124, 96, 97, 98, 99, 100, 140, 141, 143, 145, 146, 147, 186, 201,
           204, 24, 12, 0, 1, 3, 5, 8, 17, 18, 19, 20, 21, 22, 32, 33, 72, 73, 74, 75, 77, 80, 81, 83, 84, 86, 87,
           88, 90, 91, 92, 93, 94]  # fmt: skip
"""x86_64 calls that end at once: they ask for something small, or fail on arguments of -1."""

ATTACHING_S = 5.0
"""After the first paint it attaches to a thousand processes, once; the CPU of a refresh is measured after that."""
PR_SET_PDEATHSIG = 1


def say(part: str, **values: float | int | str | None) -> None:
    print(json.dumps({"part": part, **values}), flush=True)


@contextmanager
def crowd(processes: int, calls: int) -> Iterator[int]:
    """A parent of ``processes`` processes that each make ``calls`` different calls a second."""
    ready, told = os.pipe()
    parent = os.fork()
    if parent == 0:
        os.setpgid(0, 0)
        libc = ctypes.CDLL(None)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        for _ in range(processes - 1):
            if os.fork() == 0:
                libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                break
        os.write(told, b".")
        while True:
            for number in NUMBERS[:calls]:
                libc.syscall(number, -1, 0, 0, 0)
            time.sleep(1.0)
    try:
        seen = 0
        while seen < processes:
            seen += len(os.read(ready, 4096))
        yield parent
    finally:
        os.killpg(parent, signal.SIGKILL)
        os.waitpid(parent, 0)
        os.close(ready)
        os.close(told)


async def source(parent: int, tracer: str, frames: int = 8) -> Frame:
    """The local source alone: how long a frame takes, of wall and of CPU time."""
    made = LocalSource([TargetSpec("pid", str(parent))], tracer)
    try:
        await made.frame()
        started = time.perf_counter()
        await made.settle()
        attached = time.perf_counter() - started
        took, cpu = [], []
        frame = await made.frame()
        for _ in range(frames):
            await asyncio.sleep(1.0)
            before, before_cpu = time.perf_counter(), time.process_time()
            frame = await made.frame()
            took.append(time.perf_counter() - before)
            cpu.append(time.process_time() - before_cpu)
            await made.settle()
        say(
            "source",
            tracer=frame.tracer or "none",
            processes=len(frame.processes),
            calls_s=frame.calls_s and round(frame.calls_s),
            quality=frame.quality.kind,
            lost=frame.quality.lost,
            attach_s=round(attached, 2),
            frame_ms=round(1000 * statistics.median(took), 1),
            frame_max_ms=round(1000 * max(took), 1),
            cpu_ms=round(1000 * statistics.median(cpu), 1),
            cpu_least_ms=round(1000 * min(cpu), 1),
        )
        return frame
    finally:
        await made.close()


async def screen(frame: Frame, size: tuple[int, int], refreshes: int = 20) -> None:
    """From a frame that has arrived to the screen painted, in this thread; all processes change each time."""
    from tests.views.tui.frames import ScriptedFeed

    from straced.views.tui.app import TopApp
    from straced.views.tui.rows import ProcessRows

    feed = ScriptedFeed(frame)
    app = TopApp(feed, interval_s=1.0, rows=ProcessRows())
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        took = []
        for number in range(refreshes):
            rows = tuple(
                msgspec.structs.replace(row, cpu_pct=(row.pid * 31 + number) % 101.0, calls_s=float(number + row.pid))
                for row in frame.processes
            )
            changed = msgspec.structs.replace(frame, processes=rows, monotonic_ns=time.monotonic_ns())
            before = time.process_time()
            feed.give(changed)
            await pilot._wait_for_screen()
            app.screen._compositor.render_strips()
            took.append(time.process_time() - before)
        say(
            "screen",
            size=f"{size[0]}x{size[1]}",
            processes=len(frame.processes),
            refresh_cpu_ms=round(1000 * statistics.median(took), 1),
            refresh_cpu_least_ms=round(1000 * min(took), 1),
        )


def sources_of_a_build(folder: Path) -> None:
    """Two hundred small files, and a Makefile for them."""
    names = [f"part{number}" for number in range(200)]
    for name in names:
        (folder / f"{name}.c").write_text('#include <stdio.h>\nint main(void) { return puts(""); }\n')
    (folder / "Makefile").write_text(f"all: {' '.join(f'{name}.o' for name in names)}\n")


def build(jobs: int) -> None:
    """A build of many short processes: how far the rows, those of what came and went included, miss the header."""
    with tempfile.TemporaryDirectory() as scratch:
        sources_of_a_build(Path(scratch))
        command = f"while :; do make -s -j{jobs}; rm -f *.o; done"
        shell = subprocess.Popen(["sh", "-c", command], cwd=scratch, start_new_session=True)
        try:
            asyncio.run(adds_up(shell.pid, jobs))
        finally:
            os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()


async def adds_up(pid: int, jobs: int, refreshes: int = 10) -> None:
    """Compare rows and header of the tree of a process."""
    source = LocalSource([TargetSpec("pid", str(pid))], "ebpf")
    try:
        await source.frame()
        await source.settle()
        await source.frame()
        off, calls, ended = [], 0.0, 0
        for _ in range(refreshes):
            await asyncio.sleep(1.0)
            frame = await source.frame()
            rows = sum(each.calls_s or 0 for each in (*frame.processes, *frame.short_lived))
            if frame.calls_s:
                off.append(abs(100 * (rows - frame.calls_s) / frame.calls_s))
                calls += frame.calls_s / refreshes
            ended += sum(each.ended or 0 for each in frame.short_lived)
        say("build", jobs=jobs, calls_s=round(calls), ended=ended, worst_off_pct=round(max(off), 3))
    finally:
        await source.close()


def first_paint(words: list[str], wanted: bytes, seconds: float = 0.0) -> None:
    """From exec to the first process on a terminal; later the CPU that the whole command takes a second."""
    started = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLUMNS="120", LINES="40")
        os.execv(sys.executable, [sys.executable, "-m", "straced", "top", *words])
    seen, painted = b"", None
    end = started + 20
    while painted is None and time.perf_counter() < end:
        if select.select([terminal], [], [], 0.05)[0]:
            seen += os.read(terminal, 65536)
            if wanted in seen:
                painted = time.perf_counter() - started
    _drain(terminal, ATTACHING_S if seconds else 0.0)
    before = _cpu_s(pid)
    _drain(terminal, seconds)
    share = 100 * (_cpu_s(pid) - before) / seconds if seconds else None
    os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)
    os.close(terminal)
    say(
        "first_paint",
        words=" ".join(words),
        first_paint_s=None if painted is None else round(painted, 2),
        cpu_pct_of_a_core=None if share is None else round(share, 1),
    )


def _drain(terminal: int, seconds: float) -> None:
    """Read what is drawn for so long."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        if select.select([terminal], [], [], 0.05)[0]:
            os.read(terminal, 65536)


def _cpu_s(pid: int) -> float:
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=1000)
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--build", type=int, metavar="JOBS", help="only: whether the rows of a make -j JOBS add up")
    wanted = parser.parse_args()
    if wanted.build:
        build(wanted.build)
        return
    say("machine", cpus=os.cpu_count(), load=os.getloadavg()[0], kernel=os.uname().release)
    with crowd(wanted.processes, wanted.calls) as parent:
        for tracer in ("none", "ebpf"):
            try:
                frame = asyncio.run(source(parent, tracer))
            except StracedError as error:
                say("source", tracer=tracer, error=error.reason)
                continue
            first_paint(["--tracer", tracer, str(parent)], str(parent).encode(), 15.0)
        for size in ((80, 24), (120, 40), (200, 60)):
            asyncio.run(screen(frame, size))


if __name__ == "__main__":
    main()

"""How long an attach and a detach take, one at a time and a hundred at once."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import time

from tests.support import proc
from tests.support.workload import Starter, Workload

from benchmarks.result import Result, at_most, at_most_times
from straced import StraceManager


class BareStrace:
    """``strace -c -f -p PID``, watched as closely as straced watches its own."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def attach(self) -> float:
        """Start it; milliseconds until the kernel names it as the tracer."""
        started = time.perf_counter()
        self.process = subprocess.Popen(
            ["strace", "-f", "-c", "-o", "/dev/null", "-p", str(self.pid)],
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while proc.tracer(self.pid) != self.process.pid:
            time.sleep(0.0002)
        return (time.perf_counter() - started) * 1000

    def detach(self) -> float:
        """Milliseconds from SIGINT to its end."""
        started = time.perf_counter()
        self.process.send_signal(2)
        self.process.wait()
        return (time.perf_counter() - started) * 1000


async def attach_and_detach(start: Starter, rounds: int) -> list[Result]:
    """One target, attached to and let go of, by turns."""
    target = start("tick")
    manager = StraceManager()
    ours: list[tuple[float, float]] = []
    bare: list[tuple[float, float]] = []
    await _once(manager, target)
    for _ in range(rounds):
        ours.append(await _once(manager, target))
        other = BareStrace(target.pid)
        attached = await asyncio.to_thread(other.attach)
        await asyncio.sleep(0.01)  # past strace's start-up, as ours is by then
        bare.append((attached, await asyncio.to_thread(other.detach)))
    await manager.detach_all()
    target.kill()
    return [
        at_most_times("attach, confirmed", "ms", [a for a, _ in ours], [a for a, _ in bare], 1.5),
        at_most("detach, with its summary", "ms", [d for _, d in ours], 15, [d for _, d in bare]),
    ]


async def first_attach(start: Starter, rounds: int) -> Result:
    """The first attach of an owner starts its guard as well."""
    target = start("tick")
    ours, bare = [], []
    for _ in range(rounds):
        manager = StraceManager()
        ours.append((await _once(manager, target))[0])
        await manager.detach_all()
        other = BareStrace(target.pid)
        bare.append(await asyncio.to_thread(other.attach))
        await asyncio.sleep(0.01)
        await asyncio.to_thread(other.detach)
    target.kill()
    return at_most_times("first attach of an owner", "ms", ours, bare, 1.5, slack=25)


async def _once(manager: StraceManager, target: Workload) -> tuple[float, float]:
    started = time.perf_counter()
    if not await manager.attach(target.pid):
        raise RuntimeError(f"not attached: {manager.last_error(target.pid)}")
    attached = time.perf_counter()
    if await manager.detach(target.pid) is None:
        raise RuntimeError("no summary")
    return (attached - started) * 1000, (time.perf_counter() - attached) * 1000


async def many_at_once(start: Starter, count: int) -> list[Result]:
    """A hundred targets attached to at once, and let go of at once."""
    targets = [start("tick", go=False) for _ in range(count)]
    with contextlib.ExitStack() as stack:
        for target in targets:
            stack.callback(target.kill)
        manager = StraceManager()
        started = time.perf_counter()
        answers = await asyncio.gather(*(manager.attach(target.pid) for target in targets))
        attached = time.perf_counter()
        found = await manager.detach_all()
        released = time.perf_counter()
        if not all(answers) or len(found) != count or not all(target.untraced() for target in targets):
            raise RuntimeError(f"{sum(answers)} of {count} attached, {len(found)} summaries")
    return [
        at_most(f"{count} targets attached", "s", [attached - started], 2),
        at_most(f"{count} targets released", "s", [released - attached], 2),
    ]

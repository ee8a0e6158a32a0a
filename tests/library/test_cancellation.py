"""Each public coroutine, cancelled at each of its awaits: it has happened or it has not, and it leaves nothing."""

from __future__ import annotations

import asyncio
import inspect
import itertools
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import straced
from straced import ProcessGroupManager, Profiler, Session, StraceManager
from straced.profiling.handover import hand_over
from straced.profiling.kernel_recording import KernelRecording
from straced.tracers.ebpf import tracer as ebpf_tracer
from straced.tracers.event_stream import EventStream, SlowCallStream
from straced.tracers.strace.recording import StraceRecording
from tests.library import points as cancelling
from tests.library.belongings import Held, settles_to
from tests.library.calls import CALLS, PARTS, Bench, public_coroutines
from tests.support.needs import require
from tests.support.workload import Starter

pytestmark = [pytest.mark.needs("strace", "cc"), pytest.mark.limit(120)]
CLASSES = (
    Profiler,
    Session,
    StraceManager,
    ProcessGroupManager,
    StraceRecording,
    KernelRecording,
    EventStream,
    SlowCallStream,
)
"""Those of ``straced.__all__`` come by themselves."""
PointsOf = Callable[[int], Iterator[int]]
"""The points at which a call is cancelled, by its place among the calls."""


def every(step: int = 1, first: int = 0) -> PointsOf:
    """So that ways which begin at all points below ``step`` share those of each call among them."""
    return lambda place: itertools.count((first + place) % step, step)


@pytest.fixture(scope="module", autouse=True)
def libuv() -> None:
    """libuv makes a pipe for its signals when they are first used, and keeps it as long as the process lives."""
    with suppress(ModuleNotFoundError):
        uvloop_run(_started())


async def _started() -> None:
    await (await asyncio.create_subprocess_exec("true")).wait()


def test_no_public_coroutine_is_left_out() -> None:
    public = [getattr(straced, name) for name in straced.__all__]
    classes = {*CLASSES, *filter(inspect.isclass, public)}
    functions = {each.__name__ for each in public if inspect.iscoroutinefunction(each)}
    assert {each.name for each in CALLS} | PARTS.keys() == {*public_coroutines(classes), *functions, hand_over.__name__}


def uvloop_run(main: Any) -> None:
    import uvloop

    uvloop.run(main)


def anyio_run(main: Any) -> None:
    import anyio

    async def under_anyio() -> None:
        await main

    anyio.run(under_anyio)


WAYS: dict[str, tuple[Callable[[Any], object], Any, PointsOf]] = {
    "asyncio": (asyncio.run, cancelling.once, every()),
    "asyncio, again and again": (asyncio.run, cancelling.again_and_again, every(3)),
    "uvloop": (uvloop_run, cancelling.once, every(3, 1)),
    "anyio": (anyio_run, cancelling.in_a_scope, every(3, 2)),
}
"""asyncio has all points; the others have them all together."""


@pytest.mark.parametrize("tracer", ["ebpf", "strace"])
@pytest.mark.parametrize("way", WAYS)
def test_cancelled_at_each_await(
    way: str, tracer: str, start: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if tracer == "ebpf":
        require("ebpf")
    run, cancel, points_of = WAYS[way]
    if way in ("uvloop", "anyio"):
        require(way)
    # Either loaded from the beginning to the end; or, where a full trace has eBPF count meanwhile, gone soon after it.
    # Else each point on a slow machine would wait until the programs of its own attach are unloaded.
    monkeypatch.setattr(ebpf_tracer, "LINGER_S", 600.0 if tracer == "ebpf" else 0.05)
    target = start("tick")
    folder = tmp_path / "traces"
    folder.mkdir()
    complaints: list[dict[str, Any]] = []

    async def main(points: cancelling.Points) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
        bench = Bench(tracer, target.pid, folder)
        await bench.warm()
        for place, each in enumerate(CALLS):
            if tracer in each.tracers:
                await try_at(each, bench, points, cancel, points_of(place))
        assert bench.files() == []
        await bench.close()

    with cancelling.counted(monkeypatch) as points:
        run(main(points))
    assert complaints == []
    assert target.untraced()
    assert target.runs()


async def try_at(each: Any, bench: Any, points: cancelling.Points, cancel: Any, numbers: Iterator[int]) -> None:
    """Cancel a call at one point after the other, until it is through before the point comes."""
    for number in numbers:
        outside = Held(bench.pid)
        steps = each.steps(bench)
        work = await anext(steps)
        before = Held(bench.pid)
        cancelled = await cancel(points, number, work(), each.endless_s)
        if cancelled and each.after != "goes on":
            await settles_to(outside if each.after == "done" else before, f"{each.name}, cancelled at {number},")
        with suppress(StopAsyncIteration):
            await steps.asend(cancelled)
        await settles_to(outside, f"{each.name} and its end, cancelled at {number},")
        if points.count <= number:
            return

"""However many descriptors are left, an attach is done or refused with a typed error, and nothing of it stays."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from straced import Profiler, StracedError
from straced.errors import NoResources
from tests.library.belongings import Held, descriptors, settles_to
from tests.support.poll import auntil
from tests.support.workload import Starter

pytestmark = [pytest.mark.needs("strace", "cc")]
LIMIT = 256


@contextmanager
def only(free: int) -> Iterator[None]:
    """Leave so many descriptors to this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, hard))
    try:
        try:
            while True:
                taken.append(os.dup(2))
        except OSError:
            for _ in range(free):
                os.close(taken.pop())
        yield
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("free", [0, 1, 2, 5, 12, 24, 28, 32, 35, 38, 44])
async def test_the_first_attach(tracer: str, start: Starter, free: int) -> None:
    """Where not enough is left to load the programs that is what is said; a kept error holds none."""
    target = start("tick")
    await _warm(tracer, target.pid)
    before = descriptors()
    kept: list[StracedError] = []
    profiler = Profiler(tracer)
    with only(free):
        try:
            await profiler.attach(target.pid)
        except NoResources as error:
            kept.append(error)  # and its frames
        await profiler.close()
    await auntil(lambda: not descriptors() - before, what="no descriptor is left")  # the guard's goes as it does
    assert target.runs()
    assert target.untraced()


@pytest.mark.parametrize("free", range(14))
async def test_a_later_attach(tracer: str, start: Starter, free: int) -> None:
    """One that fails half-way leaves no mark: the next one counts by the same programs."""
    target = start.program(["sh", "-c", '"$0" tick & wait', str(start.gt)], ready=False)
    start.owns(int(target.channel.expect("ready")))
    async with Profiler(tracer) as profiler:
        await (await profiler.attach(target.pid)).detach()
        before = Held(target.pid)
        with only(free):
            try:
                session = await profiler.attach(target.pid)
            except NoResources:
                pass
            else:
                await session.detach()
        await settles_to(before, f"an attach with {free} descriptors left")
        await (await profiler.attach(target.pid)).detach()
        await settles_to(before, "the attach after it")


async def test_a_detach_needs_none(tracer: str, start: Starter) -> None:
    target = start("n", 200)
    async with Profiler(tracer) as profiler:
        session = await profiler.attach(target.pid)
        target.finish()
        with only(0):
            summary = await session.detach()
        assert summary.syscalls["getppid"].calls == 200
        assert target.untraced()


async def _warm(tracer: str, pid: int) -> None:
    """What is found out once a process is known from here on."""
    async with Profiler(tracer) as profiler:
        await (await profiler.attach(pid)).detach()

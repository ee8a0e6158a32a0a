"""The second set of programs, forced here: exact like the first; and an end of a call that was missed is made good."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator

import pytest

from straced.tracers.ebpf import EbpfTracer, attaching, preemption
from straced.tracers.ebpf.engine import Engine
from straced.tracers.ebpf.suited import suited_engine
from tests.support.needs import require
from tests.tracers.ebpf.conftest import Start
from tests.tracers.ebpf.counts import attach, row
from tests.tracers.ebpf.test_accuracy import ROWS, check_counts, check_restarts

pytestmark = pytest.mark.needs("ebpf", "cc")
EVENTS = len(attaching.TRACEPOINTS)


@pytest.fixture
async def forced(world: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EbpfTracer]:
    """A tracer on a kernel that is said to preempt programs."""
    monkeypatch.setattr(preemption, "programs_are_preempted", lambda: True)
    made = EbpfTracer()
    yield made
    await made.close()
    assert perf_events_of_ours() == 0


def perf_events_of_ours() -> int:
    """How many of perf's events this process holds."""
    found = 0
    for fd in os.listdir("/proc/self/fd"):
        try:
            found += "perf_event" in os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:  # that of the listing itself
            continue
    return found


@pytest.mark.parametrize("name", ROWS)
async def test_every_count(name: str, forced: EbpfTracer, start: Start) -> None:
    await check_counts(forced, start, name)


async def test_a_restart_is_one_call(forced: EbpfTracer, start: Start) -> None:
    await check_restarts(forced, start)


async def test_its_programs_are_on_perf_s_events(forced: EbpfTracer, start: Start) -> None:
    """Held while there is a session, let go of without a wait after it, and had again."""
    workload = start("n", 1)
    for _ in range(3):
        session = await attach(forced, workload.pid)
        assert perf_events_of_ours() >= EVENTS
        began = time.monotonic()
        await session.detach()
        assert time.monotonic() - began < 5
    await forced.close()
    assert perf_events_of_ours() == 0


@pytest.mark.parametrize("unpreempted", [False, True])
@pytest.mark.parametrize("missed", ["enter", "exit"])
async def test_one_end_is_enough(
    forced: EbpfTracer, start: Start, monkeypatch: pytest.MonkeyPatch, missed: str, unpreempted: bool
) -> None:
    """All enters, or all exits, go unheard: every call is counted all the same, and each is known to lack its time."""
    monkeypatch.setattr(preemption, "programs_are_preempted", lambda: unpreempted)
    workload = start("n", 20000)
    session = await attach(forced, workload.pid)
    engine = session._instance.engine
    names = engine._links.programs
    place = names.index(f"on_{missed}_tp" if unpreempted else f"on_{missed}")
    engine._library.bpf_link__destroy(engine._links._links.pop(place))
    assert workload.run() == 0
    sample = await session.detach()
    found = row(sample, "getppid")
    assert (found.calls, found.in_flight, found.wall_ns) == (20000, 0, 0)
    noticed = engine.control.skipped_enters if missed == "enter" else engine.control.skipped_exits
    assert noticed >= 20000


def test_the_set_is_chosen_by_the_kernel_s_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """And is the usual one where perf refuses its tracepoints."""
    for preempted, may_open, programs in (
        (False, True, attaching.PROGRAMS),
        (True, True, attaching.UNPREEMPTED),
        (True, False, attaching.PROGRAMS),
    ):
        monkeypatch.setattr(preemption, "programs_are_preempted", lambda answer=preempted: answer)
        if not may_open:
            monkeypatch.setattr("straced.tracers.ebpf.perf_events.TRACEFS", ("/nowhere",))
            monkeypatch.setattr("straced.tracers.ebpf.perf_events._private_tracefs", _refused)
            monkeypatch.setattr("straced.tracers.ebpf.perf_events.numbers", lambda names: _refused())
        engine = suited_engine()
        try:
            assert engine._links.programs is programs
        finally:
            engine.close()


def _refused() -> int:
    raise PermissionError(1, "Operation not permitted")


def test_a_set_can_be_attached_while_it_is_being_detached() -> None:
    require("root")
    engine = Engine(unpreempted=True)
    try:
        for _ in range(4):
            engine.start()
            assert engine.running
            engine.stop()
            assert not engine.running
    finally:
        engine.close()
    assert perf_events_of_ours() == 0

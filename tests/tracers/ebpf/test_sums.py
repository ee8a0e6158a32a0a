"""Sums by process, made in the kernel, say what the rows say; and the rows can still be told apart afterwards.

Of `tracers/ebpf/summed_rows.py` and `model/sums.py`.
"""

from __future__ import annotations

import pytest

from straced.model.counter_rows import PlainRows, rows_of
from straced.model.deltas import Moves, ProcessDelta
from straced.model.types import Counters, Sample
from straced.tracers.ebpf import EbpfTracer
from straced.tracers.ebpf.session import EbpfSession
from tests.tracers.ebpf.conftest import Start
from tests.tracers.ebpf.counts import attach, calls, row

NONE = ProcessDelta()


def picture(tracer: EbpfTracer, session: EbpfSession) -> Sample:
    return tracer.sum_all()[session]


def both_ways(before: Sample | None, after: Sample) -> tuple[Moves, Moves]:
    """What happened, by the kernel's sums and row by row; without those who did nothing."""
    earlier = before.rows if before else ()
    everybody = {each.pid for each in after.rows}
    quick = rows_of(after.rows).moved_since(earlier, everybody)
    slow = PlainRows(after.rows).moved_since(tuple(earlier), everybody)
    return tuple({pid: each for pid, each in found.items() if each != NONE} for found in (quick, slow))  # type: ignore[return-value]


def rows_in_order(sample: Sample) -> list[Counters]:
    """Whoever reads them tells the rows in an order of his own."""
    return sorted(sample.rows, key=lambda each: (each.pid or 0, each.tid or 0, each.name, each.calls))


def all_calls(sample: Sample) -> int:
    return sum(each.calls or 0 for each in rows_of(sample.rows).moved_since(()).values())


@pytest.mark.parametrize("per_thread", [False, True])
@pytest.mark.parametrize(
    ("mode", "width"), [("manyerrs", 40), ("forks", 30), ("threads", 8), ("errs", 50), ("threadexec", 3)]
)
async def test_they_are_the_sums_of_the_rows(
    tracer: EbpfTracer, start: Start, mode: str, width: int, per_thread: bool
) -> None:
    workload = start(mode, 100, width)
    session = await attach(tracer, workload.pid, per_thread=per_thread)
    before = picture(tracer, session)
    workload.run()
    after = picture(tracer, session)
    for earlier in (None, before):
        quick, slow = both_ways(earlier, after)
        assert quick == slow
        assert sum(each.calls or 0 for each in quick.values()) > 100
    assert rows_in_order(after) == rows_in_order(await session.read())


async def test_two_readers_do_not_take_changes_from_each_other(tracer: EbpfTracer, start: Start) -> None:
    workload = start("everything", 100)
    session = await attach(tracer, workload.pid)
    first_rows, first_sums = await session.read(), picture(tracer, session)
    workload.run()
    by_rows, by_sums, again = await session.read(), picture(tracer, session), await session.read()
    assert rows_in_order(by_rows) == rows_in_order(by_sums) == rows_in_order(again)
    assert all_calls(by_sums) == all_calls(by_rows) > 100
    other = start("n", 777)
    another = await attach(tracer, other.pid)
    other.run()
    assert calls(picture(tracer, another), "getppid") == calls(await another.read(), "getppid") == [777]
    for earlier in (first_rows, first_sums):
        assert calls(earlier, "getppid") == [0], "it stays what it was"


async def test_calls_that_stand(tracer: EbpfTracer, start: Start) -> None:
    """In flight at both ends of a window, and nothing else in their row happened."""
    workload = start("blocked")
    session = await attach(tracer, workload.pid)
    workload.go()
    while calls(await session.read(), "read", "futex") != [1, 1]:
        pass
    first = picture(tracer, session)
    second, third = picture(tracer, session), picture(tracer, session)
    for before, after in ((first, second), (second, third)):
        moved = rows_of(after.rows).moved_since(before.rows)[workload.pid]
        assert (moved.calls, moved.in_flight, moved.standing, moved.waiting_ns) == (0, 2, 2, 0), "a read and a join"


async def test_every_call_once_while_processes_end(tracer: EbpfTracer, start: Start) -> None:
    """Rows move from processes that end to their session; no picture counts them twice, or not at all."""
    workload = start("forks", 200, 60)
    session = await attach(tracer, workload.pid)
    workload.go()
    counted = [all_calls(picture(tracer, session))]
    while workload.process.poll() is None:
        counted.append(all_calls(picture(tracer, session)))
    last = picture(tracer, session)
    counted.append(all_calls(last))
    assert counted == sorted(counted)
    assert calls(last, "getppid") == [200 * 60]
    final: list[Counters] = list((await session.detach()).rows)
    assert sum(each.calls or 0 for each in final) == counted[-1]


async def test_a_sample_of_one_process(tracer: EbpfTracer, start: Start) -> None:
    first, second = start("blocked"), start("blocked")
    sessions = [await attach(tracer, each.pid) for each in (first, second)]
    for each, session in zip((first, second), sessions, strict=True):
        each.go()
        while row(await session.read(), "read").calls != 1:
            pass
    rows = rows_of(picture(tracer, sessions[0]).rows)
    assert rows.pids() == {first.pid}
    assert [each.pid for each in rows.of(first.pid)] == [first.pid] * len(rows)
    assert not list(rows.of(second.pid))
    assert not list(rows.without({first.pid}))

"""Rows go from those that end to those above them: every reading has each count once, however close it follows another.

All calls were made before the first of these readings, so that each of them must say the same number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from straced.tracers.ebpf import EbpfTracer
from straced.tracers.ebpf.session import EbpfSession
from tests.tracers.ebpf.conftest import Start
from tests.tracers.ebpf.counts import attach, row

ROUNDS, CHILDREN, CALLS = 10, 150, 3
Total = Callable[[EbpfTracer, EbpfSession], int | None]


def by_rows(tracer: EbpfTracer, session: EbpfSession) -> int | None:
    return sum(each.calls or 0 for each in tracer.read_all()[session].rows if each.name == "getppid")


def by_rows_of_sums(tracer: EbpfTracer, session: EbpfSession) -> int | None:
    return sum(each.calls or 0 for each in tracer.sum_all()[session].rows if each.name == "getppid")


@pytest.mark.parametrize("per_thread", [False, True])
@pytest.mark.parametrize("total", [by_rows, by_rows_of_sums])
async def test_every_reading_has_each_count_once(
    tracer: EbpfTracer, start: Start, total: Total, per_thread: bool
) -> None:
    workload = start("deaths", ROUNDS, CHILDREN)
    session = await attach(tracer, workload.pid, per_thread=per_thread)
    for made in range(CHILDREN * CALLS, (ROUNDS + 1) * CHILDREN * CALLS, CHILDREN * CALLS):
        workload.go()
        assert workload.said() == b"m"
        counted = Counter({total(tracer, session): 1})
        workload.go()
        while not (word := workload.said(0)):
            counted[total(tracer, session)] += 1
        assert word == b"d"
        assert set(counted) == {made}, counted
    workload.run()


@pytest.mark.parametrize("sums", [False, True])
async def test_a_call_has_one_row_whoever_makes_it_first(tracer: EbpfTracer, start: Start, sums: bool) -> None:
    """Readers tell rows apart by process and call: of two rows of one call they would take one for the other."""
    threads, numbers = 2, 300
    workload = start("firsts", numbers, threads)
    session = await attach(tracer, workload.pid)
    workload.run()
    sample = (tracer.sum_all if sums else tracer.read_all)()[session]
    found = Counter((each.pid, each.abi, each.name) for each in sample.rows)
    assert {each: rows for each, rows in found.items() if rows != 1} == {}
    assert Counter(each.calls for each in sample.rows if 600 <= (each.nr or 0) < 600 + numbers) == {threads: numbers}


async def test_an_error_that_stands_far_from_the_others_of_its_call(tracer: EbpfTracer, start: Start) -> None:
    """It is in a row that continues another, and that one changed nothing near it."""
    workload = start("lateerrs", 3, 60)
    session = await attach(tracer, workload.pid)
    workload.go()
    assert workload.said() == b"t"
    for times in range(1, 4):
        workload.go()
        assert workload.said() == b"e"
        for sample in (tracer.sum_all()[session], tracer.read_all()[session]):
            found = row(sample, "getpgid")
            assert found.errno is not None
            assert (found.errors, len(found.errno), found.errno["EAGAIN"]) == (10 + times, 11, times)
    workload.run()

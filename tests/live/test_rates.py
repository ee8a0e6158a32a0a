"""Rates from two readings, by hand."""

from __future__ import annotations

import asyncio
import itertools
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from straced.live import rates as counts
from straced.live.rates import EMPTY, CounterReading, Rates, TaskCounts, reading
from straced.model.counter_rows import PlainRows, rows_of
from straced.model.deltas import ProcessDelta
from straced.model.types import Counters, Sample
from straced.profiling.profiler import Profiler
from tests.support.needs import require
from tests.support.poll import auntil

S = 10**9
ONE = TaskCounts(threads=1, cpu_pct=0.0, in_call=True)


def counted(pid: int | None, name: str = "read", calls: int | None = 0, **more: int | None) -> Counters:
    known: dict[str, int | None] = {"errors": 0, "working_ns": 0, "waiting_ns": 0, "wall_ns": 0, "in_flight": 0, **more}
    return Counters(name=name, pid=pid, calls=calls, **known)  # type: ignore[arg-type]


def at(seconds: float, *rows: Counters, session: int = 0) -> CounterReading:
    return reading({session: Sample(monotonic_ns=0, epoch_s=0.0, rows=rows)}, int(seconds * S))


def rates(
    before: CounterReading, after: CounterReading, tasks: dict[int, TaskCounts], members: dict[int, int]
) -> dict[int, Rates]:
    changed = counts.changes(before, after, tasks)
    return counts.rates(after.monotonic_ns - before.monotonic_ns, changed, tasks, members)


def total_rates(before: CounterReading, after: CounterReading) -> counts.Totals:
    return counts.total_rates(before, after, counts.changes(before, after, {}))


def test_rates_are_differences_over_the_window() -> None:
    before = at(1, counted(5, calls=100, errors=7, working_ns=S, waiting_ns=S, wall_ns=2 * S))
    after = at(3, counted(5, calls=300, errors=9, working_ns=S + S // 10, waiting_ns=2 * S, wall_ns=3 * S + S // 10))
    found = rates(before, after, {5: ONE}, {5: 0})[5]
    assert (found.calls_s, found.errors_s) == (100.0, 1.0)
    assert (found.working_pct, found.waiting_pct, found.wall_pct) == (5.0, 50.0, 55.0)


def test_what_a_tracer_cannot_know_stays_unknown() -> None:
    before, after = at(1, counted(5, calls=1)), at(2, counted(5, calls=3, wall_ns=5, waiting_ns=None, errors=None))
    found = rates(before, after, {5: ONE}, {5: 0})[5]
    assert found.calls_s == 2.0
    assert found.errors_s is None
    assert found.waiting_pct is None
    assert found.wall_pct is None
    assert found.working_pct == 0.0


def test_a_call_that_lasts_counts_while_it_lasts_and_not_again_when_it_returns() -> None:
    waiting = counted(5, calls=1, in_flight=1)
    found = rates(at(1, waiting), at(2, waiting), {5: ONE}, {5: 0})[5]
    assert (found.calls_s, found.waiting_pct) == (0.0, 100.0)
    returned = counted(5, calls=2, waiting_ns=30 * S, wall_ns=30 * S, in_flight=1)
    found = rates(at(2, waiting), at(3, returned), {5: ONE}, {5: 0})[5]
    assert found.waiting_pct == 100.0  # and not 3000


def test_threads_in_other_calls_add_up() -> None:
    futex = counted(5, "futex", calls=3, in_flight=3)
    before = at(1, futex, counted(5, "read", calls=5))
    after = at(2, futex, counted(5, "read", calls=9, waiting_ns=S // 2, wall_ns=S // 2, in_flight=1))
    four = TaskCounts(threads=4, cpu_pct=0.0, in_call=True)
    found = rates(before, after, {5: four}, {5: 0})[5]
    assert found.waiting_pct == 350.0
    assert not found.at_least


def test_threads_that_waited_before_they_were_counted_make_it_at_least() -> None:
    before = at(1, counted(5, calls=1))
    after = at(2, counted(5, calls=2, waiting_ns=S // 2, wall_ns=S // 2, in_flight=1))
    found = rates(before, after, {5: TaskCounts(threads=3, cpu_pct=0.0, in_call=True)}, {5: 0})[5]
    assert found.waiting_pct == 50.0
    assert found.at_least


def test_one_thread_in_a_call_since_before_it_was_counted_waits_all_the_time() -> None:
    found = rates(at(1), at(2), {5: ONE}, {5: 0})[5]
    assert (found.calls_s, found.waiting_pct, found.at_least) == (0.0, 100.0, False)
    running = TaskCounts(threads=1, cpu_pct=100.0, in_call=False)
    assert rates(at(1), at(2), {5: running}, {5: 0})[5].waiting_pct == 0.0


def test_a_process_that_has_just_begun_and_runs_is_not_at_least() -> None:
    young = TaskCounts(threads=1, cpu_pct=None, in_call=False)
    found = rates(at(1), at(2, counted(5, calls=9, waiting_ns=S // 10, wall_ns=S // 10)), {5: young}, {5: 0})[5]
    assert (found.waiting_pct, found.at_least) == (10.0, False)


def test_a_session_attached_in_between_is_no_whole_window() -> None:
    after = reading(
        {0: Sample(monotonic_ns=0, epoch_s=0), 1: Sample(monotonic_ns=0, epoch_s=0, rows=(counted(5, calls=9),))}, 2 * S
    )
    assert rates(at(1), after, {5: ONE}, {5: 1}) == {}
    assert total_rates(at(1), after) == (0, 0)
    assert total_rates(EMPTY, after) == (None, None)


def test_what_ended_processes_leave_to_their_session_is_in_the_total_once() -> None:
    before = at(1, counted(5, calls=100, errors=1), counted(6, calls=10))
    after = at(2, counted(5, calls=150, errors=2), counted(None, calls=40))
    assert total_rates(before, after) == (80, 1)


def test_a_child_born_in_the_window_counts_from_its_birth() -> None:
    found = rates(at(1), at(2, counted(6, calls=40)), {6: ONE}, {6: 0})
    assert found[6].calls_s == 40.0


def test_a_reused_pid_starts_from_nothing_and_the_total_has_both() -> None:
    before = at(1, counted(5, calls=1000))
    after = at(2, counted(5, calls=7), counted(None, calls=1004))
    changed = counts.changes(before, after, {5: ONE})
    found = counts.rates(S, changed, {5: ONE}, {5: 0}, counts.reborn(after, {5}))
    assert found[5].calls_s == 7.0
    assert counts.total_rates(before, after, changed)[0] == 11
    assert before.without({5}).of_process(5) == []


def test_a_session_that_has_ended_is_in_the_total_a_last_time() -> None:
    before = at(1, counted(5, calls=100, errors=3))
    after = CounterReading(2 * S, {}, {}, {0: (130, 4)})
    assert total_rates(before, after) == (30, 1)
    assert total_rates(EMPTY, after) == (None, None)


def test_a_process_in_two_sessions_counts_once() -> None:
    samples = {n: Sample(monotonic_ns=0, epoch_s=0, rows=(counted(5, calls=10),)) for n in (0, 1)}
    twice = reading(samples, S)
    assert twice.sessions == {5: 0}
    assert [[row.calls for row in rows] for rows in twice.rows.values()] == [[10], []]


CHURN = """
import os, sys, threading, time
def work(n):
    while True:
        for _ in range(n): os.getppid()
        for _ in range(3):
            try: os.open("/nonexistent", 0)
            except OSError: pass
        time.sleep(0.01)
for n in (5, 50): threading.Thread(target=work, args=(n,), daemon=True).start()
reader, writer = os.pipe()
print("ready", flush=True)
sys.stdin.readline()
threading.Thread(target=os.read, args=(reader, 1), daemon=True).start()
while True:
    if os.fork() == 0:
        for _ in range(20): os.getpgid(0)
        os._exit(0)
    os.wait()
    time.sleep(0.02)
"""


async def test_the_quick_way_says_the_same_as_row_by_row() -> None:
    """Real rows of eBPF: threads, errors, calls in flight, and children that end and leave theirs to the session."""
    require("ebpf")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", CHURN, stdin=pipe, stdout=pipe)
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        async with Profiler("ebpf") as profiler:
            session = await profiler.attach(process.pid)
            assert process.stdin is not None
            process.stdin.write(b"go\n")
            samples = [await session.read()]

            async def further() -> bool:
                """One more, in which something has been done; the sixth when it reads the pipe as well."""
                sample = await session.read()
                delta = rows_of(sample.rows).moved_since(samples[-1].rows).get(process.pid)
                there = delta is not None and bool(delta.calls) and (len(samples) < 5 or delta.standing == 1)
                if there:
                    samples.append(sample)
                return there

            while len(samples) < 6:
                await auntil(further, pause=lambda: asyncio.sleep(0.15))
            for before, after in itertools.combinations(samples, 2):
                everybody = {row.pid for row in after.rows}
                quick = rows_of(after.rows).moved_since(before.rows, everybody)
                slow = PlainRows(after.rows).moved_since(tuple(before.rows), everybody)
                none = ProcessDelta()
                assert {pid: each for pid, each in quick.items() if each != none} == {
                    pid: each for pid, each in slow.items() if each != none
                }
                total = sum(each.calls or 0 for each in quick.values())
                assert total == sum(row.calls or 0 for row in after.rows) - sum(row.calls or 0 for row in before.rows)
                assert total > 0
            last = rows_of(samples[-1].rows).moved_since(samples[-2].rows)
            assert last[process.pid].standing == 1, "it reads the pipe"
    finally:
        process.kill()
        await process.wait()


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 10**6), st.integers(0, 10**12)), max_size=20),
    st.integers(1, 64),
)
def test_no_share_is_below_nothing_or_above_what_its_threads_had(
    steps: list[tuple[int, int, int]], threads: int
) -> None:
    names = ("read", "futex", "poll", "openat")
    rows = {name: counted(5, name) for name in names}
    for which, calls, waiting_ns in steps:
        old = rows[names[which]]
        after = dict(rows)
        after[names[which]] = counted(
            5, names[which], (old.calls or 0) + calls, waiting_ns=(old.waiting_ns or 0) + waiting_ns,
            wall_ns=(old.wall_ns or 0) + waiting_ns, in_flight=calls % 2,
        )  # fmt: skip
        tasks = TaskCounts(threads=threads, cpu_pct=None, in_call=False)
        found = rates(at(1, *rows.values()), at(2, *after.values()), {5: tasks}, {5: 0})[5]
        assert found.calls_s == pytest.approx(calls)
        assert found.waiting_pct is not None
        assert 0 <= found.waiting_pct <= 100 * threads
        rows = after

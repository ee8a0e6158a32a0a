"""What came and went between two refreshes has a row by program, so that the rows add up to the header.

Of `model/deltas.py` and `live/rates.py`.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from straced.linux.targets import parse
from straced.live import rates as counts
from straced.live.local import LocalSource
from straced.live.rates import CounterReading, reading
from straced.model.frame import Frame
from straced.model.types import Counters, Sample
from tests.support.needs import require

ROUNDS = 23
SCRIPT = f"""
echo ready
while read go; do
    n=0
    while [ $n -lt {ROUNDS} ]; do /bin/true; /bin/cat missing-$n 2>/dev/null; n=$((n + 1)); done
    echo done
done
"""


def row(pid: int | None, program: str | None, calls: int, name: str = "read", errors: int = 0) -> Counters:
    nothing = {"working_ns": 0, "waiting_ns": 0, "wall_ns": 0, "in_flight": 0}
    return Counters(name=name, pid=pid, program=program, calls=calls, errors=errors, **nothing)


def at(monotonic_ns: int, *rows: Counters) -> CounterReading:
    return reading({0: Sample(monotonic_ns=monotonic_ns, epoch_s=0.0, rows=rows)}, monotonic_ns)


def test_what_ended_is_told_by_program_less_what_its_row_had_told() -> None:
    before = at(0, row(1, "make", 10), row(7, "cc1", 100), row(None, "cc1", 1000))
    after = at(1, row(1, "make", 15), row(None, "cc1", 1130, errors=3), row(None, "cc1", 1, "exit_group"))
    changed = counts.changes(before, after, {})
    short = counts.short_lived(changed, {1})
    assert {key: (each.calls, each.errors, each.exits) for key, each in short.items()} == {(0, "cc1"): (31, 3, 1)}
    assert counts.total_rates(before, after, changed) == (36, 3)


def test_a_process_that_goes_on_with_another_program_begins_anew() -> None:
    before = at(0, row(7, "sh", 100))
    after = at(1, row(7, "cc1", 20), row(None, "sh", 105))
    changed = counts.changes(before, after, {})
    assert changed[0][7].calls == 20
    assert counts.began_anew(changed) == {7}
    assert counts.short_lived(changed, {7})[0, "sh"].calls == 5


def test_who_is_in_no_row_counts_among_the_short_lived() -> None:
    before = at(0, row(1, "make", 10))
    after = at(1, row(1, "make", 10), row(8, "as", 4))
    changed = counts.changes(before, after, {})
    assert counts.short_lived(changed, {1})[0, "as"].calls == 4
    assert counts.short_lived(changed, {1, 8}) == {}


@pytest.fixture
def shell() -> Iterator[subprocess.Popen[str]]:
    """A shell that runs short programs, a batch for each line it is told."""
    with subprocess.Popen(["sh", "-c", SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def sums(frame: Frame) -> tuple[float, float]:
    rows = (*frame.processes, *frame.short_lived)
    return sum(each.calls_s or 0 for each in rows), sum(each.errors_s or 0 for each in rows)


async def test_rows_and_the_short_lived_add_up_to_the_header(shell: subprocess.Popen[str]) -> None:
    require("ebpf")
    assert shell.stdin is not None
    assert shell.stdout is not None
    source = LocalSource([parse(str(shell.pid))], "ebpf")
    try:
        await source.frame()
        await source.settle()
        await source.frame()
        for _ in range(2):
            shell.stdin.write("go\n")
            shell.stdin.flush()
            assert shell.stdout.readline() == "done\n"
            frame = await source.frame()
            assert frame.calls_s is not None
            assert sums(frame) == pytest.approx((frame.calls_s, frame.errors_s), rel=0.01)
            short = {each.program: each for each in frame.short_lived}
            assert short["true"].ended == short["cat"].ended == ROUNDS
            assert short["cat"].parent == frame.processes[0].key
            seconds = frame.duration_ns / 1e9
            assert round((short["cat"].errors_s or 0) * seconds) >= ROUNDS  # each did not find its file
            assert frame.processes[0].calls_s is not None
            assert frame.processes[0].calls_s >= 0
    finally:
        await source.close()

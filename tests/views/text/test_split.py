"""A table of processes or threads. Of `views/text/split.py` and `model/split.py`."""

from __future__ import annotations

from straced.model.split import split
from straced.model.types import Counters
from straced.views.text.split import split_lines
from straced.views.text.summary import plain

ROWS = [
    Counters(name="read", pid=5, calls=10, errors=2, wall_ns=3000, waiting_ns=1000, max_ns=900),
    Counters(name="openat", pid=5, calls=4, errors=0, wall_ns=1000, waiting_ns=0, max_ns=400),
    Counters(name="read", pid=6, calls=90, errors=0, wall_ns=500, waiting_ns=0, max_ns=100),
    Counters(name="read", pid=None, program="cc1", calls=7, errors=None, wall_ns=70, waiting_ns=0, max_ns=30),
    Counters(name="read", pid=None, program="as", calls=1, errors=0, wall_ns=9, waiting_ns=0, max_ns=9),
]


def test_each_process_and_each_program_that_ended_is_a_part() -> None:
    parts = split(ROWS, lambda pid, tid, program: f"{pid} {program}")
    assert [(part.name, part.calls, part.errors, part.max_ns) for part in parts] == [
        ("6 None", 90, 0, 100),
        ("5 None", 14, 2, 900),
        ("None cc1", 7, None, 30),  # a sum with an unknown part is unknown
        ("None as", 1, 0, 9),
    ]
    assert parts[1].busiest == (("read", 10), ("openat", 4))


def test_the_table_cuts_the_busiest_calls_and_nothing_else() -> None:
    parts = split(ROWS, lambda pid, tid, program: f"{pid} (worker)" if pid else f"ended: {program}")
    wide, narrow = plain(split_lines(parts, "process")), plain(split_lines(parts, "process", limit=2, width=80))
    assert "read 10, openat 4" in wide
    assert max(map(len, narrow.splitlines())) <= 80
    assert "(2 more: --all)" in narrow
    assert narrow.splitlines()[0].split()[0] == "process"


def test_threads_are_apart() -> None:
    rows = [Counters(name="read", pid=5, tid=tid, calls=tid, errors=0) for tid in (5, 6)]
    assert [(part.pid, part.tid) for part in split(rows, lambda pid, tid, program: "")] == [(5, 6), (5, 5)]

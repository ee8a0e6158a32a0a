"""The slowest calls of a trace: which are kept, and the floor below which the reader need not look."""

from __future__ import annotations

import random

from straced.traces.analysis.slowest_calls import MOST, SlowestCalls


def test_the_slowest_are_kept_and_of_equals_the_first() -> None:
    random_ = random.Random(7)
    durations = [random_.randrange(40) * 1000 for _ in range(500)]
    slowest = SlowestCalls()
    for line, duration in enumerate(durations, 1):
        slowest.add(duration, line, b"9", b"read(3) = 0")
    ranked = sorted(((duration, -line) for line, duration in enumerate(durations, 1)), reverse=True)
    assert [row[:2] for row in sorted(slowest.rows, reverse=True)] == ranked[:MOST]
    assert slowest.floor == b"<0.%06d>" % (ranked[MOST - 1][0] // 1000)


def test_the_floor_rises_only_when_all_places_are_taken() -> None:
    slowest = SlowestCalls()
    for line in range(1, MOST):
        slowest.add(10**9, line, b"", b"pause()")
    assert slowest.floor == b"<0.000000>"
    slowest.add(20 * 10**9, MOST, b"", b"pause()")
    assert slowest.floor == b"<1.000000>"
    for line in range(100):
        slowest.add(20 * 10**9, line, b"", b"pause()")
    assert slowest.floor == b"<9.999999>"

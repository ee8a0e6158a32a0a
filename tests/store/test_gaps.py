"""How long no service ran, also where only a row of each minute is left. Of `store/gaps.py`."""

from __future__ import annotations

import random
import sqlite3
from operator import sub

import pytest

from straced.store import gaps

DAY_MS, MINUTE_MS = 86_400_000, 60_000


def gaps_s(times: list[int]) -> float:
    database = sqlite3.connect(":memory:")
    database.execute("create table host (ts integer primary key, data blob) without rowid")
    database.executemany("insert into host values (?, null)", [(ts,) for ts in times])
    found = gaps.gaps_s(database, 0, 3 * DAY_MS)
    database.close()
    return found


def every(step_ms: int, start_ms: int, end_ms: int) -> list[int]:
    return list(range(start_ms, end_ms, step_ms))


def test_what_was_thinned_to_a_row_a_minute_is_no_gap() -> None:
    """Two days at 1 s, of the first of which the first row of each minute is kept."""
    assert gaps_s([*every(MINUTE_MS, 250, DAY_MS), *every(1000, DAY_MS + 250, 2 * DAY_MS)]) == 0


def test_a_gap_is_what_is_missing_beyond_the_usual_step() -> None:
    day = every(1000, 0, DAY_MS)
    assert gaps_s(day) == 0
    assert gaps_s([*day[:3600], *day[3645:]]) == 45
    assert gaps_s([*day[:3600], *day[3602:]]) == 0, "a sample that was late"
    thinned = [*every(MINUTE_MS, 250, DAY_MS // 2), *every(MINUTE_MS, DAY_MS // 2 + 3_600_250, DAY_MS)]
    assert gaps_s([*thinned, *every(1000, DAY_MS + 250, 2 * DAY_MS)]) == 3659


def test_too_few_samples_tell_of_no_gap() -> None:
    assert gaps_s([]) == gaps_s([0, 10**9]) == 0


@pytest.mark.parametrize("step_ms", [200, 1000, 15_000])
def test_what_is_read_by_the_hour_is_what_all_steps_say(step_ms: int) -> None:
    """Samples that are some milliseconds off, some of them late, and gaps of several lengths at any place."""
    chance = random.Random(step_ms)
    times = [0]
    while times[-1] < DAY_MS // 8:
        missed = chance.choice([1, 100, 700, 3000]) if chance.random() < 0.002 else 0
        times.append(times[-1] + step_ms * (1 + missed) + chance.randrange(-3, 4))
    steps = sorted(map(sub, times[1:], times))
    usual = steps[len(steps) // 2]
    expected = sum(step - usual for step in steps if step > 3 * max(usual, 1000)) / 1000
    assert gaps_s(times) == pytest.approx(expected, rel=0.001)

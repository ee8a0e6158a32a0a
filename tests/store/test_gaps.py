"""How long no service ran, also where only a row of each minute is left. Of `store/gaps.py`."""

from __future__ import annotations

from straced.store.gaps import gaps_s

DAY_MS, MINUTE_MS = 86_400_000, 60_000


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

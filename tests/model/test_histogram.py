"""Buckets and percentiles keep to the stated error."""

from __future__ import annotations

import math
import random

import pytest

from straced.model import histogram

FIRST, LAST = 1 << histogram.FIRST_OCTAVE, 1 << (histogram.FIRST_OCTAVE + histogram.OCTAVES)


def test_buckets_follow_one_another() -> None:
    edge = FIRST
    for index in range(histogram.SIZE):
        lower, upper = histogram.bounds(index)
        assert lower == edge
        assert histogram.bucket(lower) == histogram.bucket(upper - 1) == index
        edge = upper
    assert edge == LAST


@pytest.mark.parametrize("duration", [-1, 0, 1, FIRST - 1])
def test_what_is_too_short_stands_in_the_first(duration: int) -> None:
    assert histogram.bucket(duration) == 0


@pytest.mark.parametrize("duration", [LAST, LAST * 1000, 1 << 63])
def test_what_is_too_long_stands_in_the_last(duration: int) -> None:
    assert histogram.bucket(duration) == histogram.SIZE - 1


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.99, 0.999, 1.0])
def test_percentiles_are_within_the_error(share: float) -> None:
    dice = random.Random(7)
    durations = sorted(round(dice.lognormvariate(9, 3)) + FIRST for _ in range(5000))
    counts = [0] * histogram.SIZE
    for duration in durations:
        counts[histogram.bucket(duration)] += 1
    truth = durations[math.ceil(len(durations) * share) - 1]
    found = histogram.percentile_ns(counts, share)
    assert found is not None
    assert abs(found - truth) <= truth * histogram.ERROR_PCT / 100 + 1


def test_an_empty_histogram_has_no_percentiles() -> None:
    assert histogram.percentile_ns([0] * histogram.SIZE, 0.5) is None

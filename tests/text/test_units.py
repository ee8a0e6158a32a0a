"""Durations as people write them.

Of `text/units.py`.
"""

from __future__ import annotations

import pytest

from straced.errors import InvalidArgument
from straced.text.units import format_ns, parse_duration_ns


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("500ns", 500), ("100us", 100_000), ("1.5ms", 1_500_000), ("2h30m", 9_000 * 10**9), ("0.25", 250_000_000)],
)
def test_a_duration_has_any_unit_that_is_printed(text: str, nanoseconds: int) -> None:
    assert parse_duration_ns(text) == nanoseconds
    printed = format_ns(nanoseconds).replace(" ", "").replace(",", "")
    assert parse_duration_ns(printed) == nanoseconds


@pytest.mark.parametrize("text", ["", "0us", "us", "1 us", "1usm", "1uus", "-1us"])
def test_what_is_none_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        parse_duration_ns(text)
    assert refused.value.hint is not None
    assert "100us" in refused.value.hint

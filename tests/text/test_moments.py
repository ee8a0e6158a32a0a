"""Moments as people write them, also on the days on which the clocks are set. Of `text/moments.py`."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from straced.errors import InvalidArgument
from straced.text import moments

AUTUMN = 1_792_926_000.0
"""2026-10-25 12:00 in Berlin, nine hours after the clocks were set back."""


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def local(text: str, now: float = AUTUMN) -> str:
    moment, _said = moments.parse(text, now)
    return time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(moment))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("08:12", "2026-10-25 08:12:00 +0100"),
        ("08:12:30", "2026-10-25 08:12:30 +0100"),
        ("23:50", "2026-10-24 23:50:00 +0200"),
        ("yesterday 08:12", "2026-10-24 08:12:00 +0200"),
        ("today", "2026-10-25 00:00:00 +0200"),
        ("2026-03-01 08:12", "2026-03-01 08:12:00 +0100"),
        ("2026-07-01T08:12", "2026-07-01 08:12:00 +0200"),
        ("2026-10-25T02:30+01:00", "2026-10-25 02:30:00 +0100"),
        ("2026-10-25T00:30Z", "2026-10-25 02:30:00 +0200"),
    ],
)
def test_what_is_meant(text: str, shown: str) -> None:
    assert local(text) == shown


def test_an_hour_that_came_twice_is_said() -> None:
    moment, said = moments.parse("02:30", AUTUMN)
    assert time.strftime("%z", time.localtime(moment)) == "+0200"
    assert said == (
        "the clock showed 2026-10-25 02:30 twice; this is the first (+0200), the second is 2026-10-25T02:30+0100"
    )
    assert moments.parse("2026-10-25T02:30+0100", AUTUMN) == (moment + 3600, "")


def test_an_hour_that_never_came_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="the clock never showed 2026-03-29 02:30") as caught:
        moments.parse("2026-03-29 02:30", AUTUMN)
    assert "+01:00" in caught.value.hint


@pytest.mark.parametrize("text", ["", "noon", "25:00", "08:60", "2026-02-30 08:12", "08", "2026-13-01", "8:12+99:00"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        moments.parse(text, AUTUMN)
    assert caught.value.hint


def test_a_span_ends_after_it_begins() -> None:
    start, end, notes = moments.span("23:50", "00:10", AUTUMN)
    assert (end - start, notes) == (1200.0, [])
    start, end, notes = moments.span("08:12", None, AUTUMN)
    assert end - start == 60
    start, end, notes = moments.span("01:30", "03:30", AUTUMN)
    assert end - start == 3 * 3600, "three hours passed between them that night"
    with pytest.raises(InvalidArgument, match="is not after"):
        moments.span("2026-10-20 08:12", "2026-10-20 08:00", AUTUMN)
    with pytest.raises(InvalidArgument, match="is in the future: now is 2026-10-25 12:00"):
        moments.span("2026-10-26 08:12", None, AUTUMN)

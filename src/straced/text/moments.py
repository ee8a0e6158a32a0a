"""Moments as people write them: a time of day, a date with a time, one with its offset from UTC, or how long ago."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta, timezone

from straced.errors import InvalidArgument
from straced.text.units import parse_duration_ns

_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
_DATE = re.compile(r"(?:(\d{4})-(\d{2})-(\d{2})|(today|yesterday))(?:[T ]+(.+))?")
_OFFSET = re.compile(r"(Z|[+-]\d{2}:?\d{2})$")
_AGO = re.compile(r"-\s*(.+)|(.+?)\s+ago")
HINT = "write 08:12, 'yesterday 08:12', '2026-10-25 08:12', 2026-10-25T08:12+02:00 or -2h"


def parse(text: str, now: float, *, after: float | None = None) -> tuple[float, str]:
    """The moment that a text names, in seconds since the epoch, and what is to be said about it.

    Args:
        text: as it was written; a time of day is the last one that has been.
        now: the present.
        after: with it, a time of day is the first one after that.

    Raises:
        InvalidArgument: it is no moment, or one that the clock did not show.
    """
    if (ago := _AGO.fullmatch(text.strip())) is not None:
        return now - parse_duration_ns(ago[1] or ago[2]) / 1e9, ""
    text, offset = _split(text)
    dated = _DATE.fullmatch(text)
    clock = (dated[5] or "00:00") if dated else text
    found = _CLOCK.fullmatch(clock.strip())
    if found is None:
        raise InvalidArgument(f"{text!r} is no time", hint=HINT)
    hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
    if hour > 23 or minute > 59 or second > 59:
        raise InvalidArgument(f"there is no {clock.strip()} on the clock", hint=HINT)
    if dated:
        return _of(_day(dated, now), (hour, minute, second), offset)
    base = now if after is None else after
    days = (0, -1) if after is None else (0, 1)
    for days_on in days:
        moment, said = _of(_days_on(base, days_on), (hour, minute, second), offset)
        if moment <= now if after is None else moment > after:
            return moment, said
    return moment, said


def _split(text: str) -> tuple[str, str]:
    found = _OFFSET.search(text)
    if found is None or ":" not in text[: found.start()]:
        return text.strip(), ""
    return text[: found.start()].strip(), found[1]


def _day(dated: re.Match[str], now: float) -> tuple[int, int, int]:
    if dated[4]:
        return _days_on(now, -1 if dated[4] == "yesterday" else 0)
    year, month, day = int(dated[1]), int(dated[2]), int(dated[3])
    try:
        datetime(year, month, day)
    except ValueError as error:
        raise InvalidArgument(f"there is no {dated[0][:10]} in the calendar", hint=HINT) from error
    return year, month, day


def _days_on(base: float, days: int) -> tuple[int, int, int]:
    today = time.localtime(base)
    noon = time.mktime((today.tm_year, today.tm_mon, today.tm_mday + days, 12, 0, 0, 0, 0, -1))
    then = time.localtime(noon)
    return then.tm_year, then.tm_mon, then.tm_mday


def _of(day: tuple[int, int, int], clock: tuple[int, int, int], offset: str) -> tuple[float, str]:
    """A day and a time; what the clock showed twice is the first of the two, and said."""
    if offset:
        return datetime(*day, *clock, tzinfo=_zone(offset)).timestamp(), ""
    wanted = (*day, *clock)
    found = sorted(
        {moment for dst in (1, 0) if time.localtime(moment := time.mktime((*wanted, 0, 0, dst)))[:6] == wanted}
    )
    shown = f"{day[0]:04}-{day[1]:02}-{day[2]:02} {clock[0]:02}:{clock[1]:02}"
    if not found:
        raise InvalidArgument(
            f"the clock never showed {shown}: it was set forward then",
            hint="write it with its offset, as in 02:30+01:00",
        )
    if len(found) == 1:
        return found[0], ""
    first, second = (time.strftime("%z", time.localtime(moment)) for moment in found)
    iso = shown.replace(" ", "T")
    return found[0], f"the clock showed {shown} twice; this is the first ({first}), the second is {iso}{second}"


def _zone(offset: str) -> timezone:
    if offset == "Z":
        return UTC
    sign = -1 if offset[0] == "-" else 1
    hours, minutes = int(offset[1:3]), int(offset[-2:])
    if hours > 23 or minutes > 59:
        raise InvalidArgument(f"{offset} is no offset from UTC", hint=HINT)
    return timezone(sign * timedelta(hours=hours, minutes=minutes))


def span(at: str, until: str | None, now: float) -> tuple[float, float, list[str]]:
    """The span that ``--at`` and ``--until`` name, and what is to be said about it; a minute without an end.

    Raises:
        InvalidArgument: it is in the future, or ends before it begins.
    """
    start, said = parse(at, now)
    notes = [said] if said else []
    if start > now:
        raise InvalidArgument(f"{at} is in the future: now is {shown(now)}", hint="write a time that has been")
    end = start + 60.0
    if until is not None:
        end, said = parse(until, now, after=start)
        notes += [said] if said else []
        if end <= start:
            raise InvalidArgument(f"--until {until} is not after --at {at}")
    return start, end, notes


def shown(moment: float) -> str:
    """Local time to the minute."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))

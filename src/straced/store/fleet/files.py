"""Which files a question is about: by table, host and hour, out of their names alone."""

from __future__ import annotations

import calendar
import fnmatch
import functools
import re
import time
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from straced.errors import InvalidArgument
from straced.store.fleet.listing import HINT, Listing
from straced.store.hourly_export import HOURS
from straced.text.sanitize import scrub
from straced.text.units import count_of

_NAMED = re.compile(r".*/[a-z]+/date=(\d{4})-(\d\d)-(\d\d)/host=([^/]+)/([01]\d|2[0-3])\.parquet")
DAY_S = 86400
_DATE = "%Y-%m-%d"


class ExportedFile(Struct, frozen=True):
    """A file of one table, host and hour."""

    path: str
    table: str
    host: str
    hour_s: float


class ExportedFiles:
    """The files of a directory, or a bucket, by table.

    Args:
        listing: where they are.
        hosts: which hosts; a glob.

    Raises:
        InvalidArgument: there are none, or none of such a host.
    """

    def __init__(self, listing: Listing, hosts: str | None = None) -> None:
        self.folder = listing.folder
        self._listing = listing
        self._wanted = hosts
        self.foreign = listing.others()
        """What is none of ours."""
        self._days = functools.cache(self._read_day)
        self._dates = listing.dates(HOURS)
        shown = scrub(self.folder)
        if not self._dates:
            other = f", but other things: {scrub(self.foreign[0], 60)}, say" if self.foreign else ""
            raise InvalidArgument(f"{shown} holds no history of any host{other}", hint=HINT)
        first, last = self._edge(self._dates, 0), self._edge(self._dates[::-1], -1)
        if first is None or last is None:
            there = sorted({each.host for date in self._dates for each in self._named(HOURS, date)})
            hint = f"there are {', '.join(there[:5])}{', ...' if len(there) > 5 else ''}" if there else HINT
            raise InvalidArgument(f"{shown} holds no history of hosts called {scrub(hosts or '*')}", hint=hint)
        self.first = first
        """When the oldest complete hour began."""
        self.last = last + 3600
        """When the newest complete hour ended."""

    def of(self, table: str, start: float, end: float) -> list[ExportedFile]:
        """The files of a table whose hour has a part in a span, of hours that are complete."""
        first, last = time.strftime(_DATE, time.gmtime(max(0, start))), time.strftime(_DATE, time.gmtime(end))
        found: list[ExportedFile] = []
        for date in self._dates:
            if first <= date <= last:
                complete = {(each.host, each.hour_s) for each in self._days(HOURS, date)}
                found += [each for each in self._days(table, date) if (each.host, each.hour_s) in complete]
        return [each for each in found if each.hour_s < end and each.hour_s + 3600 > start]

    def missing(self, start: float, end: float) -> list[str]:
        """Hosts, known within a day of a span, of which an hour of it is not there."""
        about = {each.host for each in self.of(HOURS, start - DAY_S, end + DAY_S)}
        there = {(each.host, each.hour_s) for each in self.of(HOURS, start, end)}
        hours = list(_hours(start, min(end, self.last)))
        return sorted(host for host in about if any((host, hour) not in there for hour in hours))

    def _read_day(self, table: str, date: str) -> list[ExportedFile]:
        wanted = self._wanted
        return [each for each in self._named(table, date) if wanted is None or fnmatch.fnmatchcase(each.host, wanted)]

    def _named(self, table: str, date: str) -> Iterator[ExportedFile]:
        """What the names of the files of a day say."""
        for path in sorted(self._listing.files(table, date)):
            found = _NAMED.fullmatch(path)
            if found is None:
                self.foreign.append(path)
                continue
            year, month, day, host, hour = found.groups()
            begin = calendar.timegm((int(year), int(month), int(day), int(hour), 0, 0))
            yield ExportedFile(path, table, host, float(begin))

    def _edge(self, dates: Sequence[str], place: int) -> float | None:
        """The first or last hour of the first of these days that has one."""
        for date in dates:
            hours = sorted(each.hour_s for each in self._days(HOURS, date))
            if hours:
                return hours[place]
        return None


def _hours(start: float, end: float) -> Iterator[float]:
    hour = start // 3600 * 3600
    while hour < end:
        yield hour
        hour += 3600


def told(files: ExportedFiles, start: float, end: float, clock: Callable[[float], str]) -> Iterator[str]:
    """What is to be said of a span beside the answer."""
    if files.foreign:
        first = scrub(files.foreign[0], 200)
        others = f", and {len(files.foreign) - 1} more" if len(files.foreign) > 1 else ""
        yield f"left out, for it is no export: {first}{others}"
    if end > files.last:
        yield f"exported until {clock(files.last)}: what came later is not in it"
    if missing := files.missing(start, end):
        yield f"of {some(missing)} nothing was exported for a part of this time"


def some(hosts: Sequence[str]) -> str:
    """Hosts, the first few by name."""
    names = ", ".join(scrub(host, 60) for host in hosts[:3])
    return f"{count_of(len(hosts), 'host')} ({names}{', ...' if len(hosts) > 3 else ''})"

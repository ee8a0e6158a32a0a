"""What pages ask of history: lines of charts, the calls of a span, the processes of a minute."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from straced.errors import StracedError
from straced.ipc.messages import Status
from straced.live.history import MOST, STEP_S, frame_of_minute
from straced.live.service import note_of
from straced.model.frame import Frame, Key
from straced.model.history import SeriesInfo
from straced.store import chart_points
from straced.store import events as journal
from straced.store.chart_points import ChartPoint
from straced.store.database import is_damage
from straced.store.history import History

if TYPE_CHECKING:
    from straced.service.service import Service

AT_A_TIME = 2
"""Questions; others wait."""
POINTS = 240
FINE_S = 3600.0
"""A span up to this is drawn from samples, a longer one from roll-ups."""
NOTES = 200
Found = TypeVar("Found")


class HistoryFailed(Exception):
    """The history is there, and cannot be read."""


class HistoryReader:
    """Asks the history of a service, on threads, with the rights of its owner."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._turn = asyncio.Semaphore(AT_A_TIME)

    async def ask(self, question: Callable[[History], Found]) -> Found | None:
        """The answer; ``None`` where no history is kept, or not yet.

        Raises:
            HistoryFailed: it cannot be read now.
        """

        def answer() -> Found:
            history = History(self._service.history_path())
            try:
                return question(history)
            finally:
                history.close()

        if self._service.store is None:
            return None
        async with self._turn:
            try:
                return await asyncio.to_thread(answer)
            except StracedError:
                return None
            except sqlite3.Error as error:
                if is_damage(error):
                    self._service.store.suspect(str(error))
                raise HistoryFailed(str(error)) from error


def of_process(history: History, key: Key, since: float, until: float) -> dict[str, Any]:
    """One process over a span: its moments, and what was noted about it."""
    series = _series(history, key, since, until)
    fine = until - since <= FINE_S
    if fine:
        points = chart_points.of_process(history, series, since, until, POINTS)
    else:
        points = chart_points.rolled(history, series, since, until, _step_s(until - since))
        if points:  # the minutes that are not closed yet
            rest = chart_points.of_process(history, series, max(points[-1].time, since), until, POINTS // 10)
            points += [each for each in rest if each.time > points[-1].time]
    return {
        "known": bool(series),
        "fine": fine,
        "points": points,
        "life": _life(series),
        "notes": [
            note_of(each.time, each)
            for each in journal.events(history, since=since, until=until, pid=key[0], limit=NOTES)
        ],
        "alerts": [
            msgspec.structs.replace(each, data={})
            for each in journal.alerts(history, since=since, until=until, pid=key[0], limit=NOTES)
        ],
    }


def calls_of(history: History, key: Key, since: float, until: float) -> dict[str, Any]:
    """The calls of a process in a span; it begins with the minute (further back: the hour) that ``since`` is in."""
    answer = history.answer(_series(history, key, since, until), since, until)
    return {
        "start": answer.start,
        "end": min(answer.end, time.time()),
        "calls": answer.rows if answer.counted else None,
        "total": answer.total,
        "lost": answer.lost,
        "gaps_s": round(answer.gaps_s, 1),
    }


def of_host(history: History, since: float, until: float) -> list[ChartPoint]:
    """The host and the sum of all calls over a span."""
    return chart_points.of_host(history, since, until, POINTS)


def minute(history: History, at: float, status: Status) -> Frame:
    """The processes of the minute that a moment is in."""
    since = at // STEP_S * STEP_S
    until = since + STEP_S - 0.001
    ranked = history.top(since, until, limit=MOST)
    events = journal.events(history, since=since - 3600, until=since + STEP_S, limit=NOTES)
    return frame_of_minute(since, ranked, status, events)


def _series(history: History, key: Key, since: float, until: float) -> list[SeriesInfo]:
    found = history.find(pid=key[0], start_ticks=key[1], since=since, until=until)
    return [each for each in found if each.kind == "process"]


def _life(series: list[SeriesInfo]) -> dict[str, Any] | None:
    if not series:
        return None
    last = max(series, key=lambda each: each.last_s)
    return {
        "first": min(each.first_s for each in series),
        "last": last.last_s,
        "end": last.end,
        "exit_status": last.exit_status,
        "comm": last.comm,
        "cmdline": " ".join(last.cmdline),
        "job": last.labels.get("job"),
    }


def _step_s(span_s: float) -> float:
    """Whole minutes, or whole hours, so that about :data:`POINTS` of them make the span."""
    step = max(STEP_S, span_s / POINTS)
    return 3600.0 * round(step / 3600) if step >= 1800 else STEP_S * -(-step // STEP_S)

"""Several hosts that have exported: each with a history of its own, and the same hour in all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from straced.config import schema
from straced.model.durations import CallDurations, DurationBatch, ProgramDurations
from straced.model.histogram import bucket
from straced.store.fleet.dataset import opened
from straced.store.fleet.fleet_history import FleetHistory
from straced.store.history import History
from straced.store.hourly_export import HourlyExport
from straced.store.writer import HistoryWriter
from tests.service.samples import ME, calls, process, tick

Answer = TypeVar("Answer")
MINUTES = (0, 12, 59)
"""Of the hour, in which something happened."""
FAST_NS, SLOW_NS = 2_000_000, 48_000_000


def reads(number: int) -> int:
    """What the host of a number reads in each of these minutes; a tenth of that fails."""
    return 10 * (number + 1)


def name(number: int) -> str:
    """Of a host."""
    return f"web-{number:02}"


def record(database: Path, begin: float, number: int) -> None:
    """Two hours of one host: in the second, what ``db`` waits for takes longer if the number is even."""
    writer = HistoryWriter(database, schema.StoreConfig())
    writer.start()
    for minute in range(120):
        at = begin + 60 * minute + 1
        if minute % 60 not in MINUTES:
            writer.tick(tick(at))
            continue
        made = calls("read", reads(number), errors=number + 1)
        writer.tick(tick(at, process(100 + number, comm="web", made=(made,), labels={"job": "shop"}, cpu_ns=10**6)))
        took_ns = SLOW_NS if minute >= 60 and number % 2 == 0 else FAST_NS
        took = CallDurations(took_ns, {bucket(took_ns): 30})
        writer.durations(DurationBatch(at, (ProgramDurations("shop", "db", ME, {"fdatasync": took}),)))
    writer.tick(
        tick(begin + 7261, process(100 + number, comm="web", made=(calls("close", 1),), labels={"job": "shop"}))
    )
    assert writer.flush()
    assert writer.close(30)


def export(folder: Path, room: Path, begin: float, hosts: int) -> None:
    """Have so many hosts export into a directory."""
    for number in range(hosts):
        database = room / f"of-{number}" / "history.db"
        record(database, begin, number)
        history = History(database)
        done = HourlyExport(history, folder, name(number)).run()
        history.close()
        assert done.hours == [begin, begin + 3600]


def ask(
    folder: Path, question: Callable[[FleetHistory], Awaitable[Answer]], hosts: str | None = None
) -> tuple[Answer, list[str]]:
    """An answer, and what was said beside it."""
    said: list[str] = []

    async def answered(asked: Awaitable[Answer]) -> Answer:
        return await asked

    with opened(str(folder), hosts, said.append) as data:
        return asyncio.run(answered(question(FleetHistory(data, str)))), said

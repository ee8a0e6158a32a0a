"""A day of history with known truth, as a service would have written it."""

from __future__ import annotations

from pathlib import Path

from straced.config import schema
from straced.model.alerts import AlertRow
from straced.model.durations import CallDurations, DurationBatch, ProgramDurations
from straced.model.histogram import bucket
from straced.model.tick import Calls, ServiceEvent
from straced.store.writer import HistoryWriter
from tests.service.samples import ME, calls, process, tick

MINUTES = 1440
BROKEN = range(492, 500)
"""Minutes of the day, 08:12 to 08:20, in which ``web`` could not open its files."""
SLOW_FROM = 1380
"""From here on, the last hour, ``db`` waits for its disk."""
WEB, DB, SHORT = 100, 200, 300
OPENS, BROKEN_OPENS, READS, SYNCS, SHORTS = 50, 40, 1000, 30, 7
FAST_NS, SLOW_NS = 2_000_000, 48_000_000
STUCK = "200 (db) is stuck: it waits for a file lock (flock) on /var/lib/db/lock held by 4711 (backup)"


def record(path: Path, begin: float) -> None:
    """Write it.

    Args:
        path: of the database.
        begin: of the day, in seconds since the epoch.
    """
    writer = HistoryWriter(path, schema.StoreConfig())
    writer.start()
    for minute in range(MINUTES):
        at = begin + 60 * minute + 1
        errors = BROKEN_OPENS if minute in BROKEN else 0
        opened = Calls("openat", "x86_64", OPENS, errors, 10**6, 0, {"ENOENT": errors} if errors else None, 0)
        readlink = Calls("readlink", "x86_64", SHORTS, 0, 10**5, 0, None, 0, "readlink")
        writer.tick(
            tick(
                at,
                process(WEB, comm="web", made=(calls("read", READS), opened), labels={"job": "shop"}, cpu_ns=10**7),
                process(DB, comm="db", made=(calls("fdatasync", SYNCS),), labels={"job": "shop"}),
                process(SHORT, comm="make", made=(), ended=(readlink,), labels={"job": "build"}),
            )
        )
        took_ns = SLOW_NS if minute >= SLOW_FROM else FAST_NS
        took = CallDurations(took_ns, {bucket(took_ns): SYNCS})
        waited = CallDurations(10**11, {bucket(10**11): 5})
        db = ProgramDurations("shop", "db", ME, {"fdatasync": took, "epoll_wait": waited})
        web = ProgramDurations("shop", "web", ME, {"read": CallDurations(70_000, {bucket(70_000): READS})})
        writer.durations(DurationBatch(at, (db, web)))
        if minute == BROKEN.start:
            _say(writer, at)
        if not minute % 60:
            assert writer.flush()
    assert writer.flush()
    assert writer.close(30)


def _say(writer: HistoryWriter, at: float) -> None:
    """What is told beside the figures: a build comes and goes, and the database is stuck."""
    for number in range(129):
        for kind in ("started", "ended"):
            made = {"exit_status": int(number < 3), "why": "exited"} if kind == "ended" else {"rule": "name:make"}
            writer.event(
                ServiceEvent(
                    epoch_s=at + number / 10,
                    kind=kind,
                    text=f"{5000 + number} (readlink) {kind}",
                    pid=5000 + number,
                    start_ticks=number + 1,
                    comm="readlink",
                    labels={"job": "build"},
                    owner=ME,
                    data=made,
                )
            )
    alert = AlertRow(
        id="stuck-1",
        kind="stuck",
        subject="200",
        opened_s=at,
        updated_s=at + 200,
        closed_s=at + 300,
        text=STUCK,
        pid=DB,
        start_ticks=7,
        comm="db",
        job="shop",
        owner=ME,
    )
    writer.alert(alert)

"""What history takes, and how fast it answers."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.service.samples import ME, NOON, calls, process, tick

from benchmarks.result import Result, at_most
from straced.config import schema
from straced.model.durations import CallDurations, DurationBatch, ProgramDurations
from straced.model.tick import ProcessSample
from straced.store import events, percentiles
from straced.store.history import History
from straced.store.moment import moment
from straced.store.writer import HistoryWriter


def busy_process(number: int, second: int) -> ProcessSample:
    """One that makes 20 calls, whose numbers differ from second to second."""
    made = tuple(
        calls(
            f"call{i}",
            40 + (second * 7 + number + i) % 23,
            errors=(i == 3) * (second % 5),
            wall_ns=31_337 * (i + 1) + second * 977,
        )
        for i in range(20)
    )
    return process(number + 1, rss=10**7 + number * second % 7 * 4096, cpu_ns=10**7 * (second % 2), made=made)


def bytes_of(history: History, *tables: str) -> int:
    """What tables and their indices take in the file."""
    rows = history.connection.execute("select name, sum(pgsize) from dbstat group by name").fetchall()
    return sum(size for name, size in rows if name.startswith(tables))


def size_of_history(folder: Path) -> list[Result]:
    """Bytes a day of 1,000 processes at 1 s, of which 100 make 20 calls, from ten minutes of it."""
    store = HistoryWriter(folder / "history.db", schema.StoreConfig())
    store.start()
    minutes = 10
    idle = [process(1000 + number, rss=10**7) for number in range(900)]
    for second in range(minutes * 60 + 1):
        busy = [busy_process(number, second) for number in range(100)]
        store.put(tick(NOON + second, *busy, *(idle if second % 60 == 0 else [])))
        if second % 100 == 0:
            store.flush(60)
    store.flush(60)
    history = History(folder / "history.db")
    used = bytes_of(history, "block", "minute", "host", "series")
    hours = bytes_of(history, "hour")
    history.close()
    store.close()
    per_day = (used * 1440 / minutes + hours * 24) / 1e9
    return [at_most("history of a day", "GB", [per_day], 1.0)]


def durations(at: float) -> DurationBatch:
    """How long calls of twenty programs took: twenty calls each, in ten buckets."""
    took = {f"call{i}": CallDurations(10**8, {30 + i + step: 7 for step in range(10)}) for i in range(20)}
    return DurationBatch(at, tuple(ProgramDurations("", f"program{number}", ME, took) for number in range(20)))


def speed_of_history(folder: Path) -> list[Result]:
    """One process over a day, and the ten busiest of a day among a thousand."""
    store = HistoryWriter(folder / "day.db", schema.StoreConfig())
    store.start()
    made = tuple(calls(f"call{i}", 40, wall_ns=31_337) for i in range(20))
    for minute in range(1441):
        everybody = [process(number + 1, made=made) for number in range(1, 1000)] if minute % 60 == 0 else []
        store.put(tick(NOON + minute * 60, process(1, made=made), *everybody))
        store.durations(durations(NOON + minute * 60))
        if minute % 60 == 0:
            store.flush(120)
    store.flush(120)
    fill_up(folder / "day.db")
    one, top = [], []
    history = History(folder / "day.db")
    for _ in range(11):
        began = time.perf_counter()
        answer = history.answer(history.find(pid=1), NOON, NOON + 86400)
        one.append(1000 * (time.perf_counter() - began))
        assert answer.total.calls == 1440 * 20 * 40
        began = time.perf_counter()
        assert len(history.top(NOON, NOON + 86400)) == 10
        top.append(1000 * (time.perf_counter() - began))
    asked = list(questions(history))
    history.close()
    store.close()
    asked.append(as_command(folder))
    return [
        at_most("one process over 24 h", "ms", one, 20.0),
        at_most("ten busiest of a day", "ms", top, 100.0),
        *asked,
    ]


def fill_up(path: Path) -> None:
    """A sample of the host each second of that day, as a service at 1 s keeps them."""
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        (data,) = database.execute("select data from host limit 1").fetchone()
        rows = ((int((NOON + second) * 1000), data) for second in range(86400))
        database.executemany("insert or ignore into host values (?, ?)", rows)


def as_command(folder: Path) -> Result:
    """The same by ``straced history``, with the start of the interpreter; as no root, for which there is one place."""
    (folder / "straced").mkdir()
    (folder / "straced" / "straced.toml").write_text(f'[store]\npath = "{folder / "day.db"}"\n')
    places = {"XDG_CONFIG_HOME": str(folder), "HOME": str(folder), "STRACED_SOCKET": str(folder / "none")}
    begin, end = (time.strftime("%Y-%m-%d %H:%M", time.gmtime(at)) for at in (NOON, NOON + 86400))
    argv = ["unshare", "--user", sys.executable, "-m", "straced", "history", "--at", begin, "--until", end]
    took = []
    for _ in range(11):
        began = time.perf_counter()
        subprocess.run(
            argv,
            env={**os.environ, **places, "PYTHONPATH": str(Path(__file__).parents[1] / "src"), "TZ": "UTC"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        took.append(1000 * (time.perf_counter() - began))
    return at_most("what happened in a day, as a command", "ms", took, 300.0)


def questions(history: History) -> Iterator[Result]:
    """What an operator asks of that day, of a thousand processes: 0.3 s each."""
    asked: dict[str, Callable[[], object]] = {
        "what happened at a minute": lambda: moment(history, NOON + 3600, NOON + 3660),
        "what happened in a day": lambda: moment(history, NOON, NOON + 86400),
        "who made most failing calls": lambda: history.top(NOON, NOON + 86400, by="errors"),
        "whose p99 rose": lambda: percentiles.risen(history, NOON + 80000, NOON + 83600),
        "what was alerted": lambda: events.alerts(history, since=NOON, until=NOON + 86400),
    }
    for name, question in asked.items():
        took = []
        for _ in range(11):
            began = time.perf_counter()
            question()
            took.append(1000 * (time.perf_counter() - began))
        yield at_most(name, "ms", took, 300.0)

"""What history takes, and how fast it answers."""

from __future__ import annotations

import time
from pathlib import Path

from tests.service.samples import NOON, calls, process, tick

from benchmarks.result import Result, at_most
from straced.config import schema
from straced.model.tick import ProcessSample
from straced.store.history import History
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


def speed_of_history(folder: Path) -> list[Result]:
    """One process over a day, and the ten busiest of a day among a thousand."""
    store = HistoryWriter(folder / "day.db", schema.StoreConfig())
    store.start()
    made = tuple(calls(f"call{i}", 40, wall_ns=31_337) for i in range(20))
    for minute in range(1441):
        everybody = [process(number + 1, made=made) for number in range(1, 1000)] if minute % 60 == 0 else []
        store.put(tick(NOON + minute * 60, process(1, made=made), *everybody))
        if minute % 60 == 0:
            store.flush(120)
    store.flush(120)
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
    history.close()
    store.close()
    return [at_most("one process over 24 h", "ms", one, 20.0), at_most("ten busiest of a day", "ms", top, 100.0)]

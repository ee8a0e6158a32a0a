"""A clock that is set back, leaps ahead or once stood at 1970: each call counts once, and what is odd is said.

Of `store/moment.py` and `store/hourly_export.py`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from straced.config import schema
from straced.ipc.messages import Select
from straced.store.history import History
from straced.store.hourly_export import HourlyExport
from straced.store.moment import moment
from straced.store.writer import HistoryWriter
from straced.views.text.moment import moment_lines
from tests.service.samples import calls, process, tick
from tests.store import exported_hosts as fleet

EIGHT = time.time() // 86400 * 86400 - 2 * 86400 + 8 * 3600
TICKS = (
    *((EIGHT + 60 * minute, 10) for minute in range(30)),
    *((EIGHT + 60 * minute, 1) for minute in range(20, 75)),
)
"""Each minute from eight to half past; then the clock is set back by ten, and goes on until a quarter past nine."""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "private" / "history.db"
    writer = HistoryWriter(path, schema.StoreConfig())
    writer.start()
    for at, made in TICKS:
        writer.tick(tick(at, process(7, made=(calls("read", made),))))
    assert writer.flush()
    assert writer.close(30)
    return path


@pytest.fixture
def history(database: Path) -> Iterator[History]:
    made = History(database)
    yield made
    made.close()


def test_a_minute_that_came_twice_has_the_calls_of_both(history: History) -> None:
    found = moment(history, EIGHT, EIGHT + 3600)
    by_minute = {int(step.time - EIGHT) // 60: step.calls for step in found.steps}
    assert by_minute == {minute: 10 * (minute < 30) + (minute >= 20) for minute in range(60)}
    assert found.clock_set
    text = ["".join(span.text for span in line) for line in moment_lines(found, None, 80)]
    assert "the clock was set in this time: a minute may stand for two, or be missing" in text
    assert not moment(history, EIGHT, EIGHT + 600).clock_set


def test_the_export_has_them_too(history: History, tmp_path: Path) -> None:
    assert HourlyExport(history, tmp_path / "srv", "web-1").run().hours == [EIGHT]
    own = moment(history, EIGHT, EIGHT + 3600)
    found, _said = fleet.ask(tmp_path / "srv", lambda fleet: fleet.moment(Select(since=EIGHT, until=EIGHT + 3600)))
    assert [step.calls for step in found.steps] == [step.calls for step in own.steps]
    assert found.clock_set


@pytest.mark.limit(30)
def test_an_hour_of_1970_and_one_to_come_are_no_trouble(tmp_path: Path) -> None:
    path = tmp_path / "private" / "history.db"
    writer = HistoryWriter(
        path, schema.StoreConfig(hours=schema.Nanoseconds(10**19), minutes=schema.Nanoseconds(10**19))
    )
    writer.start()
    for at in (100.0, 200.0, EIGHT, time.time() + 90 * 86400, EIGHT + 60, EIGHT + 3700):
        writer.tick(tick(at, process(7, made=(calls("read", 10),))))
        assert writer.flush()
    assert writer.close(30)
    history = History(path)
    done = HourlyExport(history, tmp_path / "srv", "web-1").run()
    assert done.hours == [0.0, EIGHT]
    found = moment(history, EIGHT, EIGHT + 3600)
    history.close()
    assert sum(step.calls or 0 for step in found.steps) == 20

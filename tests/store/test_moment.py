"""An operator's questions over a recorded day: what happened at a minute, who failed, what became slow, what was stuck.

Of `store/moment.py`, `store/span_reading.py`, `store/percentiles.py`, `store/latency.py`, `model/moment.py`,
`model/durations.py`, `model/event_folding.py`, `syscalls/waiting.py` and `views/text/moment.py`.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from straced.errors import InvalidArgument
from straced.linux.credentials import Peer
from straced.model.event_folding import folded
from straced.model.histogram import ERROR_PCT
from straced.model.history import KeptEvent
from straced.model.moment import Moment
from straced.store import events, percentiles, schema
from straced.store.history import History
from straced.store.moment import moment
from straced.views.text.history import report_lines
from straced.views.text.history_tables import top_lines
from straced.views.text.moment import moment_lines, risen_lines
from tests.store import recorded_day as day

BEGIN = time.time() // 3600 * 3600 - 2 * 86400
MOST_S = 0.3
HOUR = 3600.0


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("state", numbered=True) / "private" / "history.db"
    day.record(path, BEGIN)
    return path


@pytest.fixture
def history(recorded: Path) -> Iterator[History]:
    made = History(recorded)
    yield made
    made.close()


def quickly(question: Callable[[], object]) -> None:
    """The fastest of a few: others work on this machine, too."""

    def seconds() -> float:
        began = time.perf_counter()
        question()
        return time.perf_counter() - began

    assert min(seconds() for _ in range(5)) <= MOST_S


def at(history: History, hours: float, minutes: float = 1.0, **who: str) -> Moment:
    """What happened at an hour of the day, for so many minutes."""
    start = BEGIN + hours * HOUR
    return moment(history, start, start + 60 * minutes, **who)  # type: ignore[arg-type]


def text(found: Moment) -> list[str]:
    return ["".join(span.text for span in line) for line in moment_lines(found, None, 80)]


def near(value: int | None, truth: int) -> bool:
    """Within the error of the histogram."""
    return value is not None and abs(value - truth) <= truth * ERROR_PCT / 100


def test_what_happened_at_a_minute(history: History) -> None:
    found = at(history, 8.2)
    (step,) = found.steps
    assert (found.start, found.end, step.time, step.end) == (BEGIN + 29520, BEGIN + 29580, BEGIN + 29520, BEGIN + 29580)
    assert step.calls == day.READS + day.OPENS + day.SYNCS + day.SHORTS
    assert step.errors == day.BROKEN_OPENS
    assert near(step.p50_ns, 70_000)
    assert near(step.p99_ns, day.FAST_NS)
    assert step.max_ns == day.FAST_NS, "a call that waits for work is in none of these"
    assert {use.program: use.calls for use in found.programs} == {
        "web": day.READS + day.OPENS,
        "db": day.SYNCS,
        "readlink": day.SHORTS,
    }
    quickly(lambda: at(history, 8.2))


def test_minute_by_minute(history: History) -> None:
    found = at(history, 8.2, 10)
    assert [step.errors for step in found.steps] == [day.BROKEN_OPENS] * len(day.BROKEN) + [0, 0]
    assert found.step_s == 60
    quickly(lambda: at(history, 8, 60))


def test_the_whole_day_by_the_hour(history: History) -> None:
    found = at(history, 0, 1440)
    assert len(found.steps) == 24
    assert sum(step.calls or 0 for step in found.steps) == 1440 * (day.READS + day.OPENS + day.SYNCS + day.SHORTS)
    assert sum(use.calls or 0 for use in found.programs) == sum(step.calls or 0 for step in found.steps)
    quickly(lambda: at(history, 0, 1440))


def test_who_made_the_most_failing_calls(history: History) -> None:
    worst = at(history, 0, 1440).failing[0]
    failed = len(day.BROKEN) * day.BROKEN_OPENS
    assert (worst.program, worst.job, worst.syscall, worst.errno, worst.errors) == (
        "web",
        "shop",
        "openat",
        "ENOENT",
        failed,
    )
    best = history.top(BEGIN, BEGIN + 86400, by="errors")[0]
    assert (best.process.comm, best.errors) == ("web", failed)
    assert all(len(line[0].text) <= 80 for line in top_lines(history.top(BEGIN, BEGIN + 86400), 80))
    quickly(lambda: history.top(BEGIN, BEGIN + 86400, by="errors"))


def test_whose_p99_rose(history: History) -> None:
    since = BEGIN + 60 * day.SLOW_FROM
    (call,) = percentiles.risen(history, since, since + HOUR)
    assert (call.program, call.syscall, call.calls) == ("db", "fdatasync", 60 * day.SYNCS)
    assert near(call.p99_ns, day.SLOW_NS)
    assert near(call.p99_before_ns, day.FAST_NS)
    assert percentiles.risen(history, since - HOUR, since) == []
    quickly(lambda: percentiles.risen(history, since - 10 * HOUR, since + HOUR))
    assert all(len(line[0].text) <= 80 for line in risen_lines([call], 80))


def test_what_was_stuck_and_on_whom(history: History) -> None:
    (alert,) = at(history, 8.2).alerts
    assert alert.text == day.STUCK
    assert at(history, 9).alerts == ()
    assert "held by 4711" in " ".join(line.strip() for line in text(at(history, 8.2))), "not cut off"


def test_what_was_slowest(history: History) -> None:
    slowest = at(history, 23.5).slow[0]
    assert (slowest.program, slowest.syscall, slowest.max_ns) == ("db", "fdatasync", day.SLOW_NS)


def test_of_one_job_or_name_alone(history: History) -> None:
    assert {use.program for use in at(history, 8.2, job="build").programs} == {"readlink"}
    assert [use.program for use in at(history, 8.2, name="db*").programs] == ["db"]
    assert not at(history, 8.2, name="never").known
    assert any("never watched" in line for line in text(at(history, 8.2, name="never")))


def test_the_programs_of_a_job_are_all_of_it(history: History) -> None:
    report = events.report(history, "shop", BEGIN, BEGIN + 86400)
    assert {use.program: use.calls for use in report.programs} == {
        "web": day.MINUTES * (day.READS + day.OPENS),
        "db": day.MINUTES * day.SYNCS,
    }
    assert sum(use.calls or 0 for use in report.programs) == report.answer.total.calls
    assert near(report.programs[1].p99_ns, day.SLOW_NS)
    lines = ["".join(span.text for span in line) for line in report_lines(report, sort="total", limit=20, width=80)]
    assert any(line.startswith("web (shop)") for line in lines)


def test_eighty_columns_are_enough(history: History) -> None:
    lines = text(at(history, 8.2, 10))
    assert len(lines) < 60
    assert max(map(len, lines)) <= 80


def test_a_stranger_is_told_nothing(recorded: Path) -> None:
    mine = History(recorded, Peer(pid=1, uid=4242, gid=4242))
    found = at(mine, 8.2)
    mine.close()
    assert (found.steps, found.programs, found.failing, found.slow, found.alerts) == ((), (), (), (), ())
    assert not any(event.pid for event in found.events)


def test_before_the_first_row_and_after_the_present(history: History) -> None:
    early = at(history, -5)
    assert early.steps == ()
    assert any("history begins later" in line for line in text(early))
    with pytest.raises(InvalidArgument, match="in the future"):
        moment(history, time.time() + 3600)
    with pytest.raises(InvalidArgument, match="before it begins"):
        moment(history, BEGIN + 100, BEGIN + 50)
    assert moment(history, BEGIN, time.time() + 86400).end <= time.time()


def test_comings_and_goings_are_one_line(history: History) -> None:
    found = at(history, 8.2)
    (line,) = folded(found.events)
    assert (line.counts, line.failed, line.is_folded) == ({"started": 129, "ended": 129}, 3, True)
    shown = " ".join(line.strip() for line in text(found))
    assert "readlink: 129 started, 129 ended (3 of them not with 0) since" in shown


def test_other_events_stand_among_them_the_newest_last() -> None:
    kinds = ("started", "alert_opened", "started", "history_cut", "ended")
    happened = [KeptEvent(id=n, time=10.0 * n, kind=kind, text=kind, comm="sh") for n, kind in enumerate(kinds)]
    late = KeptEvent(id=9, time=9000.0, kind="started", text="late", comm="sh")
    lines = folded([*happened, late])
    assert [line.last.kind for line in lines] == ["alert_opened", "history_cut", "ended", "started"]
    assert lines[2].counts == {"started": 2, "ended": 1}


def test_a_history_of_an_earlier_version_is_read_as_it_is(tmp_path: Path, recorded: Path) -> None:
    """No service has opened it yet: it has no durations, and nothing is written to it."""
    old = tmp_path / "old.db"
    with sqlite3.connect(recorded) as source, sqlite3.connect(old) as target:
        source.backup(target)
        target.executescript("drop table latency; drop table latency_hour; pragma user_version = 1")
    reading = History(old)
    found = at(reading, 8.2)
    assert found.steps[0].calls
    assert found.steps[0].p99_ns is None
    assert percentiles.risen(reading, BEGIN, BEGIN + HOUR) == []
    reading.close()
    with sqlite3.connect(old) as again:
        schema.prepare(again)
        assert again.execute("select count(*) from latency").fetchone() == (0,)
        assert again.execute("pragma user_version").fetchone() == (schema.VERSION,)

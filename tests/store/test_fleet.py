"""Many hosts are asked at once, by what they have exported: the answers of each are those of its own history.

Of `store/fleet/dataset.py`, `store/fleet/files.py`, `store/fleet/listing.py`, `store/fleet/fleet_span.py`,
`store/fleet/fleet_history.py` and `store/fleet/latencies.py`.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from straced.errors import InvalidArgument
from straced.ipc.messages import Select
from straced.store import events, moment, percentiles
from straced.store.fleet.listing import BucketUnreachable
from straced.store.history import History
from straced.store.hourly_export import HourlyExport, file_of
from tests.store import exported_hosts as fleet
from tests.store import recorded_day as day
from tests.support.cli import Result, straced

duckdb = pytest.importorskip("duckdb", reason="the extra analytics is not installed")
HOSTS = 4
BEGIN = time.time() // 86400 * 86400 - 2 * 86400
HOUR = 3600.0
EIGHT = BEGIN + 8 * HOUR


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four hosts, from eight to ten."""
    folder = tmp_path_factory.mktemp("fleet")
    fleet.export(folder / "srv", folder / "room", EIGHT, HOSTS)
    return folder / "srv"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One host with a day of known truth: its history, and what it has exported."""
    folder = tmp_path_factory.mktemp("day")
    database = folder / "private" / "history.db"
    day.record(database, BEGIN)
    history = History(database)
    HourlyExport(history, folder / "srv", "solo").run()
    history.close()
    return database, folder / "srv"


@pytest.fixture
def history(recorded: tuple[Path, Path]) -> Iterator[History]:
    made = History(recorded[0])
    yield made
    made.close()


def same(values: Iterable[Any]) -> list[Any]:
    """Values without their host."""
    return [msgspec.structs.replace(value, host="") for value in values]


def test_what_happened_is_what_its_own_history_says(recorded: tuple[Path, Path], history: History) -> None:
    folder = recorded[1]
    for start, end, name, job in (
        (8.2, 8.2 + 10 / 60, None, None), (8, 9, None, "shop"), (8, 9, "db*", None), (0, 23, None, None)
    ):  # fmt: skip
        since, until = BEGIN + start * HOUR, BEGIN + end * HOUR
        own = moment.moment(history, since, until, name=name, job=job, limit=50)
        select = Select(since=since, until=until, name=name, job=job, limit=50)
        found, said = fleet.ask(folder, lambda fleet: fleet.moment(select))  # noqa: B023
        assert said == []
        assert (found.start, found.end, found.steps, found.known) == (own.start, own.end, own.steps, True)
        for ours, its in ((found.programs, own.programs), (found.failing, own.failing), (found.slow, own.slow)):
            assert same(ours) == list(its)
            assert {each.host for each in ours} <= {"solo"}
        assert same(found.alerts) == list(own.alerts)
        assert sorted(each.id for each in found.events) == sorted(each.id for each in own.events)
        assert (found.uncounted, found.lost, found.clock_set) == (own.uncounted, own.lost, own.clock_set)


def test_one_process_one_job_and_the_busiest_are_what_its_own_history_says(
    recorded: tuple[Path, Path], history: History
) -> None:
    folder = recorded[1]
    since, until = BEGIN, BEGIN + 23 * HOUR
    own = history.answer(history.find(pid=day.WEB), since, until)
    found, _said = fleet.ask(folder, lambda fleet: fleet.history(Select(pid=day.WEB, since=since, until=until)))
    assert (found.rows, found.total, found.lost) == (own.rows, own.total, own.lost)
    assert (found.peaks.cpu_ns, found.peaks.rss_max_bytes) == (own.peaks.cpu_ns, own.peaks.rss_max_bytes)
    assert [(each.pid, each.comm, each.labels) for each in found.processes] == [(day.WEB, "web", {"job": "shop"})]
    report = events.report(history, "shop", since, until)
    theirs, _said = fleet.ask(folder, lambda fleet: fleet.report("shop", since, until))
    assert same(theirs.programs) == list(report.programs)
    assert theirs.answer.total == report.answer.total
    select = Select(pid=day.WEB, since=since, until=until, step_s=HOUR)
    points, _said = fleet.ask(folder, lambda fleet: fleet.timeline(select))
    assert [each.calls for each in points] == [60 * (day.READS + day.OPENS)] * 23
    for by in ("calls", "errors", "time", "cpu"):
        (best,) = history.top(since, until, by=by, limit=1)
        select = Select(since=since, until=until, by=by, limit=1)  # type: ignore[arg-type]
        ((first,), _said) = fleet.ask(folder, lambda fleet: fleet.top(select))  # noqa: B023
        assert (first.process.comm, first.calls, first.errors, first.cpu_ns, first.rss_max_bytes) == (
            best.process.comm, best.calls, best.errors, best.cpu_ns, best.rss_max_bytes
        )  # fmt: skip


def test_sums_over_hosts(shared: Path) -> None:
    every = sum(fleet.reads(number) for number in range(HOSTS))
    found, said = fleet.ask(shared, lambda fleet: fleet.moment(Select(since=EIGHT, until=EIGHT + HOUR)))
    assert said == []
    assert [step.calls for step in found.steps] == [every] * len(fleet.MINUTES)
    assert {use.host: use.calls for use in found.programs if use.program == "web"} == {
        fleet.name(number): len(fleet.MINUTES) * fleet.reads(number) for number in range(HOSTS)
    }
    assert (found.failing[0].host, found.failing[0].errors) == (fleet.name(HOSTS - 1), len(fleet.MINUTES) * HOSTS)
    ranked, _said = fleet.ask(shared, lambda fleet: fleet.top(Select(since=EIGHT, limit=2)), "web-0[12]")
    assert [(each.process.host, each.process.pid) for each in ranked] == [("web-02", 102), ("web-01", 101)]


def test_on_which_hosts_calls_became_slower(shared: Path) -> None:
    found, _said = fleet.ask(shared, lambda fleet: fleet.risen(Select(since=EIGHT + HOUR, until=EIGHT + 2 * HOUR)))
    assert [(each.host, each.program, each.syscall) for each in found] == [
        (fleet.name(number), "db", "fdatasync") for number in range(0, HOSTS, 2)
    ]
    assert all(20 < (each.p99_ns or 0) / (each.p99_before_ns or 1) < 28 for each in found)
    before, _said = fleet.ask(shared, lambda fleet: fleet.risen(Select(since=EIGHT, until=EIGHT + HOUR)))
    assert before == []


def test_the_percentile_that_rose_is_that_of_its_own_history(shared: Path) -> None:
    since, until = EIGHT + HOUR, EIGHT + 2 * HOUR
    history = History(shared.parent / "room" / "of-2" / "history.db")
    own = percentiles.risen(history, since, until)
    history.close()
    found, _said = fleet.ask(shared, lambda fleet: fleet.risen(Select(since=since, until=until)), "web-02")
    assert len(own) == 1
    assert same(found) == own


def test_what_is_missing_is_said(shared: Path, tmp_path: Path) -> None:
    folder = tmp_path / "srv"
    shutil.copytree(shared, folder)
    file_of(folder, "hours", "web-03", EIGHT).unlink()
    found, said = fleet.ask(folder, lambda fleet: fleet.top(Select(since=EIGHT, until=EIGHT + HOUR)))
    assert {each.process.host for each in found} == {"web-00", "web-01", "web-02"}, "an hour is whole, or not there"
    assert said == ["of 1 host (web-03) nothing was exported for a part of this time"]
    _found, said = fleet.ask(folder, lambda fleet: fleet.top(Select(since=EIGHT, until=EIGHT + 5 * HOUR)), "web-00")
    assert said == [f"exported until {EIGHT + 2 * HOUR}: what came later is not in it"]


def test_a_cut_and_a_foreign_file_are_left_out_and_named(shared: Path, tmp_path: Path) -> None:
    folder = tmp_path / "srv"
    shutil.copytree(shared, folder)
    cut, foreign = file_of(folder, "minutes", "web-01", EIGHT), file_of(folder, "minutes", "web-02", EIGHT)
    cut.write_bytes(cut.read_bytes()[:-50])
    with duckdb.connect() as engine:
        engine.execute(f"copy (select 1 as a) to '{foreign}' (format parquet)")
    (folder / "notes.txt").write_text("mine")
    (cut.parent / "sums.csv").write_text("1,2")
    found, said = fleet.ask(folder, lambda fleet: fleet.top(Select(since=EIGHT, until=EIGHT + HOUR)))
    assert {each.process.host for each in found} == {"web-00", "web-03"}
    assert f"left out: {cut} is cut off, or no Parquet file" in said
    assert f"left out: {foreign} holds something else" in said
    assert any("no export: notes.txt" in words for words in said)


def test_nothing_to_read_is_a_clear_word(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "photo.jpg").write_text("x")
    for folder, words in (
        ("empty", "holds no history of any host"), ("none", "there is no directory"), ("file", "is no directory"),
        ("others", "but other things: photo.jpg"),
    ):  # fmt: skip
        with pytest.raises(InvalidArgument, match=words):
            fleet.ask(tmp_path / folder, lambda fleet: fleet.top(Select()))
    with pytest.raises(InvalidArgument, match="no history of hosts called db") as caught:
        fleet.ask(shared, lambda fleet: fleet.top(Select()), "db*")
    assert caught.value.hint == "there are web-00, web-01, web-02, web-03"
    with pytest.raises(InvalidArgument, match="in the future"):
        fleet.ask(shared, lambda fleet: fleet.moment(Select(since=time.time() + 100)))
    early, _said = fleet.ask(shared, lambda fleet: fleet.moment(Select(since=EIGHT - 9 * HOUR, until=EIGHT - 8 * HOUR)))
    assert (early.steps, early.first) == ((), EIGHT)
    never, _said = fleet.ask(shared, lambda fleet: fleet.moment(Select(since=EIGHT, until=EIGHT + HOUR, pid=4242)))
    assert not never.known


def test_a_bucket_needs_an_extension_and_that_is_said(tmp_path: Path) -> None:
    """Where it is installed, the bucket is not there: nobody listens at this address."""
    with pytest.raises(BucketUnreachable) as caught:
        fleet.ask("http://127.0.0.1:1/bucket", lambda fleet: fleet.top(Select()))  # type: ignore[arg-type]
    assert "httpfs" in caught.value.reason or "cannot be read" in caught.value.reason
    assert (caught.value.exit_code, bool(caught.value.hint)) == (6, True)


def cli(folder: Path, *words: str) -> Result:
    return straced("history", "--from", str(folder), *words, env={"TZ": "UTC", "COLUMNS": "80"})


def test_by_the_command_line_in_eighty_columns_and_as_json(shared: Path) -> None:
    date = time.strftime("%Y-%m-%d", time.gmtime(EIGHT))
    shown = cli(shared, "--at", f"{date} 08:12")
    assert (shown.status, shown.err) == (0, "")
    assert "web-03: web (shop)" in shown.out
    (found,) = [json.loads(line) for line in cli(shared, "--at", f"{date} 08:12", "--json").out.splitlines()]
    assert {use["host"] for use in found["programs"]} == {fleet.name(number) for number in range(HOSTS)}
    busiest = cli(shared, "--since", "3d", "--host", "web-0[01]")
    assert "web-01: 101 (web)" in busiest.out
    assert "exported until" in busiest.err
    assert max(len(line) for line in (shown.out + busiest.out).splitlines()) <= 80
    assert cli(shared, "--host", "nix*").status == 2
    assert straced("history", "--host", "x").status == 2

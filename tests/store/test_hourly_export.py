"""History in a directory that hosts share: the sums of its source, whole files whoever is killed, and what is kept.

Of `store/hourly_export.py`, `store/export_worker.py`, `store/tables.py`, `store/parquet.py` and `store/export.py`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from straced.config import schema
from straced.errors import InvalidArgument, OutputError
from straced.model.tick import ServiceEvent
from straced.store import hourly_export, tables
from straced.store.export_worker import ExportAnswer, ExportRequest
from straced.store.history import History
from straced.store.hourly_export import HourlyExport, HoursWritten, file_of
from straced.store.retention_clock import Anchor, boot_ms
from straced.store.writer import HistoryWriter
from tests.service.samples import calls, process, tick
from tests.store import exported_hosts as fleet
from tests.store import recorded_day as day
from tests.support.poll import until

duckdb = pytest.importorskip("duckdb", reason="the extra analytics is not installed")
BEGIN = time.time() // 86400 * 86400 - 2 * 86400
DAY_NS = 86400 * 10**9
PARTIAL = re.compile(r"\.straced-\d+-[0-9a-f]+\.partial")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("state", numbered=True) / "private" / "history.db"
    day.record(path, BEGIN)
    return path


@pytest.fixture(scope="module")
def shared(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the first run made."""
    folder = tmp_path_factory.mktemp("shared") / "srv"
    done = written(recorded, folder)
    assert len(done.hours) == 23, "the last hour has a minute that nobody has closed"
    return folder


def written(database: Path, folder: Path, *, keep_ns: int = 0, host: str = "web-1") -> HoursWritten:
    history = History(database)
    try:
        return HourlyExport(history, folder, host, keep_ns).run()
    finally:
        history.close()


def rows(folder: Path, what: str, table: str) -> Any:
    """An independent look: the files as any program with DuckDB would read them."""
    with duckdb.connect() as engine:
        return engine.execute(f"select {what} from read_parquet('{folder}/{table}/*/*/*.parquet')").fetchall()


def test_the_sums_are_those_of_the_source(recorded: Path, shared: Path) -> None:
    history = History(recorded)
    for table in tables.TABLES:
        source = list(tables.rows(history, table, BEGIN, BEGIN + 23 * 3600))
        assert rows(shared, "count(*)", table) == [(len(source),)] or table in ("processes", "alerts")
        for column, kind in tables.TABLES[table].columns.items():
            if kind == "BIGINT" and table not in ("processes", "alerts"):
                expected = [row[column] for row in source if row[column] is not None]
                assert rows(shared, f'coalesce(sum("{column}"), 0)', table) == [(sum(expected),)], (table, column)
    minutes = 23 * 60
    assert rows(shared, "sum(calls)", "minutes") == [(minutes * (day.READS + day.OPENS + day.SYNCS + day.SHORTS),)]
    assert rows(shared, "sum(errors), min(errno), max(job)", "failures") == [
        (len(day.BROKEN) * day.BROKEN_OPENS, "ENOENT", "shop")
    ]
    assert rows(shared, "distinct text", "alerts") == [(day.STUCK,)]
    assert rows(shared, "sum(minutes), sum(lost), max(uncounted)", "hours") == [(minutes, 0, 0)]
    history.close()


def test_by_table_date_host_and_hour_for_the_owner_alone(shared: Path) -> None:
    found = sorted(str(path.relative_to(shared)) for path in shared.rglob("*") if path.is_file())
    date = time.strftime("date=%Y-%m-%d", time.gmtime(BEGIN))
    names = {
        f"{table}/{date}/host=web-1/{hour:02}.parquet" for table in (*tables.TABLES, "hours") for hour in range(23)
    }
    assert set(found) == names
    assert {path.stat().st_mode & 0o777 for path in shared.rglob("*") if path.is_file()} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in (shared, *shared.rglob("*")) if path.is_dir()} == {0o700}


def test_an_hour_without_rows_has_the_columns_of_all_others(shared: Path) -> None:
    with duckdb.connect() as engine:
        for table, made in tables.TABLES.items():
            for path in sorted(shared.glob(f"{table}/*/*/*.parquet"))[::8]:
                found = engine.execute(f"describe select * from read_parquet('{path}', hive_partitioning = false)")
                assert {row[0]: row[1] for row in found.fetchall()} == made.columns, path


def test_each_hour_is_written_once_and_anew_when_more_is_known_of_it(tmp_path: Path) -> None:
    database, folder = tmp_path / "private" / "history.db", tmp_path / "srv"
    begin = time.time() // 3600 * 3600 - 7200
    writer = HistoryWriter(database, schema.StoreConfig())
    writer.start()
    for minute in range(61):
        writer.tick(tick(begin + 60 * minute, process(7, made=(calls("read", 10),))))
    assert writer.flush()
    assert written(database, folder).hours == [begin]
    assert written(database, folder).hours == []
    writer.tick(tick(begin + 1800.5, process(7, made=(calls("read", 5),))))  # the clock was set back into it
    writer.tick(tick(begin + 3720, process(7, made=(calls("read", 1),))))
    assert writer.flush()
    assert written(database, folder).hours == [begin]
    assert rows(folder, "sum(calls)", "minutes") == [(605,)]
    writer.event(ServiceEvent(epoch_s=begin + 5, kind="reloaded", text="late"))
    assert writer.flush()
    assert written(database, folder).hours == [begin]
    mark = file_of(folder, "hours", "web-1", begin)
    mark.write_bytes(mark.read_bytes()[:-40])
    assert written(database, folder).hours == [begin], "a damaged one is no mark"
    assert writer.close(30)


def test_what_is_too_old_is_removed_of_this_host_alone(recorded: Path, tmp_path: Path) -> None:
    folder = tmp_path / "srv"
    written(recorded, folder)
    old, other = (file_of(folder, "calls", host, BEGIN - 40 * 86400 + 3600) for host in ("web-1", "web-2"))
    for path in (old, other, other.with_name("note.txt"), old.parent.with_name("host=web-3") / "00.parquet"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("old")
    gone = until(dead_pid)
    left = file_of(folder, "calls", "web-1", BEGIN).with_name(f".straced-{gone}-00ff.partial")
    mine = left.with_name(f".straced-{os.getpid()}-00ff.partial")
    left.write_text("half")
    mine.write_text("being written")
    assert written(recorded, folder, keep_ns=30 * DAY_NS).removed == 1
    assert (old.parent.exists(), other.exists(), other.with_name("note.txt").exists()) == (False, True, True)
    assert (left.exists(), mine.exists()) == (False, True)
    assert file_of(folder, "calls", "web-1", BEGIN).exists()


def dead_pid() -> int:
    """The pid of a process that has ended and was waited for."""
    child = subprocess.Popen(["true"])
    child.wait()
    return 0 if os.path.exists(f"/proc/{child.pid}") else child.pid


def test_a_clock_that_has_leapt_ahead_removes_nothing(recorded: Path, tmp_path: Path) -> None:
    """The history knows what time it should be: by that the service deletes, and so does this."""
    database, folder = tmp_path / "history.db", tmp_path / "srv"
    shutil.copy(recorded, database)
    history = History(database)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    anchor = msgspec.json.encode(Anchor(int(time.time() * 1000), boot_ms(), boot))
    history.close()
    import sqlite3

    with sqlite3.connect(database) as connection:
        connection.execute("insert or replace into meta values ('clock', ?)", (anchor,))
    connection.close()
    history = History(database)
    export = HourlyExport(history, folder, "web-1", 30 * DAY_NS)
    assert export.run().hours
    assert export.run(time.time() + 400 * 86400).removed == 0
    assert file_of(folder, "minutes", "web-1", BEGIN).exists()
    history.close()


@pytest.mark.limit(180)
def test_killed_at_any_moment_it_leaves_whole_files_alone(tmp_path: Path) -> None:
    folder, database = tmp_path / "srv", tmp_path / "private" / "history.db"
    fleet.record(database, BEGIN, 1)
    request = msgspec.json.encode(ExportRequest(str(database), str(folder), "web-1", 0, os.getpid()))
    for files in (1, 7, 13):
        worker = subprocess.Popen(
            [sys.executable, "-P", "-m", "straced.store.export_worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert worker.stdin is not None
        worker.stdin.write(request)
        worker.stdin.close()
        until(lambda: len(whole(folder)) >= files or worker.poll() is not None, 60)  # noqa: B023
        worker.kill()
        worker.wait()
        assert worker.stdout is not None
        worker.stdout.close()
        others = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".parquet"]
        assert all(PARTIAL.fullmatch(path.name) for path in others), others
        with duckdb.connect() as engine:
            for path in whole(folder):
                engine.execute(f"select sum(hash(*columns(*)) % 2) from read_parquet('{path}')").fetchall()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "straced.store.export_worker"], input=request, capture_output=True, check=True
    )
    assert msgspec.json.decode(done.stdout, type=ExportAnswer).error == ""
    assert [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".parquet"] == []
    assert rows(folder, "sum(calls)", "minutes") == [(2 * len(fleet.MINUTES) * fleet.reads(1),)]


def whole(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.parquet") if not path.name.startswith(".")]


def test_a_worker_that_nobody_waits_for_ends(recorded: Path, tmp_path: Path) -> None:
    request = msgspec.json.encode(ExportRequest(str(recorded), str(tmp_path / "srv"), "web-1", 0, 1))
    done = subprocess.run([sys.executable, "-P", "-m", "straced.store.export_worker"], input=request, check=False)
    assert (done.returncode, (tmp_path / "srv").exists()) == (1, False)


def test_a_directory_that_cannot_be_used_is_said(recorded: Path, tmp_path: Path) -> None:
    (tmp_path / "srv").write_text("a file")
    with pytest.raises(OutputError, match="no directory"):
        written(recorded, tmp_path / "srv")
    request = ExportRequest(str(recorded), str(tmp_path / "srv"), "web-1", 0, os.getpid())
    done = subprocess.run(
        [sys.executable, "-P", "-m", "straced.store.export_worker"],
        input=msgspec.json.encode(request), capture_output=True, check=True,
    )  # fmt: skip
    assert "no directory" in json.loads(done.stdout)["error"]
    for name in ("../etc", "", "a/b", "x" * 300, ".hidden"):
        with pytest.raises(InvalidArgument, match="no name of a host"):
            hourly_export.check_host(name)
    assert hourly_export.check_host(hourly_export.own_host())

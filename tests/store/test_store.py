"""The store: what goes in comes out, once, whatever happens to the service, the disk and the file.

Of `store/history_file.py`, `store/alerts.py`, `store/learnt_names.py`, `store/over_time.py`, `store/queue.py`,
`store/ranking.py`, `store/recorder.py`, `store/retention.py`, `store/rollup.py`, `store/series.py`,
`store/series_info.py`, `store/export.py` and `commands/export.py`.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from straced.config import schema as config
from straced.linux.credentials import Peer
from straced.model.owner import Owner
from straced.model.tick import ServiceEvent
from straced.store import blocks, database, events, schema
from straced.store.history import History
from straced.store.packing import PackedRow
from straced.store.writer import HistoryWriter
from tests.service.samples import ME, NOON, calls, process, tick
from tests.support.poll import until

NOBODY = Owner(65534, 65534, False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return folder / "history.db"


@pytest.fixture
def store(path: Path) -> Iterator[HistoryWriter]:
    made = HistoryWriter(path, config.StoreConfig())
    made.start()
    yield made
    made.close()


def read_calls(path: Path, name: str = "read", **span: float) -> int | None:
    history = History(path)
    answer = history.answer(history.find(), span.get("since", 0), span.get("until"))
    history.close()
    return next((row.calls for row in answer.rows if row.name == name), None)


def test_each_sample_counts_once_in_rows_minutes_and_hours(store: HistoryWriter, path: Path) -> None:
    """Three hours at one sample in ten seconds; spans that begin and end anywhere add up to the same."""
    for second in range(0, 3 * 3600, 10):
        made = (calls("read", 3, errors=1, wall_ns=500, waiting_ns=100), calls("futex", 2, wall_ns=9000))
        store.put(tick(NOON + second, process(cpu_ns=10, made=made, rss=1000 + second)))
        if second % 3000 == 0:
            assert store.flush()
    assert store.flush()
    history = History(path)
    answer = history.answer(history.find(pid=42), NOON, NOON + 3 * 3600)
    read = next(row for row in answer.rows if row.name == "read")
    assert (read.calls, read.errors, read.wall_ns, read.waiting_ns, read.working_ns) == (
        3240,
        1080,
        540000,
        108000,
        432000,
    )
    assert read.errno == {"EAGAIN": 1080}
    assert answer.total.calls == 5400
    assert answer.peaks.cpu_ns == 10800
    assert answer.peaks.rss_max_bytes == 1000 + 3 * 3600 - 10
    assert answer.peaks.samples == 1080
    for begin, end in ((60, 3600), (600, 7260), (3600, 7200), (7140, 10800)):
        part = history.answer(history.find(pid=42), NOON + begin, NOON + end)
        assert part.total.calls == 5 * (end - begin) / 10, (begin, end)
    points = history.timeline(history.find(pid=42), NOON, NOON + 7200, 600)
    assert [point.calls for point in points] == [300] * 12
    (best,) = history.top(NOON, NOON + 3 * 3600)
    assert best.process.pid == 42
    history.close()


def test_only_what_changed_is_written_and_all_can_be_told(store: HistoryWriter, path: Path) -> None:
    for second in range(180):
        store.put(tick(NOON + second, process(rss=5000 if second < 170 else 6000, made=())))
    assert store.flush()
    history = History(path)
    blocks = history.connection.execute("select ts, data from block").fetchall()
    assert len(blocks) == 1  # two minutes in which nothing changed have none
    hot = history.connection.execute("select count(*) from sample").fetchone()[0]
    assert hot == 1
    answer = history.answer(history.find(), NOON)
    assert answer.peaks.rss_max_bytes == 6000
    history.close()


def test_what_another_program_did_is_not_renamed_after_the_last_one(store: HistoryWriter, path: Path) -> None:
    """Seen only when it was on its way out: without memory a process has no program file, but the new one's name."""
    shell = process(made=(calls("read", 5),), comm="dash")
    without_memory = msgspec.structs.replace(shell.facts, comm="touch", exe=None, state="R")
    last = (msgspec.structs.replace(calls("write", 2), program="touch"),)
    for second, made in enumerate(((), last)):
        store.put(tick(NOON + 2 * second, shell))
        store.put(tick(NOON + 2 * second + 1, msgspec.structs.replace(shell, facts=without_memory, calls=made)))
    assert store.flush()
    history = History(path)
    found = {each.program: history.answer([each], NOON) for each in history.find(pid=42)}
    history.close()
    told = {program: {row.name: row.calls for row in answer.rows} for program, answer in found.items()}
    assert told == {"dash": {"read": 10}, "touch": {"write": 2}}


def test_unknown_is_not_zero(store: HistoryWriter, path: Path) -> None:
    store.put(tick(NOON, process(made=None)))
    assert store.flush()
    history = History(path)
    answer = history.answer(history.find(), NOON)
    assert not answer.counted
    assert answer.total.calls is None
    history.close()


def test_lost_calls_stay_with_the_history(store: HistoryWriter, path: Path) -> None:
    store.put(tick(NOON, process(made=(calls(),), lost=5)))
    store.put(tick(NOON + 61, process(made=(calls(),), lost=2)))
    store.put(tick(NOON + 122, process(made=(calls(),))))
    assert store.flush()
    history = History(path)
    assert history.answer(history.find(), NOON).lost == 7
    history.close()


def test_files_are_private(store: HistoryWriter, path: Path) -> None:
    store.put(tick(NOON, process()))
    assert store.flush()
    for name in ("", "-wal", "-shm"):
        assert stat.S_IMODE(os.stat(f"{path}{name}").st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_folder_that_others_write_to_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(database.StoreError, match="is writable by others"):
        HistoryWriter(folder / "history.db", config.StoreConfig()).start()
    assert not list(folder.iterdir())


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"\0" * 5000])
def test_a_broken_file_is_moved_aside(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    store = HistoryWriter(path, config.StoreConfig())
    store.start()
    store.put(tick(NOON, process(made=(calls(),))))
    assert store.flush()
    assert store.moved is not None
    assert store.moved.read_bytes() == content
    assert read_calls(path) == 10
    store.close()


def test_another_programs_database_is_moved_aside_and_a_newer_one_left(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("create table theirs (x)")
    other.commit()
    other.close()
    store = HistoryWriter(path, config.StoreConfig())
    store.start()
    store.close()
    assert store.moved is not None
    assert sqlite3.connect(store.moved).execute("select count(*) from theirs").fetchone() == (0,)
    newer = sqlite3.connect(path)
    newer.execute(f"pragma user_version = {schema.VERSION + 1}")
    newer.close()
    before = path.read_bytes()
    with pytest.raises(schema.StoreTooNew):
        HistoryWriter(path, config.StoreConfig()).start()
    assert path.read_bytes() == before


def test_a_lock_stops_history_and_nothing_is_lost(store: HistoryWriter, path: Path) -> None:
    store.put(tick(NOON, process(made=(calls(),))))
    assert store.flush()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin immediate")
    took_s = [_put(store, second) for second in range(1, 20)]
    assert sorted(took_s)[-2] < 0.1, "none waits, though the machine may have stood still once"
    until(lambda: store.state == "locked", 10)
    other.execute("rollback")
    other.close()
    until(lambda: store.flush(1), 10)
    assert store.dropped == 0
    assert read_calls(path) == 200


def _put(store: HistoryWriter, second: int) -> float:
    """The seconds that it takes to put a tick."""
    before = time.monotonic()
    store.put(tick(NOON + second, process(made=(calls(),))))
    return time.monotonic() - before


@pytest.mark.needs("root")
def test_a_full_disk_stops_history_and_resumes(tmp_path: Path) -> None:
    """A real file system of one megabyte."""
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "none", small], check=True)
    try:
        store = HistoryWriter(small / "history.db", config.StoreConfig())
        store.start()
        store.put(tick(NOON, process(made=(calls(),))))
        assert store.flush()
        ballast = small / "ballast"
        with ballast.open("wb", buffering=0) as file:
            try:
                while file.write(b"x" * 4096):
                    pass
            except OSError:
                pass
        for second in range(1, 400):
            names = tuple(calls(f"call{second}_{number}") for number in range(40))
            store.put(tick(NOON + second, process(made=(calls(), *names))))
        until(lambda: store.state == "full", 10)
        assert min(_put(store, second) for second in range(400, 403)) < 0.1
        ballast.unlink()
        subprocess.run(["mount", "-o", "remount,size=50m", small], check=True)
        until(lambda: store.flush(1), 10)
        assert store.dropped == 0
        assert read_calls(store.path) == 4030
        store.close()
    finally:
        subprocess.run(["umount", "-l", small], check=True)


KILLED = """
import sys
sys.path.insert(0, {root!r})
from pathlib import Path
from straced.config import schema as config
from straced.store.writer import HistoryWriter
from tests.service.samples import NOON, calls, process, tick
store = HistoryWriter(Path(sys.argv[1]), config.StoreConfig())
store.start()
print("ready", store.interrupted, flush=True)
for second in range(int(sys.argv[2]), 10**9):
    store.put(tick(NOON + second, process(made=(calls(),))))
    assert store.flush()
    print(second, flush=True)
"""


def test_kill_9_loses_nothing_that_was_written(path: Path) -> None:
    """What was acknowledged is there, exactly once, and open rows are closed by the next start."""
    root = str(Path(__file__).parents[2])
    second = 0
    for round_ in range(6):
        process_ = subprocess.Popen(
            [sys.executable, "-c", KILLED.format(root=root), str(path), str(second)], stdout=subprocess.PIPE, text=True
        )
        assert process_.stdout is not None
        word, interrupted = process_.stdout.readline().split()
        assert (word, int(interrupted)) == ("ready", 1 if round_ else 0)
        for _ in range(25):
            last = int(process_.stdout.readline())
        process_.send_signal(signal.SIGKILL)
        rest = [int(line) for line in process_.stdout.read().split("\n") if line.strip()]
        process_.wait()
        process_.stdout.close()
        last = max([last, *rest])
        history = History(path)
        stored = history.connection.execute("select max(ts) from host").fetchone()[0] // 1000 - int(NOON)
        history.close()
        assert last <= stored <= last + 1
        assert read_calls(path) == 10 * (stored + 1)
        second = stored + 1
    store = HistoryWriter(path, config.StoreConfig())
    store.start()
    assert store.interrupted == 1
    assert store._file.connection.execute("pragma integrity_check").fetchone() == ("ok",)
    store.close()


def test_the_clock_may_be_set_back(store: HistoryWriter, path: Path) -> None:
    """Nothing is lost, and it is said."""
    for second in (0, 60, 120, 180, 30, 31, 60, 90, 200):
        store.put(tick(NOON + second, process(made=(calls(),))))
    assert store.flush()
    assert read_calls(path) == 90
    store.put(tick(NOON + 400, process(made=(calls(),))))
    assert store.flush()
    assert read_calls(path) == 100
    history = History(path)
    kinds = [event.kind for event in events.events(history)]
    history.close()
    assert kinds == ["clock_set_back"]


def test_size_is_bounded_and_the_loss_is_said(path: Path) -> None:
    store = HistoryWriter(path, config.StoreConfig(max_bytes=config.Bytes(400_000)))
    store.start()
    for minute in range(600):
        many = tuple(process(pid, rss=minute * pid, made=(calls(f"c{pid}", minute),)) for pid in range(20))
        store.put(tick(NOON + minute * 60, *many))
        if minute % 100 == 0:
            assert store.flush()
    assert store.flush()
    history = History(path)
    used = history.connection.execute("pragma page_count").fetchone()[0] * 4096
    assert used < 600_000
    assert "history_cut" in [event.kind for event in events.events(history)]
    newest = history.connection.execute("select max(ts) from sample").fetchone()[0]
    assert newest == int((NOON + 599 * 60) * 1000)
    history.close()
    store.close()


def test_a_row_is_seen_by_its_owner_only(store: HistoryWriter, path: Path) -> None:
    """A process that ran a setuid program is another's from then on, and so is what it did."""
    mine = (calls("read", 5),)
    secret = (calls("openat", 7),)
    store.put(tick(NOON, process(1, owner=NOBODY, made=mine), process(2, owner=ME, made=secret)))
    store.put(tick(NOON + 1, process(1, owner=Owner(0, 65534, True), made=secret)))
    store.put(tick(NOON + 2, process(1, owner=NOBODY, made=secret)))  # until here it was root's
    store.put(tick(NOON + 3, process(1, owner=NOBODY, made=mine)))
    event = ServiceEvent(epoch_s=NOON, kind="started", pid=2, owner=ME, text="secret")
    store.put(event)
    assert store.flush()
    history = History(path, Peer(1, 65534, 65534))
    found = history.find()
    assert {info.pid for info in found} == {1}
    answer = history.answer(found, NOON)
    assert {row.name: row.calls for row in answer.rows} == {"read": 10}
    everything = History(path).find()
    assert [row.name for row in history.answer(everything, NOON).rows] == ["read"]
    assert [(ranked.process.pid, ranked.calls) for ranked in history.top(0)] == [
        (1, 5),
        (1, 5),
    ]
    assert events.events(history) == []
    history.close()
    root = History(path, Peer(1, 0, 0))
    assert {row.name: row.calls for row in root.answer(root.find(), NOON).rows} == {"read": 10, "openat": 21}
    root.close()


numbers = st.one_of(st.none(), st.integers(0, 2**63))
made_rows = st.builds(
    PackedRow,
    facts=st.one_of(st.none(), st.lists(st.integers(0, 2**40), min_size=1)),
    cpu_ns=st.integers(0, 2**40),
    calls=st.one_of(
        st.none(),
        st.lists(st.tuples(st.integers(1, 9), numbers, numbers, numbers, numbers), max_size=12).map(
            lambda calls_: [value for call in calls_ for value in call]
        ),
    ),
    errno=st.one_of(st.none(), st.lists(st.integers(0, 200))),
    in_flight=st.one_of(st.none(), st.lists(st.integers(0, 200))),
    lost=st.one_of(st.none(), st.integers(0, 2**40)),
)


@given(st.lists(st.tuples(st.integers(0, 59_999), made_rows)))
def test_a_block_gives_back_what_went_in(rows: list[tuple[int, PackedRow]]) -> None:
    timed = [(1000 + offset, row) for offset, row in rows]
    assert blocks.unpack(1000, blocks.pack(1000, timed)) == timed

"""What may befall a service: old and damaged files, no room, locks, few descriptors, hostile questions."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from straced.config import schema as config
from straced.errors import StracedError
from straced.ipc.messages import Select
from straced.ipc.protocol import ProtocolMismatch, TooMuch, refusal
from straced.linux import procfs
from straced.model.alerts import AlertRow
from straced.store import database, schema
from straced.store import events as journal
from straced.store.history import History
from straced.store.recorder import Recorder
from straced.store.writer import HistoryWriter
from tests.service.daemon import SOURCE, Daemon, serving
from tests.service.needs import needs_ebpf, needs_root
from tests.service.processes import READY, as_nobody, public_folder, running
from tests.service.samples import NOON, calls, process, tick
from tests.support.poll import until

GETPPID = "import ctypes\ngetppid = ctypes.CDLL(None).getppid\n"
GO = "sys.stdin.readline()\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return folder / "history.db"


def total(path: Path) -> int | None:
    history = History(path)
    try:
        return history.answer(history.find(), 0).total.calls
    finally:
        history.close()


def filled(path: Path, count: int = 100) -> None:
    """A history of so many samples, as a killed service leaves it."""
    store = HistoryWriter(path, config.StoreConfig())
    store.start()
    for second in range(count):
        store.put(tick(NOON + second, *(process(pid, made=(calls(f"c{pid}"),)) for pid in range(1, 30))))
    alert = AlertRow(id="a", kind="cpu", subject="x", text="busy", opened_s=NOON, updated_s=NOON + 5)
    store.put(alert)
    assert store.flush()
    sqlite3.connect(path).execute("pragma wal_checkpoint(truncate)")
    shutil.copy(path, path.with_name("copy"))
    store.close()
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    path.with_name("copy").rename(path)


# --- files ---


def test_an_older_history_becomes_a_newer_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(path)
    before = total(path)
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    broken = "alter table event add column more text; alter table none add column more text;"
    monkeypatch.setitem(schema.MIGRATIONS, schema.VERSION - 1, broken)
    with pytest.raises(database.StoreError):
        HistoryWriter(path, config.StoreConfig()).start()
    untouched = sqlite3.connect(path)
    assert untouched.execute("pragma user_version").fetchone() == (schema.VERSION - 1,)
    assert "more" not in [row[1] for row in untouched.execute("pragma table_info(event)")]
    untouched.close()
    monkeypatch.setitem(schema.MIGRATIONS, schema.VERSION - 1, "alter table event add column more text;")
    monkeypatch.setattr(Recorder, "write_event", lambda *_: None)
    store = HistoryWriter(path, config.StoreConfig())
    store.start()
    store.close()
    newer = sqlite3.connect(path)
    assert newer.execute("pragma user_version").fetchone() == (schema.VERSION,)
    assert "more" in [row[1] for row in newer.execute("pragma table_info(event)")]
    newer.close()
    assert total(path) == before


def test_a_damaged_page_is_found_after_an_unclean_end(path: Path) -> None:
    """The file is moved aside as it is, and history begins anew."""
    filled(path)
    with path.open("r+b") as file:
        file.seek(4096 * 9)
        file.write(b"\xff" * 4096 * 3)
    damaged = path.read_bytes()
    store = HistoryWriter(path, config.StoreConfig())
    store.start()
    store.put(tick(NOON, process(made=(calls(),))))
    assert store.flush()
    assert store.moved is not None
    assert len(store.moved.read_bytes()) == len(damaged)
    assert store.moved.read_bytes()[4096 * 9 : 4096 * 12] == b"\xff" * 4096 * 3
    assert [kind for kind, _text in store.notes] == ["history_moved"]
    store.close()
    assert total(path) == 10


def test_what_a_killed_service_left_open_is_closed(path: Path) -> None:
    """Rows of processes, and alerts, which nobody would close otherwise."""
    filled(path)
    store = HistoryWriter(path, config.StoreConfig())
    store.start()
    store.close()
    history = History(path)
    assert {info.end for info in history.find()} == {"interrupted"}
    (alert,) = journal.alerts(history)
    assert alert.closed == NOON + 5
    history.close()


def test_the_same_number_after_a_reboot_is_another_process(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pid and start time repeat from boot to boot; the boot's own id does not."""
    for number, boot in enumerate(("0b5c7a52-first", "1d0e9c11-second")):
        monkeypatch.setattr(procfs, "boot_id", lambda boot=boot: boot)
        store = HistoryWriter(path, config.StoreConfig())
        store.start()
        store.put(tick(NOON + number * 100, process(made=(calls("read", 10 + number),))))
        assert store.flush()
        store.close()
    history = History(path)
    found = {info.boot_id: history.answer([info], 0).total.calls for info in history.find(pid=42)}
    history.close()
    assert found == {"0b5c7a52-first": 10, "1d0e9c11-second": 11}


def test_history_begins_late_when_the_file_is_locked(path: Path) -> None:
    filled(path)
    before = total(path) or 0
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin immediate")
    store = HistoryWriter(path, config.StoreConfig())
    store.start()
    assert store.state == "locked"
    for second in range(10):
        store.put(tick(NOON + 1000 + second, process(77, made=(calls(),))))
    other.execute("rollback")
    other.close()
    until(lambda: store.flush(1), 30)
    assert store.dropped == 0
    assert [kind for kind, _text in store.notes] == ["interrupted"]
    store.close()
    assert total(path) == before + 100


@pytest.mark.needs("root", "tmpfs")
async def test_a_service_starts_on_a_full_disk(tmp_path: Path) -> None:
    """It watches and answers without history, which begins when there is room; a reload does not end it for good."""
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "none", small], check=True)  # noqa: ASYNC221
    try:
        ballast = small / "ballast"
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(4096)):
                pass
        with running() as target:
            watch = f'[[watch]]\ntarget = "{target.pid}"\n'
            daemon = Daemon(tmp_path, watch)
            daemon.state = small
            daemon.write(watch)
            daemon.start()
            try:
                async with daemon.client() as client:
                    async with asyncio.timeout(30):
                        while not (known := await client.status()).ticks:
                            await asyncio.sleep(0.02)
                        assert (known.watched, known.history) == (1, "full")
                        with pytest.raises(StracedError, match="its disk is full"):
                            await client.events(Select())
                        daemon.write(watch + '[store]\nfull = "1h"\n')
                        daemon.signal(1)
                        await asyncio.sleep(0.3)
                        ballast.unlink()
                        while (await client.status()).history != "ok":
                            await asyncio.sleep(0.05)
                        while not [e for e in await client.events(Select()) if e.kind == "reloaded"]:
                            await asyncio.sleep(0.05)
                    events = [event.kind for event in await client.events(Select()) if event.kind != "stood_still"]
                    assert events[:2] == ["service_started", "started"]
            finally:
                daemon.stop()
    finally:
        subprocess.run(["umount", "-l", small], check=True)  # noqa: ASYNC221


def test_what_waits_for_the_disk_is_bounded(path: Path) -> None:
    """By what it holds: a thousand busy processes a sample fill memory sooner than one."""
    store = HistoryWriter(path, config.StoreConfig())
    store.start()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin immediate")
    many = tuple(process(pid, made=tuple(calls(f"c{i}") for i in range(20))) for pid in range(1, 1001))
    for second in range(30):
        store.put(tick(NOON + second, *many))
    waiting = len(store._items)
    assert 5 <= waiting <= 12
    assert store.dropped == 30 - waiting
    other.execute("rollback")
    other.close()
    until(lambda: store.flush(5), 30)
    assert (store._weight, len(store._items)) == (0, 0)
    store.close()


@needs_root
def test_a_state_folder_that_may_not_be_made_is_said() -> None:
    with public_folder() as folder:
        daemon = Daemon(folder, prefix=tuple(as_nobody()))
        daemon.state = folder / "closed" / "state"
        (folder / "closed").mkdir(mode=0o755)
        daemon.write("")
        daemon.log.touch()
        assert daemon.spawn().wait(30) == 1
        said = daemon.log.read_text()
        assert "Permission denied" in said
        assert "choose a directory of your own" in said
        assert len(said.splitlines()) <= 3
        assert list((folder / "closed").iterdir()) == []


# --- resources ---


@pytest.mark.parametrize("limit", [9, 12, 15, 18, 24])
def test_few_descriptors_end_in_a_sentence_or_in_a_service(tmp_path: Path, limit: int) -> None:
    """Each step that fails undoes those before it."""
    daemon = Daemon(tmp_path, prefix=("prlimit", f"--nofile={limit}:{limit}"))
    process_ = daemon.spawn()
    try:
        until(lambda: process_.poll() is not None or daemon.answers(), 30)
        if process_.poll() is None:
            process_.terminate()
            assert process_.wait(15) == 0
        else:
            assert process_.returncode != 0
            lines = [line for line in daemon.log.read_text().splitlines() if not line.startswith("straced: not_")]
            assert 0 < len(lines) <= 4
        assert "Traceback" not in daemon.log.read_text()
        assert not daemon.socket.exists()
    finally:
        if process_.poll() is None:
            process_.kill()
            process_.wait()


@needs_ebpf
async def test_sessions_of_a_user_are_bounded(tmp_path: Path) -> None:
    with serving(tmp_path, "[ipc]\n#\nmax_sessions_per_user = 2\n") as daemon, running() as target:
        async with daemon.client() as client, daemon.client() as other:
            first = await client.attach(target.pid)
            await other.attach(target.pid)
            with pytest.raises(TooMuch):
                await client.attach(target.pid)
            await first.detach()
            third = await client.attach(target.pid)
            assert third.target.pid == target.pid


# --- questions ---


async def test_hostile_questions_find_nothing_and_break_nothing(tmp_path: Path) -> None:
    """Values are bound, whatever they hold; numbers beyond all bounds are refused."""
    words = [
        "' or 1=1 --",
        "x'); drop table series; --",
        "../../etc/passwd",
        "*",
        "[",
        "\x00",
        "%s%s%n",
        "é" * 5000,
        "",
    ]
    numbers = [0, -1, 2**31, 2**63, 2**80, -(2**63)]
    with running() as target, serving(tmp_path, f'[[watch]]\ntarget = "{target.pid}"\n') as daemon:
        async with daemon.client() as client:
            while not await client.processes(Select(pid=target.pid)):
                await asyncio.sleep(0.02)
            for method in ("processes", "history", "timeline", "top", "events", "alerts", "report"):
                for word in words:
                    for chosen in ({"name": word}, {"job": word}, {"by": word}):
                        await _asked(client.request(method, chosen, object))
                for number in numbers:
                    for chosen in ({"pid": number}, {"limit": number}, {"after": number}, {"since": number}):
                        await _asked(client.request(method, chosen, object))
            for number in numbers:
                await _asked(client.request("session.read", {"session": number}, object))
            assert [info.pid for info in await client.processes(Select(pid=target.pid))] == [target.pid]
            assert (await client.report("' or 1=1 --")).answer.processes == ()


async def _asked(answer: object) -> None:
    with contextlib.suppress(StracedError):
        await answer  # type: ignore[misc]


def test_a_service_of_another_version_is_said(tmp_path: Path) -> None:
    """On the command line too, with status 6."""
    where = tmp_path / "socket"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(where))
    listener.listen()

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            hello = json.loads(connection.recv(65536))
            error = ProtocolMismatch("the client speaks protocol 1, this service 7", hint="upgrade straced")
            connection.sendall(refusal(hello["id"], error))
            connection.recv(1)

    thread = threading.Thread(target=answer)
    thread.start()
    env = {**os.environ, "PYTHONPATH": SOURCE, "STRACED_SOCKET": str(where)}
    done = subprocess.run(
        [sys.executable, "-m", "straced", "status"], capture_output=True, text=True, env=env, timeout=50
    )
    thread.join(10)
    listener.close()
    assert done.returncode == 6
    assert done.stderr.splitlines() == [
        "straced status: the client speaks protocol 1, this service 7",
        "  upgrade straced",
    ]


# --- what history says of processes that are hard to count ---


@needs_ebpf
async def test_threads_execs_and_the_short_lived_stand_in_history(tmp_path: Path) -> None:
    """Seven threads, a child that execs, children shorter than the interval: each call once, where it belongs."""
    code = (
        GETPPID
        + "import threading\n"
        + READY
        + GO
        + """
def spin(count):
    for _ in range(count): getppid()
threads = [threading.Thread(target=spin, args=(1009,)) for _ in range(7)]
[t.start() for t in threads]; [t.join() for t in threads]
for _ in range(23):
    if os.fork() == 0:
        spin(11); os._exit(0)
    os.wait()
pid = os.fork()
if pid == 0:
    spin(503)
    code = "import ctypes, sys\\ng = ctypes.CDLL(None).getppid\\nfor _ in range(701): g()\\nsys.stdin.readline()"
    os.execv(sys.executable, [sys.executable, "-S", "-c", code])
print(pid, flush=True)
os.waitpid(pid, 0)
"""
    )
    with running(code) as target:
        watch = f'[[watch]]\ntarget = "{target.pid}"\nlabels = {{job = "hard"}}\n'
        with serving(tmp_path, watch) as daemon:
            async with daemon.client() as client:
                while not (await client.status()).watched:
                    await asyncio.sleep(0.02)
                before = (await client.status()).ticks
                while (await client.status()).ticks < before + 2:
                    await asyncio.sleep(0.02)
                target.stdin.write("go\n")  # type: ignore[union-attr]
                target.stdin.flush()  # type: ignore[union-attr]
                child = int(await asyncio.to_thread(target.stdout.readline))  # type: ignore[union-attr]

                async def counted(chosen: Select, name: str = "getppid") -> int:
                    answer = await client.history(chosen)
                    assert answer.lost == 0
                    return next((row.calls or 0 for row in answer.rows if row.name == name), 0)

                whole = 7 * 1009 + 23 * 11 + 503 + 701
                async with asyncio.timeout(40):
                    while await counted(Select(job="hard")) < whole or await counted(Select(pid=child)) < 1204:
                        await asyncio.sleep(0.05)
                assert await counted(Select(job="hard")) == whole
                assert await counted(Select(pid=child)) == 503 + 701
                assert await counted(Select(pid=child), "execve") == 1
                own = [info for info in await client.processes(Select(pid=target.pid)) if info.kind == "process"]
                assert len(own) == 1
                assert await counted(Select(pid=target.pid)) >= 7 * 1009
        history = History(daemon.state / "history.db")
        (alone,) = [info for info in history.find(pid=target.pid) if info.kind == "process"]
        rows = history.answer([alone], 0).rows
        history.close()
        assert next(row.calls for row in rows if row.name == "getppid") == 7 * 1009

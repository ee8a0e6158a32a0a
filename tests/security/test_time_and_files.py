"""A clock that leaps, files that are damaged or gone, memory that stays, and numbers beyond all measure."""

from __future__ import annotations

import asyncio
import os
import re
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from straced.client.client import Client
from straced.config import loader, schema
from straced.config.schema import ConfigError
from straced.ipc.messages import Select
from straced.service.service import SESSIONS_A_PROCESS
from straced.store import events as journal
from straced.store.history import History
from straced.store.retention_clock import WAIT_S, DeletionClock
from straced.store.writer import HistoryWriter
from tests.security.intruder import client, process
from tests.service.daemon import SOURCE, Daemon, serving
from tests.service.needs import needs_ebpf, needs_root
from tests.service.processes import public_folder, running
from tests.service.samples import NOON, calls, tick
from tests.service.samples import process as sample
from tests.support.poll import until

DAY_S = 86400
SPEAKING = "print('ready', flush=True)\nimport sys\nsys.stdin.read()"


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


def kinds(path: Path) -> list[str]:
    history = History(path)
    try:
        return [event.kind for event in journal.events(history, limit=1000)]
    finally:
        history.close()


async def kinds_told(asking: Client, until: str) -> list[str]:
    """The kinds of events, when this one is in the history: a service answers before the disk has all of them."""
    async with asyncio.timeout(30):
        while until not in (found := [event.kind for event in await asking.events(Select())]):
            await asyncio.sleep(0.02)
    return found


# --- time ---


def test_a_clock_that_is_ahead_for_a_moment_deletes_nothing(path: Path) -> None:
    store = HistoryWriter(path, schema.StoreConfig())
    store.start()
    for minute in range(10):
        store.put(tick(NOON + 60 * minute, sample(made=(calls(),))))
    for second in range(3):
        store.put(tick(NOON + 600 + 100 * DAY_S + second, sample(made=(calls(),))))
    for minute in range(11, 20):
        store.put(tick(NOON + 60 * minute, sample(made=(calls(),))))
    assert store.flush()
    store.close()
    history = History(path)
    assert history.connection.execute("select count(*) from minute").fetchone()[0] >= 18
    history.close()
    assert total(path) == 22 * 10
    assert {"clock_leapt", "clock_set_back"} <= set(kinds(path))


def test_after_a_reboot_with_a_leap_deletion_waits_and_that_is_said(path: Path) -> None:
    store = HistoryWriter(path, schema.StoreConfig())
    store.start()
    for minute in range(10):
        store.put(tick(NOON + 60 * minute, sample(made=(calls(),))))
    assert store.flush()
    store.close()
    connection = History(path).connection
    kept = connection.execute("select value from meta where key = 'clock'").fetchone()[0]
    connection.close()
    elapsed = 0
    clock = DeletionClock("another boot", kept, lambda: elapsed)
    later = int((NOON + 100 * DAY_S) * 1000)
    assert clock.now_ms(later) < (NOON + DAY_S) * 1000
    assert clock.note is not None
    assert "6 h" in clock.note
    elapsed = WAIT_S * 1000 - 1000
    assert clock.now_ms(later + elapsed) < (NOON + DAY_S) * 1000
    elapsed += 2000
    assert clock.now_ms(later + elapsed) == later + elapsed


@pytest.mark.parametrize("off_s", [30, 3600, DAY_S // 2])
def test_a_short_reboot_is_nothing_to_wait_for(off_s: int) -> None:
    elapsed = 5000
    before = DeletionClock("a boot", None, lambda: elapsed)
    before.now_ms(int(NOON * 1000))
    kept, elapsed = before.keep(), 100
    after = DeletionClock("the next", kept, lambda: elapsed)
    now = int(NOON + off_s) * 1000
    assert after.now_ms(now) == now
    assert after.note is None


# --- files ---


def filled(path: Path) -> HistoryWriter:
    """A store with some hundred pages, which has ended in order."""
    store = HistoryWriter(path, schema.StoreConfig())
    store.start()
    for minute in range(30):
        many = (sample(pid, rss=minute * pid, made=(calls(f"c{pid}", pid),)) for pid in range(1, 40))
        store.put(tick(NOON + 60 * minute, *many))
    assert store.flush()
    store.close()
    return store


def test_damaged_pages_after_an_end_in_order_are_found_and_said(path: Path) -> None:
    filled(path)
    data = bytearray(path.read_bytes())
    for page in range(8, len(data) // 4096 - 1):
        data[page * 4096 + 8 : page * 4096 + 4000] = os.urandom(3992)
    path.write_bytes(data)
    store = HistoryWriter(path, schema.StoreConfig())
    store.start()
    until(lambda: store.moved is not None, 20)
    store.put(tick(NOON + 3600, sample(made=(calls("read", 7),))))
    until(lambda: store.flush(5), 20)
    assert ("history_moved" in [kind for kind, _text in store.notes]) or "history_moved" in kinds(path)
    assert store.moved is not None
    assert store.moved.read_bytes()[8 * 4096 :][:4096] == bytes(data[8 * 4096 :][:4096])
    store.put(tick(NOON + 3601, sample(made=(calls("read", 7),))))
    assert store.flush()
    assert (total(path) or 0) >= 7
    store.close()


def test_a_database_that_is_deleted_is_noticed(path: Path) -> None:
    store = HistoryWriter(path, schema.StoreConfig())
    store.start()
    store.put(tick(NOON, sample(made=(calls("read", 5),))))
    assert store.flush()
    for name in ("", "-wal", "-shm"):
        Path(f"{path}{name}").unlink(missing_ok=True)
    store.put(tick(NOON + 1, sample(made=(calls("read", 7),))))
    until(lambda: store.flush(5), 20)
    assert [kind for kind, _text in store.notes] == ["history_gone"]
    assert total(path) == 7
    store.close()


@needs_root
async def test_a_service_tells_that_its_history_was_deleted() -> None:
    with public_folder() as folder, serving(folder) as daemon, running() as mine:
        async with daemon.client() as root:
            await root.watch(str(mine.pid))
            while not await root.processes(Select(pid=mine.pid)):
                await asyncio.sleep(0.05)
            (daemon.state / "history.db").unlink()
            deadline = time.monotonic() + 30
            found: list[str] = []
            while "history_gone" not in found and time.monotonic() < deadline:
                await asyncio.sleep(0.1)
                try:
                    found = [event.kind for event in await root.events(Select())]
                except Exception as error:
                    found = [type(error).__name__]
            assert "history_gone" in found
            assert (await root.status()).history == "ok"


# --- memory of the kernel ---


def locked_bytes(pid: int) -> int:
    """What the maps of a process take in the kernel; a map that several descriptors name counts once."""
    maps: dict[str, int] = {}
    for each in Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            text = each.read_text()
        except OSError:
            continue
        size, number = (re.search(rf"^{name}:\s+(\d+)", text, re.MULTILINE) for name in ("memlock", "map_id"))
        if size and number:
            maps[number.group(1)] = int(size.group(1))
    return sum(maps.values())


def mapped(pid: int) -> bool:
    """Whether a process still has maps in its memory, which keep them in the kernel's."""
    return "bpf-map" in Path(f"/proc/{pid}/maps").read_text()


@needs_root
@needs_ebpf
async def test_the_kernel_has_its_memory_back_after_all_attaches_that_one_process_may_have(tmp_path: Path) -> None:
    """But for what is kept for the next one: the others linger, for less time than elsewhere."""
    soon = tmp_path / "sitecustomize.py"
    soon.write_text("from straced.tracers.ebpf import tracer\ntracer.LINGER_S = 0.5\n")
    env = {"PYTHONPATH": f"{tmp_path}:{SOURCE}"}
    with public_folder() as folder, serving(folder, env=env) as daemon, running() as mine:
        assert daemon.process is not None
        pid = daemon.process.pid
        before = locked_bytes(pid)
        async with daemon.client() as root:
            sessions = [await root.attach(mine.pid) for _ in range(SESSIONS_A_PROCESS)]
            assert locked_bytes(pid) - before > 20 * 10**6 * (SESSIONS_A_PROCESS - 1)
            for session in sessions:
                await session.detach()
            deadline = time.monotonic() + 30
            while (locked_bytes(pid) > before or mapped(pid)) and time.monotonic() < deadline:
                await asyncio.sleep(0.1)
            assert locked_bytes(pid) <= before
            assert not mapped(pid)
            again = await root.attach(mine.pid)
            assert (await again.detach()).quality.lost == 0


# --- what is written and asked ---


@pytest.mark.parametrize(
    "text",
    [
        "[alerts]\ncpu_pct = nan",
        "[alerts]\nfds_pct = inf",
        "[alerts]\nerror_shift = 1" + "0" * 400,
        '[store]\nmax_bytes = "' + "9" * 400 + 'GB"',
        '[store]\nmax_bytes = "999999999TB"',
        '[store]\nfull = "' + "9" * 400 + 'd"',
        "interval = 1e308",
        "[on_alert.trace]\nseconds = nan",
        '[otlp]\ninterval = "1ms"',
    ],
)
def test_numbers_beyond_all_measure_in_a_configuration(text: str) -> None:
    with pytest.raises(ConfigError):
        loader.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        'interval = "hunter2"',
        '[store]\nmax_bytes = "hunter2"',
        '[metrics]\nlisten = "hunter2"',
        '[[watch]]\ntarget = "hunter2"',
        '[[watch]]\ntarget = "user:hunter2"',
        '[[watch]]\ntarget = "1"\nlabels = {job = ["hunter2"]}',
        'store = "hunter2"',
        'watch = "hunter2"',
        '[on_alert]\ncommand = "hunter2"',
        '[otlp]\nendpoint = ["hunter2"]',
    ],
)
def test_what_all_may_read_of_a_configuration_has_no_value_of_it(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loader.parse(text)
    assert "hunter2" not in caught.value.public + caught.value.hint


HUGE = ("1e308", "-1e308", "1e400", "NaN", "99999999999999999999999999", "-1", "-0", "true", '"x"', "[]", "{}", "null")


@needs_root
async def test_numbers_beyond_all_measure_in_requests() -> None:
    with public_folder() as folder, serving(folder) as daemon:

        def ask(method: str, params: str) -> str:
            """All that is said on a connection of its own: one with what is not JSON ends, with a reason."""
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(20)
                sock.connect(str(daemon.socket))
                hello = '{"jsonrpc":"2.0","id":0,"method":"hello","params":{"protocol":1}}\n'
                sock.sendall(f'{hello}{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}\n'.encode())
                said = ""
                with sock.makefile("r") as file:
                    while not ('"id":1' in said or '"error"' in said) and (line := file.readline()):
                        said += line
                return said

        for value in HUGE:
            for method, key in (
                *(
                    (method, key)
                    for method in ("history", "timeline", "events", "alerts", "top", "processes", "report")
                    for key in ("since", "until", "pid", "limit", "after", "step_s", "name", "job")
                ),
                ("attach", "pid"),
                ("label", "pid"),
                ("session.read", "session"),
                ("session.summary", "since_ns"),
            ):
                answer = await asyncio.to_thread(ask, method, f'{{"{key}":{value}}}')
                assert '"id":1' in answer or '"error"' in answer, (method, key, value, answer)
                assert "internal fault" not in answer, (method, key, value, answer)
        assert '"ticks"' in await asyncio.to_thread(ask, "status", "{}")
        daemon.stop()
        assert "Traceback" not in daemon.log.read_text()


@pytest.mark.parametrize("limit", [10, 12, 16])
def test_twelve_descriptors(tmp_path: Path, limit: int) -> None:
    daemon = Daemon(tmp_path)
    with daemon.log.open("ab") as log:
        done = subprocess.Popen(
            [sys.executable, "-m", "straced", "serve", "-c", str(daemon.config)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONPATH": SOURCE},
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)),
        )
    try:
        until(lambda: daemon.answers() or done.poll() is not None, 20)
    finally:
        done.terminate()
        done.wait(20)
    assert "Traceback" not in daemon.log.read_text()


# --- what is told to whom ---


@needs_root
async def test_a_user_is_not_told_of_rules_of_others_and_sees_zombies_of_their_own() -> None:
    zombie = "import os\npid = os.fork()\nif not pid: os._exit(0)\nprint(pid, flush=True)\nimport sys\nsys.stdin.read()"
    with public_folder() as folder, serving(folder) as daemon, running() as mine:
        async with daemon.client() as root:
            await root.watch("name:secret-of-root")
            await root.watch(str(mine.pid))
        with process("print('ready', flush=True)\n" + zombie) as parent:
            assert parent.stdout is not None
            pid = int(parent.stdout.readline())
            until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z", 10)
            body = """
for text in ("name:secret-of-root", "name:nobody-has-this", sys.argv[2]):
    try:
        await client.unwatch(text)
    except StracedError as error:
        said[text] = [type(error).__name__, error.reason.replace(text, "X")]
said["zombie"] = await attempt(client.attach(int(sys.argv[1])))
said["init"] = await attempt(client.attach(1))
"""
            said = await asyncio.to_thread(client, daemon, body, pid, mine.pid)
        assert said["name:secret-of-root"] == said["name:nobody-has-this"] == said[str(mine.pid)]
        assert said["zombie"] == "zombie"
        assert said["init"] == "uid"


@needs_root
async def test_a_port_for_metrics_is_said_to_be_everybodys() -> None:
    with public_folder() as folder, serving(folder, '[metrics]\nlisten = "127.0.0.1:0"\n') as daemon:
        async with daemon.client() as root:
            found = await kinds_told(root, "metrics_readable")
        assert found.count("metrics_readable") == 1
    with public_folder() as folder, serving(folder, f'[metrics]\nlisten = "unix:{folder}/metrics"\n') as daemon:
        async with daemon.client() as root:
            assert "metrics_readable" not in await kinds_told(root, "service_started")
        body = f"""
import socket
sock = socket.socket(socket.AF_UNIX)
try:
    sock.connect("{folder}/metrics")
    said["metrics"] = "open"
except OSError as error:
    said["metrics"] = error.errno
"""
        assert await asyncio.to_thread(client, daemon, body) == {"metrics": 13}

"""How the service lives and dies: lock, signals, kill -9, reload, the service manager, and the command line on it.

Of `commands/serve.py`, `commands/status.py`, `commands/events.py`, `commands/history.py`, `commands/watch.py`,
`commands/service_query.py`, `service/daemon/lock.py`, `service/daemon/logs.py`, `service/rule_store.py`,
`service/history_keeper.py` and `views/text/history.py`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from straced.commands.status import lines
from straced.config.schema import Config, ConfigError, ExportConfig, Metrics
from straced.errors import OutputExists
from straced.ipc.messages import Select, Status
from straced.linux import procfs
from straced.model.facts import HostFacts
from straced.service.daemon import unit
from straced.store.history import History
from tests.service.daemon import SOURCE, Daemon, serving
from tests.service.needs import needs_ebpf, needs_root
from tests.service.processes import READY, popen, running
from tests.support.poll import until

SOCKET_FOLDER = 0o755 if os.geteuid() == 0 else 0o700
"""Root's is for all users, anybody else's for nobody else."""
COUNTED = (
    "import ctypes\ngetppid = ctypes.CDLL(None).getppid\n"
    + READY
    + "for line in sys.stdin:\n    for _ in range(int(line)): getppid()\n    print('done', flush=True)\n"
)


def straced(*words: str, socket_: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    more = {"STRACED_SOCKET": str(socket_)} if socket_ else {}
    return subprocess.run(
        [sys.executable, "-m", "straced", *words],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": SOURCE, **more, **env},
    )


def test_of_twenty_one_wins(tmp_path: Path) -> None:
    """And the socket of a dead service does not stand in the way."""
    (tmp_path / "run").mkdir(mode=SOCKET_FOLDER)
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(tmp_path / "run" / "straced.sock"))
    stale.close()
    daemon = Daemon(tmp_path)
    several = [daemon.spawn() for _ in range(20)]
    try:
        until(lambda: sum(process.poll() is None for process in several) == 1, 60)
        until(daemon.answers, 10)
        losers = [process.returncode for process in several if process.returncode is not None]
        assert losers == [1] * 19
        alive = next(process for process in several if process.poll() is None)
        assert f"another straced service is running (pid {alive.pid})" in daemon.log.read_text()
        assert "Traceback" not in daemon.log.read_text()
    finally:
        for process in several:
            if process.poll() is None:
                process.terminate()
                assert process.wait(10) == 0
    assert not daemon.socket.exists()


@needs_ebpf
async def test_killed_three_times_nothing_but_the_last_interval_is_lost(tmp_path: Path) -> None:
    """History is closed, helpers go, the target runs on, and counting is taken up again."""
    daemon = Daemon(tmp_path)
    with running(COUNTED) as target:
        written = 0
        for round_ in range(3):
            daemon.write(f'[[watch]]\ntarget = "{target.pid}"\nlabels = {{job = "soak"}}\n')
            daemon.start()
            async with daemon.client() as client:
                while not (await client.snapshot() or await asyncio.sleep(0.02)):
                    pass
                until_there = await client.snapshot()
                assert until_there is not None
                await asyncio.to_thread(order, target, 1000 + round_)
                written += 1000 + round_

                async def counted() -> int:
                    answer = await client.history(Select(pid=target.pid))
                    return next((row.calls or 0 for row in answer.rows if row.name == "getppid"), 0)

                async with asyncio.timeout(10):
                    while await counted() < written:
                        await asyncio.sleep(0.05)
                assert await counted() == written
                trace = await client.trace(target.pid, tmp_path / f"trace{round_}", tracer="strace")
                assert trace.target.pid == target.pid
                assert procfs.tracer_pid(target.pid) > 0
            daemon.kill()
            until(lambda: procfs.tracer_pid(target.pid) == 0, 10)
            until(lambda: procfs.stat(target.pid).state == "S", 10)
            order(target, 1)
        daemon.start()
        async with daemon.client() as client:
            async with asyncio.timeout(30):
                while (told := [event.kind for event in await client.events(Select())]).count("interrupted") < 3:
                    await asyncio.sleep(0.02)  # it answers before the disk has all of it
            assert told.count("interrupted") == 3
        daemon.stop()
    history = History(daemon.state / "history.db")
    assert history.connection.execute("pragma integrity_check").fetchone() == ("ok",)
    history.close()


def order(process: subprocess.Popen[str], count: int) -> None:
    process.stdin.write(f"{count}\n")  # type: ignore[union-attr]
    process.stdin.flush()  # type: ignore[union-attr]
    assert process.stdout.readline() == "done\n"  # type: ignore[union-attr]


@needs_ebpf
async def test_sigterm_ends_everything_in_time(tmp_path: Path) -> None:
    """With sessions and full traces under way, within 3 s, and no target is left in a tracer's hands."""
    daemon = Daemon(tmp_path, "[ipc]\n#\nmax_sessions_per_user = 100\n").start()
    targets = [running(COUNTED) for _ in range(50)]
    processes = [target.__enter__() for target in targets]
    try:
        client = daemon.client()
        await client.connect()
        for number, process in enumerate(processes):
            await client.attach(process.pid)
            await client.trace(process.pid, tmp_path / f"t{number}", tracer="strace")
        assert all(procfs.tracer_pid(process.pid) for process in processes)
        took = await asyncio.to_thread(daemon.stop)
        assert took <= 3.0
        assert daemon.process.returncode == 0  # type: ignore[union-attr]
        for process in processes:
            until(lambda process=process: procfs.tracer_pid(process.pid) == 0, 3)  # type: ignore[misc]
            until(lambda process=process: procfs.stat(process.pid).state == "S", 10)  # type: ignore[misc]
            order(process, 3)
        await client.close()
    finally:
        for target in targets:
            target.__exit__(None, None, None)
    history = History(daemon.state / "history.db")
    kinds = [row[0] for row in history.connection.execute("select kind from event order by id")]
    assert (kinds[0], kinds[-1]) == ("service_started", "service_stopped")
    assert history.connection.execute("select count(*) from meta where key = 'open'").fetchone() == (0,)
    history.close()


async def test_reload_takes_all_of_it_and_refuses_what_is_broken(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon, running() as target:
        async with daemon.client() as client:
            assert await client.rules() == []
            daemon.write(f'[[watch]]\ntarget = "{target.pid}"\n[store]\nfull = "1h"\n')
            daemon.signal(signal.SIGHUP)
            while [rule.target for rule in await client.rules()] != [str(target.pid)]:
                await asyncio.sleep(0.02)
            daemon.write("[store]\nfulll = '1h'\n")
            daemon.signal(signal.SIGHUP)
            while not (error := (await client.status()).config_error):
                await asyncio.sleep(0.02)
            assert "store.fulll: no such key" in error
            assert len(await client.rules()) == 1
            daemon.config.write_text('state = "/elsewhere"\n')
            daemon.signal(signal.SIGHUP)
            while "cannot be changed" not in ((await client.status()).config_error or ""):
                await asyncio.sleep(0.02)


async def test_rules_survive_a_restart(tmp_path: Path) -> None:
    with running() as target:
        with serving(tmp_path) as daemon:
            async with daemon.client() as client:
                await client.watch("name:no-such-name", {"job": "x"})
                await client.watch(str(target.pid))
        with serving(tmp_path) as daemon:
            async with daemon.client() as client:
                assert {rule.target for rule in await client.rules()} == {"name:no-such-name", str(target.pid)}


def test_the_service_manager_is_told(tmp_path: Path) -> None:
    """sd_notify(3): READY, RELOADING with its time, WATCHDOG, STOPPING."""
    path = tmp_path / "notify"
    heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    heard.bind(str(path))
    heard.settimeout(10)
    daemon = Daemon(tmp_path)
    daemon.start(NOTIFY_SOCKET=str(path), WATCHDOG_USEC="600000")
    try:
        said = heard.recv(4096).decode()
        assert said.startswith("READY=1")
        while "WATCHDOG=1" not in said:
            said = heard.recv(4096).decode()
        daemon.signal(signal.SIGHUP)
        while "RELOADING=1" not in said:
            said = heard.recv(4096).decode()
        stamp = int(said.split("MONOTONIC_USEC=")[1])
        assert abs(time.monotonic_ns() // 1000 - stamp) < 10_000_000
        while not said.startswith("READY=1"):
            said = heard.recv(4096).decode()
    finally:
        daemon.stop()
    while "STOPPING=1" not in said:
        said = heard.recv(4096).decode()
    heard.close()


@pytest.mark.needs("root")
@pytest.mark.needs("systemd-analyze")
def test_the_unit_is_right_and_hardened(tmp_path: Path) -> None:
    target = unit.install(tmp_path / "straced.service")
    assert "CapabilityBoundingSet=" in target.read_text()
    done = subprocess.run(["systemd-analyze", "verify", target], capture_output=True, text=True, timeout=60)
    complaints = [line for line in done.stderr.splitlines() if "straced" in line]
    assert complaints == []
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", target],
        capture_output=True,
        text=True,
        timeout=60,
    )
    level = float(judged.stdout.rpartition("straced.service: ")[2].split()[0])
    assert level < 4.0


async def test_what_an_earlier_service_watched_has_not_started_again(tmp_path: Path) -> None:
    async def told(daemon: Daemon, wanted: int) -> list[tuple[str, int | None]]:
        async with daemon.client() as client, asyncio.timeout(30):
            while True:
                events = await client.events(Select())
                kinds = [(event.kind, event.pid) for event in events if event.kind in ("started", "found", "ended")]
                if len(kinds) >= wanted:
                    return kinds
                await asyncio.sleep(0.02)

    with running() as process, running() as other:
        watch = f'tracer = "none"\n[[watch]]\ntarget = "{process.pid}"\n'
        with serving(tmp_path, watch) as daemon:
            assert await told(daemon, 1) == [("started", process.pid)]
        watch += f'[[watch]]\ntarget = "{other.pid}"\n'
        with serving(tmp_path, watch) as daemon:
            again = await told(daemon, 3)
            assert sorted(again[1:]) == sorted([("found", process.pid), ("started", other.pid)])
        with serving(tmp_path, watch) as daemon:
            assert {kind for kind, _pid in (await told(daemon, 5))[3:]} == {"found"}


def test_missed_samples_are_no_share_of_those_that_were_taken() -> None:
    """A service that stood still for longer than it ran has missed more than it took."""
    status = Status(
        version="1",
        pid=1,
        system=False,
        started=time.time(),
        interval_ns=10**9,
        tracer=None,
        ticks=5,
        late_ticks=8,
        host=HostFacts(epoch_s=0.0, monotonic_ns=0, cpus=1),
    )
    assert any("8 samples missed, 5 taken" in span.text for line in lines(status) for span in line)


@pytest.mark.needs("root")
@pytest.mark.needs("systemd-analyze")
def test_the_unit_keeps_its_configuration_and_may_write_where_that_says(tmp_path: Path) -> None:
    """A file name may hold what systemd takes for something else."""
    folder = Path("/etc/straced test 100%")
    config = Config(
        state="/srv/straced $x",
        metrics=Metrics(textfile="/var/lib/node exporter/straced.prom"),
        export=ExportConfig(directory="/srv/exports"),
    )
    target = unit.install(tmp_path / "straced.service", config=folder / "straced.toml", read=config)
    text = target.read_text()
    assert 'serve -c "/etc/straced test 100%%/straced.toml"' in text
    assert [line for line in text.splitlines() if line.startswith("ReadWritePaths=")] == [
        "ReadWritePaths=-/srv/exports",
        'ReadWritePaths="-/srv/straced $x"',
        'ReadWritePaths="-/var/lib/node exporter"',
    ]
    assert "AF_NETLINK" in text
    done = subprocess.run(["systemd-analyze", "verify", target], capture_output=True, text=True, timeout=60)
    assert [line for line in done.stderr.splitlines() if "straced" in line] == []


def test_a_unit_is_not_replaced_unasked(tmp_path: Path) -> None:
    target = unit.install(tmp_path / "straced.service")
    assert unit.install(target) == target, "it is the same"
    edited = target.read_text().replace("RestartSec=2", "RestartSec=9")
    target.write_text(edited)
    with pytest.raises(OutputExists) as caught:
        unit.install(target)
    assert "--overwrite" in caught.value.hint
    assert target.read_text() == edited
    assert "RestartSec=2" in unit.install(target, overwrite=True).read_text()


@pytest.mark.needs("root")
def test_a_configuration_that_the_unit_could_not_see_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a /tmp of its own"):
        unit.install(tmp_path / "straced.service", config=Path("/tmp/straced.toml"))
    assert not (tmp_path / "straced.service").exists()


@pytest.mark.parametrize(
    ("prepare", "said", "status"),
    [
        ("socket is a file", "exists and is not a socket", 6),
        ("state is open to all", "is writable by others", 1),
        ("config is broken", "straced.toml:1: nonsense: no such key", 2),
        ("config is missing", "No such file", 2),
    ],
)
def test_what_keeps_it_from_starting_is_said(tmp_path: Path, prepare: str, said: str, status: int) -> None:
    daemon = Daemon(tmp_path)
    if prepare == "socket is a file":
        daemon.socket.parent.mkdir(mode=SOCKET_FOLDER)
        daemon.socket.write_text("mine")
    elif prepare == "state is open to all":
        daemon.state.mkdir()
        daemon.state.chmod(0o777)
    elif prepare == "config is broken":
        daemon.config.write_text("nonsense = 1\n")
    else:
        daemon.config.unlink()
    process = daemon.spawn()
    assert process.wait(20) == status
    text = daemon.log.read_text()
    assert said in text
    assert "Traceback" not in text
    assert len(text.splitlines()) <= 3
    if prepare == "socket is a file":
        assert daemon.socket.read_text() == "mine"


async def test_a_fork_bomb_of_descriptors_does_not_end_it(tmp_path: Path) -> None:
    """EMFILE: nobody new is accepted, those who are there are served, and afterwards all is well."""
    with serving(tmp_path, prefix=("prlimit", "--nofile=40:40")) as daemon:
        async with daemon.client() as client:
            pid = (await client.status()).pid
            socks = []
            for _ in range(60):
                sock = socket.socket(socket.AF_UNIX)
                await asyncio.to_thread(sock.connect, str(daemon.socket))
                socks.append(sock)
            for _ in range(5):
                assert (await client.status()).pid == pid
                await asyncio.sleep(0.1)
            for sock in socks:
                sock.close()
            async with asyncio.timeout(10):
                while True:
                    try:
                        async with daemon.client() as other:
                            assert (await other.status()).pid == pid
                            break
                    except Exception:
                        await asyncio.sleep(0.1)
            before = (await client.status()).ticks
            while (await client.status()).ticks < before + 3:
                await asyncio.sleep(0.05)


@needs_root
async def test_the_command_line(tmp_path: Path) -> None:
    missing = straced("status", socket_=tmp_path / "none")
    assert (missing.returncode, missing.stdout) == (6, "")
    assert len(missing.stderr.splitlines()) <= 3
    with serving(tmp_path) as daemon, running(COUNTED) as target:
        at = daemon.socket
        added = straced("watch", "add", str(target.pid), "--label", "job=build-7", socket_=at)
        assert (added.returncode, added.stdout) == (0, "")
        async with daemon.client() as client:
            while not (snapshot := await client.snapshot()) or not snapshot.processes:
                await asyncio.sleep(0.02)
        order(target, 1013)
        status = json.loads(straced("status", "--json", socket_=at).stdout)
        assert status["watched"] == 1
        assert "watches    1 process, 1 rule," in straced("status", socket_=at).stdout
        assert "job=build-7" in straced("watch", "ls", socket_=at).stdout
        if status["tracer"]:
            until(lambda: "1,013" in straced("history", str(target.pid), socket_=at).stdout, 10)
            told = json.loads(straced("history", "build-7", "--json", socket_=at).stdout)
            rows = {row["name"]: row["calls"] for row in told["answer"]["syscalls"]}
            assert rows["getppid"] == 1013
        assert "build-7" in straced("history", "job:build-7", socket_=at).stdout
        assert "started" in straced("events", "--since", "1h", socket_=at).stdout
        metrics = straced("metrics", socket_=at)
        assert metrics.stdout.endswith("# EOF\n")
        text = tmp_path / "straced.prom"
        assert straced("metrics", "--textfile", str(text), socket_=at).returncode == 0
        assert text.read_text().endswith("# EOF\n")
        place = [f"PYTHONPATH={SOURCE}", f"STRACED_SOCKET={at}"]
        follow = popen(["env", *place, sys.executable, "-m", "straced", "events", "-f", "--json"])
        assert follow.stdout is not None
        follow.stdout.readline()
        assert straced("watch", "rm", str(target.pid), socket_=at).returncode == 0
        for line in follow.stdout:
            if json.loads(line)["kind"] == "unwatched":
                break
        follow.terminate()
        follow.communicate()
        again = straced("watch", "rm", str(target.pid), socket_=at)
        assert (again.returncode, again.stderr.splitlines()[0]) == (2, f"straced watch: there is no rule {target.pid}")
        out = tmp_path / "out"
        database = str(daemon.state / "history.db")
        assert straced("export", "--ndjson", str(out), "--db", database).returncode == 0
        pids = [json.loads(line)["pid"] for line in (out / "processes.ndjson").read_text().splitlines()]
        assert target.pid in pids
        assert straced("export", "--ndjson", str(out), "--db", database).returncode == 2

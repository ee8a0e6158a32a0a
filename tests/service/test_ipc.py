"""A real service and its clients, of the same user and of another.

Of `service/api/connection.py`, `service/api/outbox.py`, `service/api/server.py`, `service/api/sessions.py`,
`service/api/facade.py`, `ipc/socket_directory.py`, `service/notices.py`, `client/notifications.py`,
`client/queries.py`, `client/service_socket.py`, `service/api/event_listeners.py` and `service/api/client_session.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from straced.client.client import Client
from straced.errors import (
    InvalidArgument,
    NoSuchProcess,
    OutputExists,
    ServiceUnreachable,
    StracedError,
    TracerUnavailable,
)
from straced.ipc.messages import Gap, Nothing, Select
from straced.ipc.protocol import MAX_FRAME, ProtocolMismatch, TooMuch, UnknownMethod
from straced.linux import procfs
from straced.model.history import KeptEvent
from straced.model.tick import Tick
from straced.model.types import Summary
from tests.service.daemon import SOURCE, Daemon, serving
from tests.service.needs import needs_ebpf, needs_root
from tests.service.processes import READY, as_nobody, folder_of_nobody, popen, running
from tests.support.poll import until

GETPPID = "import ctypes\ngetppid = ctypes.CDLL(None).getppid\n"
COUNTED = (
    GETPPID
    + READY
    + "for line in sys.stdin:\n    [getppid() for _ in range(int(line))]\n    print('done', flush=True)\n"
)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with serving(tmp_path_factory.mktemp("service")) as made:
        yield made


def order(process: subprocess.Popen[str], count: int) -> None:
    process.stdin.write(f"{count}\n")  # type: ignore[union-attr]
    process.stdin.flush()  # type: ignore[union-attr]
    assert process.stdout.readline() == "done\n"  # type: ignore[union-attr]


async def test_hello_and_status(daemon: Daemon) -> None:
    async with daemon.client() as client:
        assert client.welcome is not None
        assert client.welcome.you == os.geteuid()
        status = await client.status()
        assert status.pid == daemon.process.pid  # type: ignore[union-attr]
        assert status.history == "ok"
        assert status.clients >= 1


@needs_ebpf
async def test_the_face_of_profiler(daemon: Daemon) -> None:
    async with daemon.client() as client:
        with running(COUNTED) as process:
            session = await client.attach(process.pid, labels={"job": "x"})
            assert (session.target.pid, session.tracer) == (process.pid, "ebpf")
            order(process, 1009)
            first = await session.read()
            assert sum(row.calls or 0 for row in first.rows if row.name == "getppid") == 1009
            order(process, 503)
            assert (await session.summary(first)).syscalls["getppid"].calls == 503
            whole = await session.summary()
            assert whole.syscalls["getppid"].calls == 1512
            assert whole.labels == {"job": "x"}
            assert whole.quality.kind == "exact"
            result = await session.detach()
            assert result.syscalls["getppid"].calls == 1512
            assert (await session.detach()) == result
            assert procfs.tracer_pid(process.pid) == 0


@needs_ebpf
async def test_windows_until_the_end(daemon: Daemon) -> None:
    async with daemon.client() as client:
        with running(COUNTED) as process:
            session = await client.attach(process.pid)
            windows: list[Summary] = []
            async for window in session.every(0.1):
                windows.append(window)
                if len(windows) < 4:
                    await asyncio.to_thread(order, process, 101)
                elif len(windows) == 4:
                    process.stdin.close()  # type: ignore[union-attr]
            assert sum(w.syscalls["getppid"].calls or 0 for w in windows if "getppid" in w.syscalls) == 303
            assert (await session.wait()).exit_status == 0
            assert (await session.result()).syscalls["getppid"].calls == 303


@needs_ebpf
async def test_spawned_from_its_first_instruction(daemon: Daemon) -> None:
    async with daemon.client() as client:
        argv = [sys.executable, "-S", "-c", GETPPID + "[getppid() for _ in range(211)]"]
        session = await client.spawn(argv)
        assert session.process is not None
        assert await session.process.wait() == 0
        result = await session.result()
        assert result.syscalls["getppid"].calls == 211
        assert result.syscalls["execve"].calls == 1
        with pytest.raises(StracedError):
            await client.spawn(["/nonexistent"])


async def test_refusals_keep_their_type(daemon: Daemon) -> None:
    async with daemon.client() as client:
        with running() as process:
            pid = process.pid
        with pytest.raises(NoSuchProcess) as caught:
            await client.attach(pid)
        assert caught.value.pid == pid
        with pytest.raises(TracerUnavailable, match="by eBPF"):
            async with Client(daemon.socket, tracer="strace") as other:
                await other.attach(os.getpid())
        with pytest.raises(InvalidArgument, match="no session 77"):
            await client.request("session.read", {"session": 77}, Nothing)
        with pytest.raises(UnknownMethod):
            await client.request("launch", {}, Nothing)
        with pytest.raises(StracedError, match="pid"):
            await client.request("attach", {"pid": "x"}, Nothing)
        with pytest.raises(InvalidArgument, match="is not a target"):
            await client.watch("bogus:thing")
        with pytest.raises(InvalidArgument, match="label"):
            await client.label(os.getpid(), **{"a b": "c"})


async def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(ServiceUnreachable) as caught:
        await Client(tmp_path / "none").connect()
    assert caught.value.exit_code == 6
    assert caught.value.hint == "straced serve"


# --- watching, and what becomes of it ---


async def test_watch_history_events_and_report(daemon: Daemon) -> None:
    async with daemon.client() as client:
        with running(COUNTED) as process:
            rule = await client.watch(str(process.pid), {"job": "build-42"})
            assert rule.target == str(process.pid)
            await seen(client, process.pid)
            await asyncio.to_thread(order, process, 1201)
            assert [r.target for r in await client.rules() if r.processes] == [str(process.pid)]
            pid = process.pid
            snapshot = await client.snapshot()
            assert snapshot is not None
            assert [s.facts.labels for s in snapshot.processes if s.facts.pid == pid] == [{"job": "build-42"}]

            async def counted() -> int:
                answer = await client.history(Select(pid=pid))
                return next((row.calls or 0 for row in answer.rows if row.name == "getppid"), 0)

            if (await client.status()).tracer:
                while await counted() != 1201:
                    await asyncio.sleep(0.05)
        while not [e for e in await client.events(Select(pid=pid)) if e.kind == "ended"]:
            await asyncio.sleep(0.05)
        events = await client.events(Select(pid=pid))
        assert own(events) == ["started", "ended"]
        report = await client.report("build-42")
        assert report.answer.processes[0].pid == pid
        assert own(report.events) == ["started", "ended"]
        assert report.exit_statuses == ({"killed(9) -9": 1} if (await client.status()).tracer else {"ended": 1})
        await client.unwatch(str(pid))
        assert await client.rules() == []


def own(events: Iterable[KeptEvent]) -> list[str]:
    """Without slow calls: a machine that stands still for a moment makes some."""
    return [event.kind for event in events if event.kind not in ("slow_call", "slow_calls")]


async def seen(client: Client, pid: int) -> None:
    while True:
        snapshot = await client.snapshot()
        if snapshot is not None and pid in {sample.facts.pid for sample in snapshot.processes}:
            return
        await asyncio.sleep(0.02)


async def test_news(daemon: Daemon) -> None:
    async with daemon.client() as client:
        with running() as process:
            kinds = []
            started = False
            async with asyncio.timeout(10):
                async for news in client.news("ticks", "events"):
                    if not started:
                        started = True
                        await client.label(process.pid, job="labelled")
                    kinds.append(type(news).__name__)
                    if isinstance(news, Tick) and process.pid in {s.facts.pid for s in news.processes}:
                        assert {s.facts.labels["job"] for s in news.processes if s.facts.pid == process.pid} == {
                            "labelled"
                        }
                        break
            assert "Tick" in kinds


# --- hostile and broken clients ---


def raw(daemon: Daemon, *frames: bytes) -> bytes:
    """Send bytes, and read until the service closes or answers."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5)
        sock.connect(str(daemon.socket))
        with contextlib.suppress(OSError):
            for frame in frames:
                sock.sendall(frame)
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_WR)
        data = b""
        with contextlib.suppress(OSError):
            while part := sock.recv(65536):
                data += part
        return data


def test_broken_frames_are_refused_and_others_live_on(daemon: Daemon) -> None:
    assert json.loads(raw(daemon, b"nonsense\n"))["error"]["code"] == -32700
    assert json.loads(raw(daemon, b"[1, 2]\n"))["error"]["code"] == -32600
    assert json.loads(raw(daemon, b"[" * 100_000 + b"\n"))["error"]["code"] in (-32600, -32700)
    assert json.loads(raw(daemon, b"x" * (MAX_FRAME + 2)))["error"]["code"] == -32600
    assert raw(daemon, b'{"method": "hello", "par') == b""
    first = json.loads(raw(daemon, b'{"jsonrpc":"2.0","id":1,"method":"status","params":{}}\n') or b"{}")
    assert not first or first["error"]["data"]["code"] == "protocol_mismatch"
    for seed in range(200):
        noise = bytes((seed * 31 + i * 7919) % 256 for i in range(seed))
        raw(daemon, noise, b"\n")
    assert daemon.answers()


async def test_another_protocol_is_refused(daemon: Daemon) -> None:
    client = daemon.client()
    async with client:
        with pytest.raises(ProtocolMismatch, match="protocol 99"):
            await client.request("hello", {"protocol": 99}, Nothing)


async def test_a_client_that_does_not_read_costs_nobody_anything(daemon: Daemon) -> None:
    """Its notifications are dropped, and it is told how many; a stopped one costs a bounded amount of memory."""
    async with daemon.client() as other:
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect(str(daemon.socket))
            slow.sendall(b'{"jsonrpc":"2.0","id":1,"method":"hello","params":{"protocol":1}}\n')
            slow.sendall(b'{"jsonrpc":"2.0","id":2,"method":"subscribe","params":{"topics":["ticks"]}}\n')
            before = (await other.status()).ticks
            while (await other.status()).ticks < before + 5:
                await asyncio.sleep(0.05)


async def test_too_many_clients(tmp_path: Path) -> None:
    """500 connections at once; those that have one are served."""
    with serving(tmp_path, "[ipc]\n#\nmax_clients = 20\nmax_clients_per_user = 10\n") as daemon:
        async with daemon.client() as first:
            socks = []
            for _ in range(500):
                sock = socket.socket(socket.AF_UNIX)
                await asyncio.to_thread(sock.connect, str(daemon.socket))
                sock.settimeout(5)
                socks.append(sock)
            assert (await first.status()).clients <= 10
            last = socks[-1].recv(65536)
            assert json.loads(last)["error"]["data"]["code"] == "too_much"
            for sock in socks:
                sock.close()
            while (await first.status()).clients > 1:
                await asyncio.sleep(0.02)
        clients = [daemon.client() for _ in range(10)]
        for client in clients:
            await client.connect()
        with pytest.raises(TooMuch):
            await daemon.client().connect()
        for client in clients:
            await client.close()


async def test_two_hundred_clients(daemon: Daemon, tmp_path: Path) -> None:
    with serving(tmp_path, "[ipc]\n#\nmax_clients = 256\nmax_clients_per_user = 256\n") as own:
        clients = [own.client() for _ in range(200)]
        await asyncio.gather(*(client.connect() for client in clients))
        assert len({(await client.status()).pid for client in clients}) == 1
        await asyncio.gather(*(client.close() for client in clients))


@needs_ebpf
async def test_a_killed_client_leaves_nothing(daemon: Daemon) -> None:
    """What it asked for ends with it."""
    code = (
        f"import sys, asyncio\nsys.path.insert(0, {SOURCE!r})\nfrom straced.client.client import Client\n"
        f"async def main():\n    client = Client({str(daemon.socket)!r})\n    await client.attach(int(sys.argv[1]))\n"
        "    print('ready', flush=True)\n    await asyncio.sleep(100)\nasyncio.run(main())\n"
    )
    async with daemon.client() as client:
        with running(COUNTED) as process:
            other = popen([sys.executable, "-c", code, str(process.pid)])
            assert other.stdout is not None
            assert other.stdout.readline() == "ready\n"
            assert (await client.status()).sessions == 1
            other.kill()
            other.communicate()
            while (await client.status()).sessions:
                await asyncio.sleep(0.02)
            order(process, 5)


# --- the rights of another user ---

AS_NOBODY = """
import asyncio, json, sys
sys.path.insert(0, {source!r})
from pathlib import Path
from straced.client import Client, Select
from straced.errors import StracedError
async def attempt(work):
    try:
        result = await work
        return len(result) if isinstance(result, list) else "fine"
    except StracedError as error:
        return error.code
async def main():
    theirs, own = int(sys.argv[1]), int(sys.argv[2])
    async with Client({socket!r}) as client:
        said = {{"you": client.welcome.you}}
        said["attach theirs"] = await attempt(client.attach(theirs))
        said["attach init"] = await attempt(client.attach(1))
        said["label theirs"] = await attempt(client.label(theirs, a="b"))
        said["watch theirs"] = await attempt(client.watch(str(theirs)))
        said["trace theirs"] = await attempt(client.trace(theirs, Path({folder!r}) / "theirs.txt"))
        said["history theirs"] = await attempt(client.processes(Select(pid=theirs)))
        said["events theirs"] = await attempt(client.events(Select(pid=theirs)))
        said["metrics"] = await attempt(client.metrics())
        said["unwatch theirs"] = await attempt(client.unwatch(str(theirs)))
        snapshot = await client.snapshot()
        said["seen"] = [sample.facts.pid for sample in snapshot.processes]
        said["rules"] = len(await client.rules())
        session = await client.attach(own)
        print("attached", flush=True)
        sys.stdin.readline()
        summary = await session.detach()
        said["own"] = summary.syscalls["getppid"].calls
        trace = await client.trace(own, Path({folder!r}) / "own.txt", tracer="strace")
        print("traced", flush=True)
        sys.stdin.readline()
        said["trace"] = (await trace.stop()).reason
        said["watch own"] = await attempt(client.watch(str(own)))
        for _ in range(300):
            snapshot = await client.snapshot()
            if snapshot.processes: break
            await asyncio.sleep(0.05)
        said["seen then"] = [sample.facts.pid for sample in snapshot.processes]
        print(json.dumps(said), flush=True)
asyncio.run(main())
"""


@needs_root
@needs_ebpf
async def test_a_user_profiles_their_own_by_a_service_of_root_and_nothing_else(public: Path) -> None:
    with serving(public) as daemon, running() as theirs:
        assert stat.S_IMODE(daemon.socket.stat().st_mode) == 0o666
        assert stat.S_IMODE(daemon.socket.parent.stat().st_mode) == 0o755
        assert stat.S_IMODE(daemon.state.stat().st_mode) == 0o700
        folder = folder_of_nobody(public)
        async with daemon.client() as client:
            await client.watch(str(theirs.pid))
            await seen(client, theirs.pid)
        own = popen([*as_nobody(), "/usr/bin/python3", "-S", "-c", COUNTED])
        assert own.stdout is not None
        assert own.stdout.readline() == "ready\n"
        code = AS_NOBODY.format(source=SOURCE, socket=str(daemon.socket), folder=str(folder))
        client_ = popen([*as_nobody(), sys.executable, "-c", code, str(theirs.pid), str(own.pid)])
        assert client_.stdout is not None
        assert client_.stdin is not None
        try:
            assert client_.stdout.readline() == "attached\n"
            order(own, 307)
            client_.stdin.write("\n")
            client_.stdin.flush()
            assert client_.stdout.readline() == "traced\n"
            strace = procfs.tracer_pid(own.pid)
            assert procfs.status(strace)["Uid"].split() == ["65534"] * 4
            assert procfs.status(strace)["CapEff"].strip("0") == ""
            order(own, 11)
            client_.stdin.write("\n")
            client_.stdin.flush()
            said = json.loads(client_.stdout.readline())
        finally:
            client_.kill()
            client_.communicate()
            own.kill()
            own.communicate()
        assert said == {
            "you": 65534,
            "attach theirs": "uid",
            "attach init": "uid",
            "label theirs": "uid",
            "watch theirs": "uid",
            "trace theirs": "uid",
            "history theirs": 0,
            "events theirs": 0,
            "metrics": "uid",
            "unwatch theirs": "uid",
            "seen": [],
            "rules": 0,
            "own": 307,
            "trace": "detached",
            "watch own": "fine",
            "seen then": [own.pid],
        }
        trace = folder / "own.txt"
        calls = [line for line in trace.read_text().splitlines() if not line.startswith("#")]
        assert "\n".join(calls).count("getppid()") == 11
        assert trace.stat().st_uid == 65534
        assert stat.S_IMODE(trace.stat().st_mode) == 0o600
        assert not (folder / "theirs.txt").exists()


@needs_root
@needs_ebpf
async def test_an_exec_of_a_setuid_program_ends_the_session(public: Path) -> None:
    import shutil

    with serving(public) as daemon:
        copy = public / "setuid-sleep"
        shutil.copy("/bin/sleep", copy)
        copy.chmod(0o4755)
        code = READY + f"sys.stdin.readline(); os.execv({str(copy)!r}, ['sleep', '1000'])"
        target = popen([*as_nobody(), "/usr/bin/python3", "-S", "-c", code])
        assert target.stdout is not None
        assert target.stdin is not None
        target.stdout.readline()
        script = (
            f"import asyncio, sys\nsys.path.insert(0, {SOURCE!r})\nfrom straced.client.client import Client\n"
            "from straced.errors import StracedError\nasync def main():\n"
            f"    async with Client({str(daemon.socket)!r}) as client:\n"
            "        session = await client.attach(int(sys.argv[1]))\n        await session.read()\n"
            "        print('attached', flush=True)\n        sys.stdin.readline()\n"
            "        for ask in (session.read, session.summary, session.detach, session.result):\n"
            "            try:\n                await ask()\n                print('told', flush=True)\n"
            "            except StracedError as error:\n                print(error.code, flush=True)\n"
            "asyncio.run(main())\n"
        )
        client = popen([*as_nobody(), sys.executable, "-c", script, str(target.pid)])
        assert client.stdout is not None
        try:
            assert client.stdout.readline() == "attached\n"
            target.stdin.write("\n")
            target.stdin.flush()
            until(lambda: _sleeps(target.pid), 10, "the exec is over, and not its name alone is there")
            output, _ = client.communicate("\n", timeout=20)
            assert output.split() == ["uid"] * 4
        finally:
            target.kill()
            target.communicate()
            if client.poll() is None:
                client.kill()
                client.communicate()


def _sleeps(pid: int) -> bool:
    found = procfs.stat(pid)
    return found.comm.startswith("setuid") and found.state == "S"


@needs_root
async def test_a_users_own_service_is_theirs_alone(public: Path) -> None:
    """Another user cannot even connect; root can. Without rights it watches, and says what is missing."""
    own = public / "own"
    own.mkdir()
    daemon = Daemon(own, prefix=tuple(as_nobody()))
    for path in (own, daemon.config):
        os.chown(path, 65534, 65534)
    daemon.log.touch()
    daemon.start()
    try:
        assert stat.S_IMODE(daemon.socket.stat().st_mode) == 0o600
        assert stat.S_IMODE(daemon.socket.parent.stat().st_mode) == 0o700
        shown = os.stat(f"/proc/{daemon.process.pid}/fd").st_uid  # type: ignore[union-attr]
        assert shown == 0  # not dumpable, so that what it holds is root's to see (proc(5))
        async with daemon.client() as client:
            status = await client.status()
            assert (status.system, status.tracer) == (False, None)
            assert "eBPF needs root" in status.tracer_reason
        other = ["setpriv", "--reuid=65533", "--regid=65533", "--clear-groups", sys.executable, "-c"]
        code = f"import socket; socket.socket(socket.AF_UNIX).connect({str(daemon.socket)!r})"
        code = f"try: {code}\nexcept PermissionError: print('refused')".replace(
            "try: import socket; ", "import socket\ntry: "
        )
        assert popen([*other, code]).communicate()[0] == "refused\n"
    finally:
        daemon.stop()


@pytest.mark.needs("root")
def test_no_abstract_socket_and_no_open_network(daemon: Daemon) -> None:
    """By default nothing listens but the one socket of the file system."""
    pid = daemon.process.pid  # type: ignore[union-attr]
    inodes = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            link = os.readlink(f"/proc/{pid}/fd/{name}")
            if link.startswith("socket:["):
                inodes.add(link[8:-1])
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        words = line.split()
        if words[6] in inodes and len(words) > 7:
            assert words[7] == str(daemon.socket)
    for name in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            assert line.split()[9] not in inodes


def test_it_keeps_its_memory_to_itself(daemon: Daemon) -> None:
    """No core files, not dumpable."""
    pid = daemon.process.pid  # type: ignore[union-attr]
    core = next(line for line in Path(f"/proc/{pid}/limits").read_text().splitlines() if line.startswith("Max core"))
    assert core.split()[4:6] == ["0", "0"]
    assert Gap(3).dropped == 3


async def test_a_trace_never_overwrites(daemon: Daemon, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_text("mine")
    async with daemon.client() as client:
        with running() as process, pytest.raises(OutputExists):
            await client.trace(process.pid, there)
        with pytest.raises(NoSuchProcess):  # the file, which is made first, is gone again
            await client.trace(process.pid, tmp_path / "other")
    assert there.read_text() == "mine"
    assert not (tmp_path / "other").exists()

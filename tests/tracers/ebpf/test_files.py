"""Sums by file and peer: exact, and under the names that the programs make their calls by.

Of `tracers/ebpf/file_sums.py`.
"""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from straced.model.files import FileTable, FileUse
from straced.model.types import Summary
from straced.tracers.base import AttachOptions
from straced.tracers.ebpf import detail_wire
from tests.tracers.ebpf.slow_targets import Script, slow_session

pytestmark = pytest.mark.needs("ebpf")
FILES = AttachOptions(files=True)


def table(summary: Summary) -> FileTable:
    assert summary.files is not None
    assert summary.files.unplaced == 0
    return summary.files


def row(found: FileTable, name: object) -> FileUse:
    (only,) = [each for each in found.rows if each.name == str(name)]
    return only


async def run(script: Script) -> Summary:
    async with slow_session(script, FILES) as session:
        script.go()
        return await session.result()


async def test_each_call_is_with_its_file(tmp_path: Path) -> None:
    code = """
fd = os.open("data", os.O_RDWR | os.O_CREAT)
for _ in range(1000):
    os.write(fd, b"x" * 10)
for _ in range(50):
    os.pread(fd, 4, 0)
for _ in range(7):
    os.fsync(fd)
for _ in range(30):
    os.stat("data")
for _ in range(11):
    os.fstat(fd)  # which the C library makes of a call by an empty path
for _ in range(200):
    try:
        os.open("../" + os.path.basename(os.getcwd()) + "/none", os.O_RDONLY)
    except OSError:
        pass
os.write(before, b"y" * 100)
os.unlink("before")
for _ in range(3):
    os.write(before, b"y" * 100)
"""
    before = "before = os.open('before', os.O_RDWR | os.O_CREAT)"
    found = table(await run(Script(code, tmp_path, before=before)))
    data = row(found, tmp_path / "data")
    assert (data.calls, data.errors, data.bytes) == (1 + 1000 + 50 + 7 + 30 + 11, 0, 10_200)
    assert data.wall_ns >= data.waiting_ns
    assert (data.syncs, 0 < data.sync_ns < data.wall_ns) == (7, True)
    assert (data.max_ns or 0) >= (data.p99_ns or 0) > 0
    none = row(found, tmp_path / "none")
    assert (none.kind, none.calls, none.errors, none.errno) == ("path", 200, 200, "ENOENT")
    assert [
        each.bytes for each in found.rows if each.name in (str(tmp_path / "before"), f"{tmp_path}/before (deleted)")
    ]
    assert sum(each.bytes for each in found.rows if (each.name or "").startswith(str(tmp_path / "before"))) == 400


async def test_peers(tmp_path: Path) -> None:
    code = """
for _ in range(20):
    with socket.socket() as one:
        one.connect(("127.0.0.1", int(sys.argv[1])))
        one.send(b"abc")
        one.recv(1)
with socket.socket(socket.AF_UNIX) as local:
    local.connect(sys.argv[2])
    local.send(b"abcd")
    local.recv(1)
"""
    with socket.create_server(("127.0.0.1", 0)) as internet, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "local"))
        unix.listen()
        port = internet.getsockname()[1]
        script = Script(code, tmp_path, port, tmp_path / "local")
        async with slow_session(script, FILES) as session:
            for server, times in ((internet, 20), (unix, 1)):
                server.settimeout(20)
                for _ in range(times):
                    with server.accept()[0] as given:
                        given.recv(4)
                        given.send(b"x")
            script.go()
            summary = await session.result()
    found = table(summary)
    tcp, local = row(found, f"tcp 127.0.0.1:{port}"), row(found, f"unix {tmp_path / 'local'}")
    assert (tcp.calls, tcp.bytes) == (60, 80)
    assert (local.calls, local.bytes) == (3, 5)


async def test_who_connects_is_one_peer(tmp_path: Path) -> None:
    """A server's connections are told apart by address, not by the port that each has only once."""
    code = """
for port in range(20000, 32000):
    try:
        server = socket.create_server(("127.0.0.1", port))
        break
    except OSError:
        pass
for _ in range(10):
    with socket.create_connection(server.getsockname()) as one:
        with server.accept()[0] as other:
            one.send(b"ab")
            other.recv(2)
"""
    found = table(await run(Script(code, tmp_path)))
    (clients,) = [each for each in found.rows if (each.name or "").startswith("tcp 127.0.0.1 at port 2")]
    assert (clients.bytes, clients.kind) == (20, "accepted")
    assert clients.calls >= 10


async def test_what_there_is_no_room_for_is_added_up(tmp_path: Path) -> None:
    """More paths than rows: no call is missing."""
    many = detail_wire.FILE_ROWS + 2000
    code = f"""
for number in range({many}):
    try:
        os.stat(f"/none/{{number}}")
    except OSError:
        pass
"""
    summary = await run(Script(code, tmp_path))
    found = table(summary)
    named = [each for each in found.rows if (each.name or "").startswith("/none/")]
    unnamed = [each for each in found.rows if each.name is None]
    assert found.others is not None
    assert found.others.calls >= 2000
    assert sum(each.errors for each in [*named, *unnamed, found.others]) == many


async def test_another_session_begins_with_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        script = Script("for _ in range(5): os.stat(sys.argv[1])", tmp_path, tmp_path)
        assert row(table(await run(script)), tmp_path).calls == 5


async def test_only_where_it_was_asked_for(tmp_path: Path) -> None:
    script = Script("", tmp_path)
    async with slow_session(script) as session:
        script.go()
        assert (await session.result()).files is None

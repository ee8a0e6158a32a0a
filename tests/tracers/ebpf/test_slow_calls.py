"""Calls over a limit: each is told with what it was about, and nothing else is.

Of `tracers/ebpf/detail_engine.py`, `tracers/ebpf/detail_wire.py`, `tracers/ebpf/slow_ring.py` and
`tracers/ebpf/slow_log.py`.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from straced.errors import TracerUnavailable
from straced.linux import procfs
from straced.tracers.ebpf import slow_ring, tracer
from straced.tracers.ebpf.engine import Engine
from straced.tracers.ebpf.suited import suited_engine
from tests.support import proc
from tests.support.poll import auntil
from tests.tracers.ebpf.slow_targets import OPTIONS, Script, about, fifo, slow_session, told

pytestmark = pytest.mark.needs("ebpf")
READ_ONE = "fd = os.open(sys.argv[1], os.O_RDWR)\nos.read(fd, 1)\n"


def give(path: Path) -> None:
    """Let the one go on who reads from a FIFO."""
    fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    os.write(fd, b"x")
    os.close(fd)


async def test_each_is_named_with_its_file(tmp_path: Path) -> None:
    paths = [fifo(tmp_path / f"fifo-{number}") for number in range(20)]
    code = "for path in sys.argv[1:]:\n    os.read(os.open(path, os.O_RDWR), 1)\n"
    script = Script(code, tmp_path, *paths)
    async with slow_session(script) as session:
        for path in paths:
            await script.inside("read", path)
            give(path)
        script.go()
        slow = told(await session.result())
    found = about(slow, tmp_path)
    assert [call.path for call in found if call.name == "read"] == [str(path) for path in paths]
    assert all(call.duration_ns >= slow.limit_ns for call in slow.calls)
    for call in found:
        if call.name == "read":
            assert (call.pid, call.tid, call.result, call.inside) == (script.pid, script.pid, 1, False)
            assert 0 < (call.waiting_ns or 0) <= call.duration_ns
            assert f'<{call.path}>, ""..., 1)' in call.call


async def test_a_call_is_told_while_it_is_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An open that waits has its path in memory only: nothing is open yet."""
    monkeypatch.setattr(slow_ring, "LOOK_S", 0.05)
    path = fifo(tmp_path / "fifo")
    script = Script("os.open('./fifo', os.O_WRONLY)", tmp_path)
    async with slow_session(script) as session, session.slow_calls() as stream:
        async for first in stream:
            if first.name == "openat" and "fifo" in first.call:
                break
        assert (first.inside, first.result, first.path) == (True, None, str(path))
        assert first.call == f'openat(AT_FDCWD<{tmp_path}>, "./fifo", O_WRONLY|O_CLOEXEC ...'
        assert first in [replace(call, duration_ns=first.duration_ns, waiting_ns=first.waiting_ns)
                         for call in told(await session.summary()).calls]  # fmt: skip
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        async for last in stream:
            if (last.tid, last.start_ns) == (first.tid, first.start_ns):
                break
        os.close(reader)
        assert (last.inside, last.errno, last.path) == (False, None, str(path))
        assert last.duration_ns > first.duration_ns
        assert not any(call.inside and call.name == "openat" for call in told(await session.summary()).calls)


async def test_peers(tmp_path: Path) -> None:
    code = """
for place in (("127.0.0.1", int(sys.argv[1])), sys.argv[2]):
    with socket.socket(socket.AF_UNIX if isinstance(place, str) else socket.AF_INET) as one:
        one.connect(place)
        one.recv(1)
own.accept()[0].recv(1)
"""
    before = "own = socket.create_server(('127.0.0.1', 0))\nopen('port', 'w').write(str(own.getsockname()[1]))"
    with socket.create_server(("127.0.0.1", 0)) as internet, socket.socket(socket.AF_UNIX) as local:
        local.bind(str(tmp_path / "local"))
        local.listen()
        port = internet.getsockname()[1]
        script = Script(code, tmp_path, port, tmp_path / "local", before=before)
        async with slow_session(script) as session:
            for server in (internet, local):
                server.settimeout(20)
                with server.accept()[0] as given:
                    await script.inside("recvfrom")
                    given.send(b"x")
            with socket.create_connection(("127.0.0.1", int((tmp_path / "port").read_text()))) as caller:
                caller_port = caller.getsockname()[1]
                await script.inside("recvfrom")
                caller.send(b"x")
            script.go()
            slow = told(await session.result())
    found = {call.peer: call.kind for call in slow.calls if call.name == "recvfrom"}
    assert found == {
        f"tcp 127.0.0.1:{port}": "socket",
        f"unix {tmp_path / 'local'}": "socket",
        f"tcp 127.0.0.1:{caller_port}": "accepted",
    }


async def test_what_was_open_before_and_has_lost_its_name(tmp_path: Path) -> None:
    path = fifo(tmp_path / "fifo")
    script = Script("os.read(fd, 1)", tmp_path, before=f"fd = os.open({str(path)!r}, os.O_RDWR)")
    await auntil(lambda: str(path) in proc.fds(script.pid).values(), 20)
    writer = os.open(path, os.O_WRONLY)
    path.unlink()
    async with slow_session(script) as session:
        await script.inside("read", Path(f"{path} (deleted)"))
        os.write(writer, b"x")
        script.go()
        slow = told(await session.result())
    os.close(writer)
    assert [call.path for call in about(slow, tmp_path) if call.name == "read"] == [f"{path} (deleted)"]


async def test_waits_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    for with_waits in (False, True):
        script = Script("__import__('time').sleep(0.03)", tmp_path)
        async with slow_session(script, replace(OPTIONS, slow_waits=with_waits)) as session:
            script.go()
            slow = told(await session.result())
        names = [call.name for call in slow.calls]
        assert (slow.waits, names.count("clock_nanosleep")) == ((0, 1) if with_waits else (1, 0))


async def test_one_that_is_killed_in_it(tmp_path: Path) -> None:
    path = fifo(tmp_path / "fifo")
    script = Script(READ_ONE, tmp_path, path)
    async with slow_session(script) as session:
        await script.inside("read", path)
        script.process.kill()
        slow = (await session.result()).slow
    assert slow is not None
    reads = [call for call in about(slow, tmp_path) if call.name == "read"]
    assert [(call.path, call.inside, call.result) for call in reads] == [(str(path), True, None)]


async def test_an_interrupted_one(tmp_path: Path) -> None:
    path = fifo(tmp_path / "fifo")
    before = "import signal\nsignal.signal(signal.SIGUSR1, lambda *_: None)"
    script = Script(READ_ONE, tmp_path, path, before=before)
    async with slow_session(script) as session, session.slow_calls() as stream:
        await script.inside("read", path)
        os.kill(script.pid, signal.SIGUSR1)
        async for call in stream:
            if call.errno == "EINTR":
                break
        await script.inside("read", path)
        give(path)
        script.go()
        slow = told(await session.result())
    reads = [call for call in about(slow, tmp_path) if call.name == "read"]
    assert [(call.errno, call.path) for call in reads] == [("EINTR", str(path)), (None, str(path))]


async def test_more_than_is_wanted_are_counted(tmp_path: Path) -> None:
    options = replace(OPTIONS, slower_ns=1, slow_rate=100)
    script = Script("for _ in range(20000): os.getppid()", tmp_path)
    async with slow_session(script, options) as session:
        script.go()
        summary = await session.result()
    slow = summary.slow
    assert slow is not None
    assert slow.seen >= 20000
    assert slow.untold > 0
    assert len(slow.calls) <= slow.seen - slow.untold - slow.lost
    assert slow.seen + slow.waits <= (summary.total.calls or 0)


async def test_a_session_without_a_limit_tells_none(tmp_path: Path) -> None:
    script = Script("", tmp_path)
    async with slow_session(script, replace(OPTIONS, slower_ns=None)) as session:
        script.go()
        assert (await session.result()).slow is None


async def test_where_the_kernel_refuses_details_a_service_counts_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(**options: Any) -> Engine:
        if options.get("details"):
            raise OSError(errno.EINVAL, "load: Invalid argument")
        return suited_engine(**options)

    monkeypatch.setattr(tracer, "suited_engine", refusing)
    script = Script("", tmp_path)
    made = tracer.EbpfTracer(details=True)
    try:
        session = await made.attach(procfs.target(script.pid), OPTIONS)
        assert (await session.read()).kind == "exact"
        assert (await session.detach()).slow is None
    finally:
        await made.close()
        script.close()
    asked = tracer.EbpfTracer()
    script = Script("", tmp_path)
    try:
        with pytest.raises(TracerUnavailable):
            await asked.attach(procfs.target(script.pid), OPTIONS)
    finally:
        await asked.close()
        script.close()

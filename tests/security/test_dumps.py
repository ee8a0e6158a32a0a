"""A dump of the service's flight recorder has what its user may see, and no more.

Of `service/flight_rights.py`, `service/api/taken_dump.py` and `tracers/ebpf/flight_choice.py`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from straced.config.schema import Ipc
from straced.errors import NoSuchProcess, NotPermitted, StracedError
from straced.ipc import messages
from straced.ipc.protocol import TooMuch
from straced.linux import procfs
from straced.linux.credentials import Peer
from straced.records.reader import RecordFile
from straced.records.values import BlobKind, RecordKind
from straced.service import flight_rights
from straced.tracers.ebpf.flight_choice import DumpWindow
from tests.security.rights import build, started, strong
from tests.service.daemon import Daemon, serving
from tests.service.needs import needs_root
from tests.service.processes import READY, end, folder_of_nobody, running
from tests.support import proc
from tests.support.cli import Result, straced
from tests.support.owner import NOBODY
from tests.support.poll import auntil

pytestmark = [needs_root, pytest.mark.needs("ebpf")]
RECORD = '[record]\nenabled = true\nring = "1MiB"\n'
WATCH = '[[watch]]\ntarget = "{}"\n'
DROPS = """
import os, sys
print("ready", flush=True)
sys.stdin.readline()
os.access("/secret-of-root", 0)
if os.fork() == 0:
    os.access("/secret-of-the-child", 0)
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
    os.access("/secret-of-the-setuid", 0)
    os.execv(sys.argv[1], [sys.argv[1], "mine", "5", "say", "dropped"])
os.wait()
"""
"""A daemon of root's that starts a program as a user."""


def dump(daemon: Daemon, pid: int, path: Path) -> Result:
    """Ask as another user."""
    words = ("dump", pid, "-o", path, "--overwrite")
    return straced(*words, prefix=NOBODY, env={"STRACED_SOCKET": str(daemon.socket)}, seconds=60)


async def recorded(daemon: Daemon, pid: int, path: Path) -> RecordFile:
    """What root has of a process, once it is recorded."""
    async with daemon.client() as client:

        async def taken() -> bool:
            try:
                await client.dump(pid, path, overwrite=True)
            except NoSuchProcess:
                raise
            except StracedError:
                return False
            return True

        await auntil(taken, 60, "it is recorded")
    return RecordFile(path)


def names_in(path: Path) -> set[str]:
    """Calls, and paths they were given."""
    found = {each.label for each in RecordFile(path) if each.kind is RecordKind.CALL}
    return found | {
        blob.data.decode() for each in RecordFile(path) for blob in each.blobs.values() if blob.kind is BlobKind.PATH
    }


def go_on(process: subprocess.Popen[str]) -> str:
    """Let a program go on; returns what it says then."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


@contextmanager
def dropping(program: Path) -> Iterator[subprocess.Popen[str]]:
    argv = ["/usr/bin/python3", "-S", "-c", DROPS, str(program)]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "ready"
        yield process
    finally:
        end(process)


@pytest.mark.needs("cc", "setpriv")
async def test_what_a_program_did_with_more_rights_is_roots(public: Path) -> None:
    """A user's program runs one with more rights, which drops them, and runs a plain one again."""
    plain = build(public)
    mine, everything = folder_of_nobody(public) / "t.strc", public / "t.strc"
    words = ("say", "ready", "mine", 21, "say", "made", "exec", strong(plain, "set-user-ID"), "theirs", 7)
    words = (*words, "say", "strong", "drop", "theirs", 5, "exec", plain, "theirs", 5, "say", "again")
    with started(plain, *words) as process, serving(public, RECORD + WATCH.format(process.pid)) as daemon:
        await recorded(daemon, process.pid, everything)
        assert go_on(process) == "made"
        done = dump(daemon, process.pid, mine)
        assert done.status == 0, done.err
        assert (mine.stat().st_uid, mine.stat().st_mode & 0o777) == (65534, 0o600)
        assert "getppid" in names_in(mine)
        assert [each.pid for each in RecordFile(mine).facts.processes] == [process.pid]
        assert "no sums" in RecordFile(mine).troubles()[0]
        mine.unlink()
        assert go_on(process) == "strong"
        done = dump(daemon, process.pid, mine)
        assert (done.status, mine.exists()) == (NotPermitted.exit_code, False)
        assert f"process {process.pid} is not yours to see" in done.err
        assert go_on(process) == "again"
        done = dump(daemon, process.pid, mine)
        assert not mine.exists() or not names_in(mine) & {"umask", "getppid"}
        await recorded(daemon, process.pid, everything)
        assert {"umask", "getppid"} <= names_in(everything)


@pytest.mark.needs("cc")
async def test_a_signal_has_all_of_it_written_down_and_the_status_tells(public: Path) -> None:
    with (
        dropping(build(public)) as process,
        serving(public, RECORD + WATCH.format(process.pid)) as daemon,
    ):
        await recorded(daemon, process.pid, public / "t.strc")
        async with daemon.client() as client:
            status = await client.status()
            assert status.records == "on"
            assert status.records_bytes is not None
            assert status.records_bytes % (1 << 20) == 0
            os.kill(daemon.process.pid, signal.SIGUSR1)

            async def taken() -> bool:
                return any(each.kind == "dump_taken" for each in await client.events(messages.Select()))

            await auntil(taken, 60, "it is dumped")
        told = straced("status", env={"STRACED_SOCKET": str(daemon.socket)})
        assert "\nrecords    on, the last calls in " in told.out
        (path,) = (daemon.state / "dumps").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    file = RecordFile(path)
    assert file.end is not None
    assert file.end.reason == "signal"
    assert process.pid in [each.pid for each in file.facts.processes]


@pytest.mark.needs("cc")
async def test_what_a_process_did_before_it_was_theirs_is_roots(public: Path) -> None:
    plain = build(public)
    mine, everything = folder_of_nobody(public) / "t.strc", public / "t.strc"
    with dropping(plain) as daemon_of_root, serving(public, RECORD + WATCH.format(daemon_of_root.pid)) as daemon:
        await recorded(daemon, daemon_of_root.pid, everything)
        done = dump(daemon, daemon_of_root.pid, mine)
        assert (done.status, mine.exists()) == (NotPermitted.exit_code, False)
        assert go_on(daemon_of_root) == "dropped"
        (child,) = procfs.children(daemon_of_root.pid)
        done = dump(daemon, child, mine)
        assert done.status == 0, done.err
        found = names_in(mine)
        assert "getppid" in found
        assert not [name for name in found if "secret" in name]
        assert {each.pid for each in RecordFile(mine)} == {child}
        await recorded(daemon, daemon_of_root.pid, everything)
        everybody = names_in(everything)
        assert {"/secret-of-root", "/secret-of-the-child", "/secret-of-the-setuid", "getppid"} <= everybody


async def test_dumps_that_nobody_reads_are_bounded(public: Path) -> None:
    """Each counts as a session until it was read; nothing of it has a name, or stays."""
    with running(READY + "sys.stdin.read()") as target, serving(public, RECORD + WATCH.format(target.pid)) as daemon:
        await recorded(daemon, target.pid, public / "t.strc")
        async with daemon.client() as client:
            params = messages.DumpParams(pid=target.pid)
            for _ in range(Ipc().max_sessions_per_user):
                await client.request("dump", params, messages.DumpTaken)
            with pytest.raises(TooMuch):
                await client.request("dump", params, messages.DumpTaken)
            assert not list((daemon.state / "dumps").iterdir())
        assert daemon.process is not None
        served = daemon.process.pid

        def open_dumps() -> int:
            return sum(str(daemon.state / "dumps") in link for link in proc.fds(served).values())

        await auntil(lambda: not open_dumps(), 30, "they are gone with the connection")


def test_a_number_that_another_had_before_tells_nothing_of_it() -> None:
    """Records from before the process began, before its execve, and before something was lost."""
    me, now = os.getpid(), time.monotonic_ns()
    peer = Peer(me, os.getuid(), os.getgid())
    callers: dict[int, tuple[int, int] | None] = {me: (peer.uid, peer.gid)}
    since = flight_rights._since
    assert since(peer, me, DumpWindow({me: now + 5}, {me: now + 4}, {}, callers)) == now + 5
    assert since(peer, me, DumpWindow({}, {me: now + 7}, {}, callers)) == now + 7
    assert since(peer, me, DumpWindow({}, {}, {}, callers, now + 9)) == now + 9
    assert 0 < (since(peer, me, DumpWindow({}, {}, {}, callers)) or 0) < now
    assert since(Peer(1, 65533, 65533), me, DumpWindow({}, {}, {}, callers)) is None
    assert since(peer, me, DumpWindow({}, {}, {}, {me: None})) is None
    assert since(peer, me, DumpWindow({}, {}, {})) is None

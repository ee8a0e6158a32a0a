"""A process stops to be its user's at the execve that changes its rights, and no count after it is told to them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from straced.ipc.messages import Select
from straced.linux import procfs
from tests.security import rights
from tests.security.rights import KINDS, PLAIN, USER, asking, children, go_on, heard, started, strong, told
from tests.service.daemon import Daemon, serving
from tests.service.needs import needs_ebpf, needs_root
from tests.service.processes import public_folder

pytestmark = [needs_root, needs_ebpf]


@pytest.fixture(scope="module")
def plain() -> Iterator[Path]:
    """The workload, where another user can run it."""
    with public_folder() as folder:
        yield rights.build(folder)


@pytest.fixture
def daemon(world: None) -> Iterator[Daemon]:
    """A service that watches the workload, and has a history of nothing else."""
    with public_folder() as folder, serving(folder, f'[[watch]]\ntarget = "name:{PLAIN}"\n') as made:
        yield made


def tree(plain: Path, more: Path) -> tuple[object, ...]:
    """A user's process with children of all sorts: 100 + 20 * 7 + 10 + 50 * 3 calls are theirs, 50 * 11 are not."""
    return (
        *("say", "ready", "mine", 100),
        *children("exec", plain, "mine", 7, times=20),
        *children("mine", 3, "exec", more, "theirs", 11, times=50),
        *("mine", 10, "say", "done"),
    )


OWN = 100 + 20 * 7 + 10 + 50 * 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_session_counts_nothing_after_the_execve(daemon: Daemon, plain: Path, kind: str) -> None:
    words = tree(plain, strong(plain, kind))
    with started(plain, *words) as process, asking(daemon, rights.SESSION, process.pid) as client:
        go_on(process)
        assert heard(process) == "done"
        found = told(client)
    assert "refused" not in found
    assert "umask" not in found["live"] | found["summary"] | found["result"] | found["snapshots"]
    assert found["summary"]["getppid"] == found["result"]["getppid"] == OWN
    assert found["reasons"] == ["changed_user"]


@pytest.mark.parametrize("kind", KINDS)
async def test_history_tells_it_to_root_alone(daemon: Daemon, plain: Path, kind: str) -> None:
    with started(plain, *tree(plain, strong(plain, kind))) as process:
        await counted(daemon, process.pid)
        with asking(daemon, rights.HISTORY, process.pid) as client:
            go_on(process)
            assert heard(process) == "done"
            await until_history_has(daemon, {"umask": 50 * 11, "getppid": OWN})
            found = told(client)
    assert "umask" not in found["history"] | found["all"] | found["snapshots"]
    assert found["history"]["getppid"] == found["snapshots"]["getppid"] == OWN
    assert "others" not in found
    assert not [text for text in found["events"] if plain.with_name(kind.replace(" ", "-")).name[:15] in text]


async def test_what_drops_its_rights_again_stays_hidden(daemon: Daemon, plain: Path) -> None:
    """Also where it then execs a plain program: the process was somebody else's, and that is not forgotten."""
    more = strong(plain, "set-user-ID")
    dropped = ("exec", more, "theirs", 55, "drop", "theirs", 55, "say", "dropped", "theirs", 55)
    words = ("say", "ready", "mine", 9, *children(*dropped, "exec", plain, "theirs", 55, "say", "again", "theirs", 55))
    with started(plain, *words, "mine", 4, "say", "done") as process:
        await counted(daemon, process.pid)
        with (
            asking(daemon, rights.SESSION, process.pid) as session,
            asking(daemon, rights.HISTORY, process.pid) as client,
        ):
            go_on(process)
            assert heard(process) == "dropped"
            await ticks(daemon, 3)
            go_on(process)
            assert heard(process) == "again"
            await ticks(daemon, 3)
            go_on(process)
            assert heard(process) == "done"
            await until_history_has(daemon, {"umask": 5 * 55, "getppid": 13})
            mine, past = told(session), told(client)
    assert "umask" not in mine["live"] | mine["summary"] | mine["result"] | mine["snapshots"]
    assert "umask" not in past["history"] | past["all"] | past["snapshots"]
    assert mine["result"]["getppid"] == past["history"]["getppid"] == 13


async def test_what_runs_already_when_it_begins(plain: Path) -> None:
    """A program with more rights among the descendants of a process that is attached to."""
    strongs = children("exec", strong(plain, "set-user-ID"), "drop", "say", "strong", "theirs", 55)
    with started(plain, "say", "ready", *strongs, "mine", 31, "say", "done") as process:
        go_on(process)
        assert heard(process) == "strong"
        with public_folder() as folder, serving(folder, f'[[watch]]\ntarget = "name:{PLAIN}"\n') as daemon:
            await counted(daemon, process.pid)
            with (
                asking(daemon, rights.SESSION, process.pid) as session,
                asking(daemon, rights.HISTORY, process.pid) as client,
            ):
                go_on(process)
                assert heard(process) == "done"
                await until_history_has(daemon, {"umask": 55, "getppid": 31})
                mine, past = told(session), told(client)
    assert "umask" not in mine["live"] | mine["summary"] | mine["result"] | mine["snapshots"]
    assert "umask" not in past["history"] | past["all"] | past["snapshots"]
    assert mine["result"]["getppid"] == past["history"]["getppid"] == 31


async def test_the_target_itself(daemon: Daemon, plain: Path) -> None:
    """What it did before is told, if it is still there to be asked for; what it did then is not, nor how it ended."""
    more = strong(plain, "set-user-ID")
    words = ("say", "ready", "mine", 21, "say", "made", "exec", more, "theirs", 777, "drop", "theirs", 55)
    with started(plain, *words, "exec", plain, "theirs", 5, "say", "plain", "theirs", 5) as process:
        await counted(daemon, process.pid)
        with (
            asking(daemon, rights.SESSION, process.pid) as session,
            asking(daemon, rights.HISTORY, process.pid) as client,
        ):
            go_on(process)
            assert heard(process) == "made"
            await ticks(daemon, 2)
            go_on(process)
            assert heard(process) == "plain"
            await ticks(daemon, 3)
            go_on(process)
            process.wait()
            await until_history_has(daemon, {"umask": 777 + 55 + 10, "getppid": 21})
            mine, past = told(session), told(client)
    assert "umask" not in mine["live"] | mine.get("summary", {}) | mine.get("result", {}) | mine["snapshots"]
    assert "umask" not in past["history"] | past["all"] | past["snapshots"]
    assert past["history"]["getppid"] == 21
    if "refused" in mine:  # it was looked at while it was somebody else's
        assert mine["refused"] == "uid"
    else:
        assert (mine["result"]["getppid"], mine["end"], mine["exit_status"]) == (21, "changed_user", None)


async def test_a_daemon_of_roots_that_drops_is_not_the_users(daemon: Daemon, plain: Path) -> None:
    """Until it execs a program as the user: that is theirs, and nothing of what it did before."""
    dropped = ("theirs", 5, "become", USER, "dumpable", "theirs", 55, "say", "dropped", "theirs", 55)
    own = ("exec", plain, "mine", 7, "say", "own", "mine", 8)
    with started(plain, "say", "ready", *children(*dropped, *own), prefix=()) as process:
        await counted(daemon, process.pid)
        go_on(process)
        assert heard(process) == "dropped"
        (child,) = procfs.descendants(process.pid)
        with asking(daemon, rights.HISTORY, child) as client:
            await ticks(daemon, 4)
            with pytest.raises(AssertionError), asking(daemon, rights.SESSION, child):
                pass
            go_on(process)
            assert heard(process) == "own"
            await ticks(daemon, 4)
            with asking(daemon, rights.SESSION, child) as session:
                go_on(process)
                process.wait()
                mine = told(session)
            found = told(client)
    assert mine["result"]["getppid"] == 8
    assert "umask" not in found.get("history", {}) | found.get("all", {}) | found.get("snapshots", {})


async def ticks(daemon: Daemon, count: int) -> None:
    """Wait until the service has made some more ticks."""
    async with daemon.client() as client:
        last = (await client.status()).ticks + count
        while (await client.status()).ticks < last:
            await asyncio.sleep(0.02)


async def counted(daemon: Daemon, pid: int) -> None:
    """Wait until the service counts a process."""
    async with daemon.client() as client:
        while True:
            tick = await client.snapshot()
            if any(each.facts.pid == pid and each.calls is not None for each in (tick.processes if tick else ())):
                return
            await asyncio.sleep(0.02)


async def until_history_has(daemon: Daemon, wanted: dict[str, int]) -> None:
    """Wait until root's history has these calls, exactly."""
    deadline = time.monotonic() + 40
    found: dict[str, int | None] = {}
    async with daemon.client() as client:
        while found != wanted:
            assert time.monotonic() < deadline, found
            rows = (await client.history(Select())).rows
            found = {row.name: row.calls for row in rows if row.name in wanted}
            await asyncio.sleep(0.05)

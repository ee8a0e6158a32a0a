"""Slow calls of watched processes: which are told, of whom, and how many.

Of `service/collect/slow_calls.py` and `service/collect/idle_calls.py`.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from straced.config.schema import Nanoseconds, SlowConfig
from straced.ipc.messages import Select
from straced.model.owner import NOBODY, Owner
from straced.model.slow import SlowSyscall
from straced.service.collect.counted_tree import CountedTree
from straced.service.collect.idle_calls import IdlePlaces
from straced.service.collect.slow_calls import SlowCallWatch
from straced.service.collect.watchlist import Watched
from tests.model.test_slow import call
from tests.service.daemon import serving
from tests.service.needs import needs_ebpf
from tests.service.processes import READY, running
from tests.support.cli import straced
from tests.support.poll import auntil

S = 10**9
USER = Owner(1000, 1000, private=False)


def idle(begun_ns: int | None = 0) -> IdlePlaces:
    return IdlePlaces(lambda pid, tid: begun_ns)


def read(start_s: float, took_s: float, kind: str = "socket", **about: Any) -> SlowSyscall:
    return call(int(start_s * S), int(took_s * S), kind=kind, peer="tcp 10.0.0.7:80", **{"name": "recvfrom", **about})


@pytest.mark.parametrize("kind", ["pipe", "terminal", "anonymous", "accepted", "pair"])
def test_reading_where_work_comes_from_is_rest(kind: str) -> None:
    assert idle().rests(read(1000, 0.3, kind), 0)
    assert not idle().rests(read(1000, 0.3, kind, name="write"), 0)


def test_a_slow_peer_is_none() -> None:
    places = idle()
    assert not places.rests(read(100, 0.3), 0)
    assert not places.rests(read(110, 0.3), 0)
    assert not places.rests(call(100 * S, 90 * S, name="fsync", kind="file"), 0)
    assert not places.rests(call(100 * S, 90 * S, name="read", kind="file"), 0)


def test_where_a_thread_spends_half_of_its_life_it_rests() -> None:
    assert idle().rests(read(1, 60), 0)
    assert idle().rests(read(1000, 60), 950 * S)
    assert idle(begun_ns=950 * S).rests(read(1000, 60), 0)
    assert not idle().rests(read(1000, 60), 0)
    places = idle()
    found = [places.rests(read(start, 9), 0) for start in range(10, 100, 10)]
    assert found[-1]
    assert places.rests(replace(read(100, 0.2), inside=True), 0), "what is inside may be rest still"


class Told:
    """A session that tells what a test makes up."""

    def __init__(self) -> None:
        self.hear: Callable[[SlowSyscall], None] = lambda call: None
        self.limit_ns = 0

    def slow_calls(self) -> Any:
        raise NotImplementedError

    def tell_slow(self, hear: Callable[[SlowSyscall], None]) -> None:
        self.hear = hear

    def limit_slow(self, slower_ns: int) -> None:
        self.limit_ns = slower_ns


def watch(config: SlowConfig, known: Owner | None = USER) -> tuple[SlowCallWatch, Told, CountedTree]:
    watched = Watched(pid=7, start_ticks=70, labels={"job": "x"}, root=(7, 70))
    found = None if known is None else (watched, "postgres", known)
    made, told = SlowCallWatch(config, lambda pid: found, idle()), Told()
    tree = CountedTree(told, watched)  # type: ignore[arg-type]
    made.follow(tree)
    return made, told, tree


FSYNC = call(100 * S, 480_000_000, name="fsync", kind="file", path="/home/alice/wal", call="fsync(4</home/alice/wal>)")


def test_an_event_tells_all_of_it() -> None:
    made, told, _ = watch(SlowConfig())
    told.hear(FSYNC)
    told.hear(replace(FSYNC, inside=True, name="openat", duration_ns=3 * S))
    told.hear(read(1, 60))
    first, second = made.happened(time.time())
    assert made.rested == 1
    assert (first.kind, first.text) == ("slow_call", "7 (postgres) fsync took 480 ms: /home/***/wal")
    assert (first.pid, first.start_ticks, first.comm, first.owner) == (7, 70, "postgres", USER)
    assert (first.data["duration_ns"], first.data["path"]) == (480_000_000, "/home/***/wal")
    assert first.data["text"] == "fsync(4</home/***/wal>)"
    assert second.text == "7 (postgres) is in openat for 3.0 s: /home/***/wal"
    assert made.happened(time.time()) == []


def test_so_many_a_minute_and_the_rest_is_counted() -> None:
    made, told, _ = watch(SlowConfig(per_minute=3))
    for _ in range(10):
        told.hear(FSYNC)
    assert [each.kind for each in made.happened(time.time())] == ["slow_call"] * 3
    (rest,) = made.happened(time.time() + 61)
    assert (rest.kind, rest.data, rest.owner) == ("slow_calls", {"count": 7}, USER)


def test_whose_it_is() -> None:
    made, told, tree = watch(SlowConfig(), None)
    told.hear(FSYNC)
    tree.is_heir = True
    made_, told_, tree_ = watch(SlowConfig())
    tree_.is_heir = True
    told_.hear(FSYNC)
    assert [each.owner for each in [*made.happened(0.0), *made_.happened(0.0)]] == [NOBODY, NOBODY]


def test_another_limit() -> None:
    made, told, tree = watch(SlowConfig())
    made.configure(SlowConfig(limit=Nanoseconds(S)))
    assert (told.limit_ns, made.limit_ns) == (S, S)
    made.configure(SlowConfig(enabled=False))
    assert (told.limit_ns, made.limit_ns) == (0, None)
    made.forget(tree)
    made.configure(SlowConfig())
    assert told.limit_ns == 0


FILLS = (
    READY
    + """
fd = os.open({path!r}, os.O_RDWR)
while True:
    sys.stdin.readline()
    os.write(fd, b"x" * 65536)
    print("done", flush=True)
"""
)


@pytest.fixture
def full(tmp_path: Path) -> Iterator[int]:
    """A FIFO that has no room."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    with path.open("rb+", buffering=0) as file:
        file.write(b"x" * fcntl.fcntl(file, fcntl.F_GETPIPE_SZ))
        yield file.fileno()


@needs_ebpf
async def test_a_service_tells_them(tmp_path: Path, full: int) -> None:
    """A writer into a full FIFO, while it is inside and afterwards; and not its reads of standard input."""
    path = tmp_path / "fifo"
    with (
        serving(tmp_path, '[slow]\nlimit = "20ms"\n[alerts]\nslow_calls = 1\n') as daemon,
        running(FILLS.format(path=str(path))) as job,
    ):
        async with daemon.client() as client:
            await client.watch(str(job.pid))
            await auntil(lambda: _is_counted(client, job.pid), 30)
            assert job.stdin is not None
            job.stdin.write("\n")
            job.stdin.flush()
            about = {"path": str(path), "call": "write"}
            await auntil(lambda: _told(client, inside=True, **about), 30, "the call is told while it is inside")
            await asyncio.to_thread(os.read, full, 65536)
            (event,) = await auntil(lambda: _told(client, inside=False, **about), 30, "and when it has returned")
            assert event.data["result"] == 65536
            assert event.data["duration_ns"] >= 20_000_000
            reads = [each.data["path"] or "" for each in await _told(client, call="read")]
            assert not any(name.startswith("pipe:") for name in reads), "where it waits for a line it rests"
            await auntil(lambda: _alert(client), 30, "an alert")
        shown = straced("events", "--slow", env={"STRACED_SOCKET": str(daemon.socket)})
        assert "write took" in shown.out
        assert str(path) in shown.out


async def _is_counted(client: Any, pid: int) -> bool:
    snapshot = await client.snapshot()
    return snapshot is not None and any(each.facts.pid == pid and each.calls is not None for each in snapshot.processes)


async def _told(client: Any, **wanted: Any) -> list[Any]:
    events = [each for each in await client.events(Select(limit=1000)) if each.kind == "slow_call"]
    return [each for each in events if all(each.data[key] == value for key, value in wanted.items())]


async def _alert(client: Any) -> bool:
    return any(each.kind == "slow_calls" for each in await client.alerts(Select()))

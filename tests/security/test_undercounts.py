"""Nobody's figures are wrong, or gone, for what another one does, unless it is said there."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from straced.config import schema
from straced.config.schema import Alerts, OnAlert
from straced.ipc.messages import Select
from straced.linux import procfs
from straced.linux.credentials import Peer
from straced.model.alerts import AlertRow
from straced.model.owner import Owner
from straced.model.tick import ServiceEvent
from straced.profiling.profiler import Profiler
from straced.service.alerts.reactions import Reactions
from straced.service.alerts.tracker import AlertBook
from straced.service.metrics.openmetrics import Totals
from straced.store import events
from straced.store.history import MAX_SERIES, History
from straced.store.writer import HistoryWriter
from straced.tracers.base import AttachOptions
from straced.tracers.ebpf import EbpfTracer
from tests.security.intruder import process as intruder
from tests.security.intruder import snapshot
from tests.service.daemon import serving
from tests.service.needs import needs_ebpf, needs_root
from tests.service.processes import READY, public_folder, running
from tests.service.samples import ME, NOON, calls, process, tick
from tests.support.poll import until
from tests.tracers.ebpf.counts import row

THEIRS = Owner(65534, 65534, False)
MINE = Owner(1000, 1000, False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return folder / "history.db"


@pytest.fixture
def store(path: Path) -> Iterator[HistoryWriter]:
    made = HistoryWriter(path, schema.StoreConfig())
    made.start()
    yield made
    made.close()


def told(path: Path, pid: int, peer: Peer | None = None) -> tuple[int | None, int | None]:
    """Calls of a process, and what is lost of them."""
    history = History(path, peer)
    try:
        answer = history.answer(history.find(pid=pid), 0)
        return answer.total.calls, answer.lost
    finally:
        history.close()


# --- history ---


NAMES = """
import os, subprocess, sys
print("ready", flush=True)
sys.stdin.readline()
for _ in range(8):
    names = [f"{sys.argv[1]}/p{_}-{number}" for number in range(120)]
    running = [subprocess.Popen([name, "0.5"]) for name in names]
    for each in running:
        each.wait()
print("done", flush=True)
sys.stdin.readline()
"""
CALLING = READY + (
    "import os\nfor _ in range(30):\n    sys.stdin.readline()\n    for _ in range(100): os.getppid()\n"
    "    print('made', flush=True)\nsys.stdin.readline()\n"
)


@needs_root
@needs_ebpf
@pytest.mark.limit(180)
async def test_a_flood_of_names_takes_nothing_from_others() -> None:
    """A thousand programs of one user, each with calls that were never seen: root's process is told in full."""
    with (
        public_folder() as folder,
        serving(folder, '[[watch]]\ntarget = "user:65534"\n') as daemon,
        running(CALLING) as mine,
    ):
        shutil.copy("/bin/sleep", folder / "sleep")
        for number in range(8 * 120):
            os.link(folder / "sleep", folder / f"p{number // 120}-{number % 120}")
        async with daemon.client() as root:
            await root.watch(str(mine.pid))
            with intruder(NAMES, str(folder)) as flood:
                await snapshot(root, mine.pid, flood.pid)
                assert flood.stdin is not None
                assert flood.stdout is not None
                assert mine.stdin is not None
                assert mine.stdout is not None
                flood.stdin.write("\n")
                flood.stdin.flush()
                for _ in range(30):
                    mine.stdin.write("\n")
                    mine.stdin.flush()
                    assert await asyncio.to_thread(mine.stdout.readline) == "made\n"
                    await asyncio.sleep(0.15)
                assert await asyncio.to_thread(flood.stdout.readline) == "done\n"
            deadline = time.monotonic() + 30
            calls_made = 0
            while calls_made < 3000 and time.monotonic() < deadline:
                answer = await root.history(Select(pid=mine.pid))
                calls_made = next((row.calls or 0 for row in answer.rows if row.name == "getppid"), 0)
                if answer.lost:
                    break
                await asyncio.sleep(0.2)
            assert calls_made == 3000 or answer.lost
            assert (await root.status()).history_dropped == 0


def test_what_does_not_fit_is_lost_of_those_who_made_it_and_said_there(path: Path, store: HistoryWriter) -> None:
    store.put(tick(NOON, process(1, made=(calls("read", 10),)), process(2, owner=THEIRS, made=(calls("read", 1),))))
    assert store.flush()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin immediate")
    made = 0
    for second in range(1, 60):
        many = tuple(
            process(pid, owner=THEIRS, made=tuple(calls(f"c{i}", 1) for i in range(20))) for pid in range(2, 600)
        )
        store.put(tick(NOON + second, process(1, made=(calls("read", 10),)), *many))
        made += 20
    assert store.dropped > 0
    other.execute("rollback")
    other.close()
    until(lambda: store.flush(5), 60)
    store.put(tick(NOON + 60, process(1, made=(calls("read", 10),)), process(2, owner=THEIRS, made=())))
    assert store.flush()
    assert told(path, 1) == (610, 0)
    counted, lost = told(path, 2)
    assert counted is not None
    assert lost is not None
    assert counted < made
    assert counted + lost == made + 1
    history = History(path)
    assert "history_dropped" in {event.kind for event in events.events(history)}
    history.close()


def test_the_newest_rows_are_those_of_the_one_who_asks(path: Path, store: HistoryWriter) -> None:
    store.put(tick(NOON, process(1, owner=MINE, made=(calls("read", 7),))))
    for start in range(0, MAX_SERIES + 500, 1000):
        many = (process(pid, owner=THEIRS, made=()) for pid in range(10 + start, 1010 + start))
        store.put(tick(NOON + 61 + start, *many))
    for number in range(500):
        store.put(ServiceEvent(epoch_s=NOON + 7000, kind="started", text=f"{number}", owner=THEIRS))
    store.put(ServiceEvent(epoch_s=NOON, kind="started", text="mine", pid=1, owner=MINE))
    assert store.flush(60)
    assert told(path, 1, Peer(1, 1000, 1000)) == (7, 0)
    history = History(path, Peer(1, 1000, 1000))
    assert [info.pid for info in history.find()] == [1]
    assert [event.text for event in events.events(history) if event.kind == "started"] == ["mine"]
    history.close()
    everybody = History(path)
    answer = everybody.answer(everybody.find(), 0)
    assert answer.lost is None  # more processes than are added up: that something is missing is said
    everybody.close()


def test_the_size_is_kept_at_the_cost_of_who_fills_it(path: Path) -> None:
    """Command lines by the thousand fill a table that nothing else would empty."""
    store = HistoryWriter(path, schema.StoreConfig(max_bytes=schema.Bytes(2_000_000)))
    store.start()
    for minute in range(90):
        line = ("\\x1b" * 900,)
        flood = [process(1000 + minute * 20 + n, owner=THEIRS, made=(), cmdline=line) for n in range(20)]
        store.put(tick(NOON + minute * 60, process(1, owner=MINE, made=(calls("read", 3),)), *flood))
        for each in flood:
            facts = each.facts
            event = ServiceEvent(
                epoch_s=NOON + minute * 60, kind="ended", pid=facts.pid, start_ticks=facts.start_ticks, owner=THEIRS
            )
            store.put(event)
        assert store.flush()
    store.put(tick(NOON + 90 * 60, process(1, owner=MINE, made=(calls("read", 3),))))
    assert store.flush()
    assert told(path, 1, Peer(1, 1000, 1000)) == (91 * 3, 0)
    history = History(path)
    assert history.connection.execute("pragma page_count").fetchone()[0] * 4096 < 4_000_000
    cuts = [event for event in events.events(history, limit=5000) if event.kind == "history_cut"]
    assert cuts
    assert all("user 65534" in event.text for event in cuts)
    history.close()
    mine = History(path, Peer(1, 1000, 1000))
    assert not [event for event in events.events(mine, limit=5000) if event.kind == "history_cut"]
    mine.close()
    store.close()


# --- alerts and metrics ---


def test_novelty_is_learnt_for_each_user() -> None:
    book = AlertBook(Alerts())
    many = (process(pid, comm=f"p{pid}", owner=THEIRS, made=(calls("read"),)) for pid in range(10, 2110))
    book.judge(tick(NOON, *many))
    book.judge(tick(NOON + 1, process(1, comm="mine", made=(calls("read"),))))
    opened = book.judge(tick(NOON + 4000, process(1, comm="mine", made=(calls("ptrace"),))))
    assert [alert.kind for alert in opened] == ["new_syscall"]
    assert "ptrace" in opened[0].text
    late = process(9000, comm="one more of theirs", owner=THEIRS, made=(calls("mount"),))
    assert [alert.kind for alert in book.judge(tick(NOON + 8000, late)) if alert.closed_s is None] == ["new_syscall"]


def test_programs_of_one_user_leave_room_in_the_metrics() -> None:
    totals = Totals(100)
    flood = [process(pid, comm=f"p{pid}", owner=THEIRS, made=(calls("read"),)) for pid in range(10, 510)]
    totals.tick(tick(NOON, *flood))
    totals.tick(tick(NOON + 1, process(1, comm="mine", made=(calls("read", 7),), owner=ME)))
    text = totals.text()
    assert 'straced_syscalls_total{job="",program="mine",syscall="read"} 7\n' in text
    assert 'straced_syscalls_total{job="other",program="other",syscall="other"}' in text
    whole = [line for line in text.splitlines() if line.startswith("straced_syscalls_total")]
    assert sum(int(line.rpartition(" ")[2]) for line in whole) == 5007


async def test_forty_alerts_have_forty_commands_and_what_is_too_much_is_said(tmp_path: Path) -> None:
    told_of = tmp_path / "told"
    said: list[tuple[str, str]] = []
    command = ("/bin/sh", "-c", f"cat >> {told_of}")
    async with Profiler("sampler") as profiler:
        reactions = Reactions(
            OnAlert(command=command), tmp_path, profiler, lambda kind, text, **_: said.append((kind, text))
        )
        for number in range(40):
            reactions.opened(_alert(number, ME))
        deadline = time.monotonic() + 30
        while reactions.busy and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        assert len(told_of.read_text().splitlines()) == 40
        assert said == []
        for number in range(300):
            reactions.opened(_alert(number, THEIRS))
        reactions.opened(_alert(1000, ME))
        while f'"id":"{1000}"' not in told_of.read_text() and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        assert len(told_of.read_text().splitlines()) < 60  # it did not wait for all of theirs
        await reactions.close()
    assert {kind for kind, _text in said} == {"command_skipped"}


async def test_the_end_waits_for_no_command_at_whatever_moment_it_comes(tmp_path: Path) -> None:
    """asyncio may wait forever for a program whose start was cancelled and that has ended by then."""
    told_of = tmp_path / "told"
    command = ("/bin/sh", "-c", f"cat >> {told_of}")
    async with Profiler("sampler") as profiler:
        for turn in range(60):
            told_of.write_text("")
            reactions = Reactions(OnAlert(command=command), tmp_path, profiler, lambda *_, **__: None)
            for number in range(20):
                reactions.opened(_alert(number, ME))
            while len(told_of.read_text().splitlines()) <= turn % 12:
                await asyncio.sleep(0)
            async with asyncio.timeout(20):
                await reactions.close()
            assert not reactions.busy


def _alert(number: int, owner: Owner) -> AlertRow:
    return AlertRow(
        id=str(number), kind="cpu", subject=str(number), text="busy", opened_s=NOON, updated_s=NOON, owner=owner
    )


# --- eBPF ---

GREEDY = """
import ctypes, os, sys
syscall = ctypes.CDLL(None).syscall
go, stop = os.pipe(), os.pipe()
for _ in range(48):
    if os.fork() == 0:
        os.close(go[1]), os.close(stop[1])
        if os.read(go[0], 1):
            for number in range(1000, 1900):
                syscall(number)
            os.write(1, b"x")
            os.read(stop[0], 1)  # until the parent ends
        os._exit(0)
print("ready", flush=True)
sys.stdin.readline()
os.write(go[1], b"x" * 48)
sys.stdin.readline()
"""
MANY_CALLS = READY + (
    "import ctypes\nsyscall = ctypes.CDLL(None).syscall\nsys.stdin.readline()\n"
    "for number in range(2000, 2400): syscall(number)\nprint('made', flush=True)\nsys.stdin.readline()\n"
)


@needs_root
@needs_ebpf
@pytest.mark.parametrize("greedy_first", [True, False])
async def test_one_user_cannot_take_all_rows(greedy_first: bool) -> None:
    """48 processes with 900 different calls each: what is lost is theirs, and said there."""
    tracer = EbpfTracer(user_share=0.5)
    try:
        with intruder(GREEDY) as greedy, running(MANY_CALLS) as mine:
            theirs = await tracer.attach(procfs.target(greedy.pid), AttachOptions(follow=True))
            own = await tracer.attach(procfs.target(mine.pid), AttachOptions(follow=True))
            order = [greedy, mine] if greedy_first else [mine, greedy]
            for each in order:
                assert each.stdin is not None
                assert each.stdout is not None
                each.stdin.write("\n")
                each.stdin.flush()
                wanted = "x" * 48 if each is greedy else "made\n"
                assert await asyncio.to_thread(each.stdout.read, len(wanted)) == wanted
            found, lossy = await own.read(), await theirs.read()
            assert found.lost == 0
            assert sum(row(found, f"syscall_{number:#x}").calls or 0 for number in range(2000, 2400)) == 400
            assert lossy.lost is not None
            assert lossy.lost > 0
            counted = sum(each.calls or 0 for each in lossy.rows if each.name.startswith("syscall_0x"))
            assert counted + lossy.lost >= 48 * 900
    finally:
        await tracer.close()


@needs_root
@needs_ebpf
async def test_a_share_is_given_back() -> None:
    tracer = EbpfTracer(user_share=0.5)
    try:
        for _ in range(3):  # each takes all that the user may have
            with intruder(GREEDY) as greedy:
                theirs = await tracer.attach(procfs.target(greedy.pid), AttachOptions(follow=True))
                assert greedy.stdin is not None
                assert greedy.stdout is not None
                greedy.stdin.write("\n")
                greedy.stdin.flush()
                assert await asyncio.to_thread(greedy.stdout.read, 48) == "x" * 48
                final = await theirs.detach()
                counted = sum(each.calls or 0 for each in final.rows if each.name.startswith("syscall_0x"))
                assert counted > 14_000
            instance = tracer._instances[0]
            deadline = time.monotonic() + 30
            while not instance.is_idle and time.monotonic() < deadline:
                await asyncio.sleep(0.02)
            control = instance.engine.control
            assert (control.rows_of_users, control.owners_of_users) == (0, 0)
            assert sum(control.rows_used) == sum(control.owners_used) == 0
    finally:
        await tracer.close()

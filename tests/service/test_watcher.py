"""Ticks of real processes, counted by eBPF: each call once, however short its process lived.

Of `service/collect/attribution.py`, `service/collect/call_counter.py`, `service/collect/counted_calls.py` and
`service/collect/counted_tree.py`.
"""

from __future__ import annotations

import asyncio
import collections
import itertools
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from straced.concurrency import pacing
from straced.config import watch_rules
from straced.linux import procfs
from straced.model.tick import ServiceEvent, Tick
from straced.service.collect.collector import Watcher
from straced.service.collect.ticker import Cadence
from straced.tracers.ebpf import EbpfTracer
from tests.service.needs import needs_ebpf, needs_root
from tests.service.processes import READY, as_nobody, popen, running
from tests.support.owner import start_owner
from tests.support.poll import until
from tests.support.workload import Starter

GETPPID = "import ctypes\ngetppid = ctypes.CDLL(None).getppid\n"
GO = "sys.stdin.readline()\n"


class Gathered:
    """What a watcher said, added up."""

    def __init__(self, *texts: str, tracer: bool = True) -> None:
        self.watcher = Watcher(EbpfTracer() if tracer else None)
        self.watcher.set_rules([watch_rules.parse(text, {"job": "j"}) for text in texts])
        self.own: collections.Counter[tuple[int, str]] = collections.Counter()
        self.ended: collections.Counter[str] = collections.Counter()
        self.happened: list[ServiceEvent] = []
        self.last: Tick | None = None

    async def tick(self, look: bool = True) -> Tick:
        tick, happened = await self.watcher.tick(look=look)
        self.happened += happened
        for sample in tick.processes:
            for call in sample.calls or ():
                self.own[sample.facts.pid, call.name] += call.calls or 0
            for call in sample.ended:
                self.ended[call.name] += call.calls or 0
        self.last = tick
        return tick

    def total(self, name: str) -> int:
        return sum(count for (_pid, call), count in self.own.items() if call == name) + self.ended[name]


@pytest.fixture
async def gather() -> AsyncIterator[type[Gathered]]:
    made: list[Gathered] = []

    class Kept(Gathered):
        def __init__(self, *texts: str, tracer: bool = True) -> None:
            super().__init__(*texts, tracer=tracer)
            made.append(self)

    yield Kept
    for each in made:
        await each.watcher.close()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


@needs_ebpf
async def test_threads_forks_execs_and_the_short_lived(gather: type[Gathered]) -> None:
    code = (
        GETPPID
        + "import threading, subprocess\n"
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
    code = "import ctypes\\ng = ctypes.CDLL(None).getppid\\nfor _ in range(701): g()"
    os.execv(sys.executable, [sys.executable, "-S", "-c", code])
os.waitpid(pid, 0)
print("done", flush=True)
sys.stdin.readline()
"""
    )
    with running(code) as process:
        gathered = gather(str(process.pid))
        await gathered.tick()
        go(process)
        reader = asyncio.create_task(asyncio.to_thread(process.stdout.readline))  # type: ignore[union-attr]
        while not reader.done():
            await gathered.tick()
            await asyncio.sleep(0.02)
        await gathered.tick()
        assert gathered.total("getppid") == 7 * 1009 + 23 * 11 + 503 + 701
        assert gathered.own[process.pid, "getppid"] == 7 * 1009
        assert gathered.ended["getppid"] > 0
        go(process)
        await asyncio.to_thread(process.wait)
        last = await gathered.tick()
        assert gathered.total("exit_group") == 23 + 1 + 1
        assert [(e.kind, e.pid) for e in gathered.happened if e.pid == process.pid] == [
            ("started", process.pid),
            ("ended", process.pid),
        ]
        assert gathered.happened[-1].data["exit_status"] == 0
        assert gathered.happened[-1].labels == {"job": "j"}
        assert last.processes[0].facts.state == "X"
        assert (await gathered.tick()).processes == ()


@needs_ebpf
async def test_one_shorter_than_the_interval_is_counted(gather: type[Gathered]) -> None:
    """Nothing is looked at while the child lives: what it did stands at its tree."""
    code = GETPPID + READY + GO + "if os.fork() == 0:\n    [getppid() for _ in range(997)]; os._exit(0)\nos.wait()\n"
    with running(code + "print('done', flush=True)\nsys.stdin.readline()") as process:
        gathered = gather(str(process.pid))
        await gathered.tick()
        go(process)
        process.stdout.readline()  # type: ignore[union-attr]
        await gathered.tick()
        assert gathered.ended["getppid"] == 997
        assert gathered.own[process.pid, "getppid"] == 0


@needs_ebpf
async def test_what_it_is_in_now(gather: type[Gathered]) -> None:
    with running(READY + "sys.stdin.read()") as process:
        gathered = gather(str(process.pid))
        until(lambda: procfs.stat(process.pid).state == "S", 10)
        await gathered.tick()
        process.stdin.write("x")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
        until(lambda: procfs.stat(process.pid).state == "S", 10)
        for _ in range(100):
            sample = (await gathered.tick()).processes[0]
            if sample.in_flight:
                break
            await asyncio.sleep(0.02)
        assert sample.in_flight == {"read": 1}


async def test_without_a_tracer_facts_alone_and_null(gather: type[Gathered]) -> None:
    with running() as process:
        gathered = gather(str(process.pid), tracer=False)
        sample = (await gathered.tick()).processes[0]
        assert sample.calls is None
        assert sample.facts.rss_bytes > 0
        assert gathered.watcher.counting.serves is False


@needs_ebpf
async def test_a_killed_one_says_so_and_rules_may_change(gather: type[Gathered]) -> None:
    with running() as first, running() as second:
        gathered = gather(str(first.pid), str(second.pid))
        await gathered.tick()
        gathered.watcher.set_rules([watch_rules.parse(str(first.pid))])
        tick = await gathered.tick()
        assert [sample.facts.pid for sample in tick.processes if sample.facts.state != "X"] == [first.pid]
        first.kill()
        first.wait()
        await gathered.tick()
        ended = [event for event in gathered.happened if event.kind == "ended" and event.pid == first.pid]
        assert ended[0].data == {"why": "killed(9)", "exit_status": -9}
    assert gathered.watcher.counting.counted() == []


@needs_root
@needs_ebpf
async def test_a_setuid_exec_changes_the_owner(gather: type[Gathered], public: Path) -> None:
    """From the exec on, all that it does is root's to see."""
    copy = public / "sleep"
    shutil.copy("/bin/sleep", copy)
    copy.chmod(0o4755)
    code = READY + GO + f"os.execv({str(copy)!r}, ['sleep', '1000'])"
    argv = [*as_nobody(), "/usr/bin/python3", "-S", "-c", code]
    process = popen(argv)
    try:
        process.stdout.readline()  # type: ignore[union-attr]
        gathered = gather(str(process.pid))
        before = (await gathered.tick()).processes[0].owner
        assert (before.uid, before.private) == (65534, False)
        go(process)
        until(lambda: _sleeps(process.pid), 10, "the exec is over, and not its name alone is there")
        after = (await gathered.tick()).processes[0]
        assert after.owner.private
        assert after.calls
    finally:
        process.kill()
        process.communicate()


def _sleeps(pid: int) -> bool:
    found = procfs.stat(pid)
    return (found.comm, found.state) == ("sleep", "S")


WORKERS = """
worker_orders, orders = os.pipe()
reports, worker_reports = os.pipe()
life, parents_end = os.pipe()
for _ in range(20):
    if os.fork() == 0:
        os.close(orders), os.close(parents_end)
        os.read(worker_orders, 1)
        for _ in range(101): getppid()
        os.write(worker_reports, b"x")
        os.read(life, 1)
        os._exit(0)
"""
WORK = """
os.write(orders, b"x" * 20)
for _ in range(20): os.read(reports, 1)
print("done", flush=True)
sys.stdin.readline()
"""


@needs_ebpf
async def test_others_have_their_turn_while_a_reading_is_worked_out(
    gather: type[Gathered], monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    with running(GETPPID + "import os\n" + WORKERS + READY + GO + WORK) as process:
        gathered = gather(str(process.pid))
        await gathered.tick()
        before = gathered.total("getppid")
        go(process)
        reader = asyncio.create_task(asyncio.to_thread(process.stdout.readline))  # type: ignore[union-attr]
        assert await reader == "done\n"
        monkeypatch.setattr(pacing, "PIECE_NS", 0)
        beside = asyncio.create_task(others())
        counted = await gathered.watcher.counting.read()
        beside.cancel()
    assert before == 0
    made = [call.calls or 0 for calls in counted.by_process.values() for call in calls if call.name == "getppid"]
    assert made == [101] * 20
    assert turns >= 20


async def test_the_host_is_of_the_moment_of_the_tick() -> None:
    """Not of the one at which all processes have been read."""
    clock = itertools.count()
    watcher = Watcher(None, clock_ns=lambda: next(clock))
    with running() as process, running() as other:
        watcher.set_rules([watch_rules.parse(str(each.pid), {}) for each in (process, other)])
        tick, _ = await watcher.tick()
    assert len(tick.processes) == 2
    assert tick.host.monotonic_ns == tick.monotonic_ns + 1
    await watcher.close()


def test_a_fixed_cadence_counts_what_it_missed() -> None:
    now = [0]
    cadence = Cadence(100, lambda: now[0])
    assert cadence.take() is False
    now[0] = 130
    assert cadence.wait_ns() == 0
    assert cadence.take() is False
    assert (cadence.wait_ns(), cadence.jitter_ns) == (70, 30)
    now[0] = 520
    assert cadence.take() is True
    assert cadence.late == 3
    assert cadence.wait_ns() == 80


REUSE = """
    import subprocess
    from straced.config import watch_rules as rules
    from straced.service.collect.collector import Watcher
    from straced.tracers.ebpf import EbpfTracer
    PID = 5000
    def run_as(calls):
        while True:
            Path("/proc/sys/kernel/ns_last_pid").write_text(str(PID - 1))
            process = subprocess.Popen([os.environ["GT"], "spin", str(calls)], env={}, stdin=subprocess.PIPE)
            if process.pid == PID:
                return process
            process.kill(); process.wait()
    def start():
        return int(Path(f"/proc/{PID}/stat").read_text().rpartition(")")[2].split()[19])
    async def main():
        watcher = Watcher(EbpfTracer())
        watcher.set_rules([rules.parse("name:gt", {})])
        for _ in range(5):
            first = run_as(1)
            starts = [start()]
            happened = list((await watcher.tick())[1]) + list((await watcher.tick())[1])
            first.kill(); first.wait()
            while True:
                second = run_as(1)
                if start() != starts[0]:  # it has a resolution of 10 ms
                    break
                second.kill(); second.wait()
            starts.append(start())
            tick, more = await watcher.tick()
            later, most = await watcher.tick()
            events = [(each.kind, each.start_ticks) for each in [*happened, *more, *most] if each.pid == PID]
            expected = [("started", starts[0]), ("ended", starts[0]), ("started", starts[1])]
            assert sorted(events) == sorted(expected), (events, starts)
            (sample,) = [each for each in later.processes if each.facts.pid == PID]
            assert sample.facts.start_ticks == starts[1]
            samples = {each.facts.start_ticks: each for each in tick.processes if each.facts.pid == PID}
            assert set(samples) == set(starts), "a last word about the one, and a first about the other"
            assert samples[starts[1]].facts.cpu_pct is None, "no reading of its own to compare with"
            second.kill(); second.wait()
            await watcher.tick()
        await watcher.close()
        say("kept apart")
    asyncio.run(main())
"""


@needs_ebpf
@pytest.mark.needs("root", "pidns", "cc")
def test_a_pid_that_is_used_again_is_another_process(start: Starter) -> None:
    """In a PID namespace of its own, where the number of the next process can be chosen."""
    namespace = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    owner = start_owner(start, REUSE, prefix=namespace, env={"GT": str(start.gt)})
    assert owner.channel.expect("kept", 40) == "apart"
    owner.process.wait(10)

"""Alerts: each opens once, closes once, rests; and what they start.

Of `service/alerts/novelty.py` and `service/alerts/rules.py`.
"""

from __future__ import annotations

import asyncio
import json
import os
import stat
from pathlib import Path

import msgspec
import pytest

from straced.config.schema import Alerts, Bytes, Nanoseconds, OnAlert, TraceAction
from straced.linux import procfs
from straced.linux.credentials import Peer
from straced.model.alerts import AlertRow
from straced.model.facts import HostFacts, Pressure
from straced.model.owner import Owner
from straced.model.tick import Calls, ProcessSample
from straced.profiling.profiler import Profiler
from straced.service.alerts.reactions import Reactions
from straced.service.alerts.tracker import AlertBook
from tests.service.processes import READY, running
from tests.service.samples import ME, NOON, calls, process, tick

S = 10**9
MB = 1 << 20


class Judged:
    """A book, and all that it said."""

    def __init__(self, **config: object) -> None:
        quiet = {"new_syscalls": False, "new_errnos": False, "cooldown": Nanoseconds(100 * S)}
        self.book = AlertBook(Alerts(**{**quiet, **config}))  # type: ignore[arg-type]
        self.said: list[tuple[str, str]] = []
        self.last: AlertRow | None = None

    def at(self, second: float, *processes: ProcessSample, host: HostFacts | None = None) -> list[str]:
        """The kinds that opened (``+``) and closed (``-``) at this second."""
        changes = self.book.judge(tick(NOON + second, *processes, host=host))
        for change in changes:
            self.last = change
        return [
            ("-" if each.closed_s is not None else "+" if each.opened_s == each.updated_s else "=") + each.kind
            for each in changes
        ]


def waiting(name: str, **more: object) -> ProcessSample:
    return msgspec.structs.replace(process(**more), in_flight={name: 1})  # type: ignore[arg-type]


def test_memory_spike() -> None:
    judged = Judged()
    for second in range(0, 600, 5):
        assert judged.at(second, process(rss=100 * MB)) == []
    assert judged.at(600, process(rss=150 * MB)) == []  # 50 % is no spike
    assert judged.at(605, process(rss=400 * MB)) == ["+memory_spike"]
    assert judged.at(610, process(rss=400 * MB)) == []
    assert judged.last is not None
    assert judged.last.data["rss_bytes"] == 400 * MB
    assert judged.at(615, process(rss=100 * MB)) == ["-memory_spike"]
    assert judged.at(620, process(rss=400 * MB)) == []  # it rests
    assert judged.at(720, process(rss=450 * MB)) == ["+memory_spike"]


def test_runaway_cpu_zombies_descriptors_and_state_d() -> None:
    judged = Judged(cpu_for=Nanoseconds(60 * S), uninterruptible=Nanoseconds(30 * S))
    hot = process(cpu_pct=99.0)
    for second in range(0, 60, 5):
        assert judged.at(second, hot) == []
    assert judged.at(60, hot) == ["+cpu"]
    assert judged.at(65, process(cpu_pct=10.0)) == ["-cpu"]
    many = HostFacts(epoch_s=0, monotonic_ns=0, cpus=2, zombies=25)
    assert judged.at(70, host=many) == ["+zombies"]
    assert judged.at(75) == ["-zombies"]
    assert judged.at(80, process(fds=79, fd_limit=100)) == []
    assert judged.at(85, process(fds=80, fd_limit=100)) == ["+fds"]
    assert judged.at(90, process(fds=9000)) == ["-fds"]  # without a limit there is nothing to run into
    for second in range(100, 130, 5):
        assert judged.at(second, process(state="D")) == []
    assert judged.at(130, process(state="D")) == ["+uninterruptible"]
    assert judged.at(135) == ["-uninterruptible"]  # it has ended


def test_memory_pressure() -> None:
    judged = Judged()
    pressed = HostFacts(epoch_s=0, monotonic_ns=0, cpus=2, memory_pressure=Pressure(35.0))
    assert judged.at(0, host=pressed) == ["+memory_pressure"]
    full = HostFacts(epoch_s=0, monotonic_ns=0, cpus=2, memory_total_bytes=100, memory_available_bytes=2)
    assert judged.at(5, host=full) == []
    assert judged.at(10) == ["-memory_pressure"]


def test_stuck_is_not_idle() -> None:
    judged = Judged(stuck=Nanoseconds(60 * S))
    for second in range(0, 300, 10):
        assert judged.at(second, waiting("epoll_wait", pid=1), waiting("accept4", pid=2)) == []
    seen = []
    for second in range(300, 400, 10):
        seen += judged.at(second, waiting("fcntl", pid=3), waiting("epoll_wait", pid=1))
    assert seen == ["+stuck"]
    assert judged.last is not None
    assert judged.last.pid == 3
    assert "fcntl" in judged.last.text
    assert judged.at(400, msgspec.structs.replace(waiting("fcntl", pid=3), calls=(calls(),))) == ["-stuck"]


def test_error_rate_shift() -> None:
    judged = Judged()
    good = process(made=(calls("read", 1000, errors=10),))
    for second in range(20):
        assert judged.at(second, good) == []
    assert judged.at(20, process(made=(calls("read", 1000, errors=30),))) == []
    assert judged.at(21, process(made=(calls("read", 1000, errors=400),))) == ["+error_shift"]
    assert judged.at(22, good) == ["-error_shift"]
    fresh = Judged()
    assert fresh.at(0, process(made=(calls("read", 1000, errors=900),))) == []  # what is usual is not known yet
    steady = Judged()
    for second in range(60):
        assert steady.at(second, process(made=(calls("read", 500, errors=25),))) == [], "so from the start"


def test_what_a_program_never_did_before() -> None:
    judged = Judged(new_syscalls=True, new_errnos=True, learn=Nanoseconds(60 * S))
    assert judged.at(0, process(made=(calls("read"), calls("write")))) == []
    assert judged.at(30, process(made=(calls("openat"),))) == []  # still learning
    assert judged.at(61, process(made=(calls("read"), calls("openat")))) == []
    assert judged.at(62, process(made=(calls("ptrace"), calls("bpf")))) == ["+new_syscall"]
    assert judged.last is not None
    assert judged.last.data["names"] == "bpf, ptrace"
    assert judged.at(63, process(made=(calls("ptrace"),))) == ["-new_syscall"]
    fails = Calls("openat", "x86_64", 1, 1, 10, 0, {"EACCES": 1}, 0)
    assert judged.at(64, process(made=(fails,))) == ["+new_errno"]
    assert judged.at(65, process(made=(fails,))) == ["-new_errno"]
    assert judged.at(66, process(9, made=(calls("ptrace"),))) == []  # the same program, another process
    assert judged.at(67, process(9, made=(calls("ptrace"),), owner=Owner(5, 5, False))) == []  # another user's
    kept = [(program, kind, what, NOON) for program, kind, what in judged.book.take_learnt()]
    again = AlertBook(Alerts(learn=Nanoseconds(60 * S)))
    again.learn(kept)
    assert again.judge(tick(NOON + 1000, process(made=(calls("ptrace"), fails)))) == []
    assert [each.kind for each in again.judge(tick(NOON + 1001, process(made=(calls("mount"),))))] == ["new_syscall"]


def test_who_may_know() -> None:
    judged = Judged()
    judged.at(0, process(fds=99, fd_limit=100, owner=ME))
    assert judged.book.count_open(Peer(1, 65534, 65534)) == 0
    assert judged.book.count_open(Peer(1, 0, 0)) == 1


# --- what an alert starts ---


def alert_of(pid: int, kind: str = "cpu") -> AlertRow:
    start = procfs.stat(pid).start_ticks
    return AlertRow(
        id="0123456789abcdef",
        kind=kind,
        subject="x",
        text="busy",
        opened_s=NOON,
        updated_s=NOON,
        pid=pid,
        start_ticks=start,
    )


class Heard(list[tuple[str, str]]):
    def __call__(self, kind: str, text: str, **data: object) -> None:
        self.append((kind, text))


async def test_a_bounded_trace(tmp_path: Path) -> None:
    """Private, ended by its time and size, the target untraced afterwards."""
    heard = Heard()
    spin = READY + "import os\nwhile True: os.getppid()"
    with running(spin) as target:
        async with Profiler("ebpf") as profiler:
            wanted = OnAlert(trace=TraceAction(seconds=1.0, bytes=Bytes(20_000)))
            reactions = Reactions(wanted, tmp_path / "traces", profiler, heard)
            reactions.opened(alert_of(target.pid))
            reactions.opened(alert_of(target.pid, "memory_spike"))  # one at a time of a process
            async with asyncio.timeout(30):
                while not heard:
                    await asyncio.sleep(0.05)
            await reactions.close()
        assert procfs.tracer_pid(target.pid) == 0
    assert heard[0][0] == "trace_taken", heard
    (trace,) = (tmp_path / "traces").iterdir()
    assert trace.name == f"cpu-{target.pid}-01234567.strace"
    assert "getppid()" in trace.read_text()
    assert trace.stat().st_size < 200_000
    assert stat.S_IMODE(trace.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "traces").stat().st_mode) == 0o700


async def test_a_trace_of_what_is_gone_says_so(tmp_path: Path) -> None:
    heard = Heard()
    with running() as target:
        alert = alert_of(target.pid)
    async with Profiler("ebpf") as profiler:
        reactions = Reactions(OnAlert(trace=TraceAction()), tmp_path / "traces", profiler, heard)
        reactions.opened(alert)
        async with asyncio.timeout(10):
            while not heard:
                await asyncio.sleep(0.02)
        await reactions.close()
    assert heard[0][0] == "trace_failed"


def test_old_traces_make_room(tmp_path: Path) -> None:
    folder = tmp_path / "traces"
    folder.mkdir()
    wanted = OnAlert(trace=TraceAction(bytes=Bytes(1)), max_bytes=Bytes(250))
    reactions = Reactions(wanted, folder, Profiler(), Heard())
    for number in range(5):
        path = folder / f"cpu-{number}.strace"
        path.write_bytes(b"x" * 100)
        os.utime(path, (number, number))
    reactions._make_room()
    assert sorted(path.name for path in folder.iterdir()) == ["cpu-3.strace", "cpu-4.strace"]


@pytest.mark.parametrize(("program", "said"), [("/bin/false", "ended with 1"), ("/nonexistent", "No such file")])
async def test_a_command_that_fails_is_said(tmp_path: Path, program: str, said: str) -> None:
    heard = Heard()
    reactions = Reactions(OnAlert(command=(program,)), tmp_path, Profiler(), heard)
    reactions.opened(alert_of(os.getpid()))
    async with asyncio.timeout(10):
        while not heard:
            await asyncio.sleep(0.02)
    assert said in heard[0][1]
    await reactions.close()


async def test_a_command_is_told_and_gets_no_descriptor_of_ours(tmp_path: Path) -> None:
    out, fds = tmp_path / "alert", tmp_path / "fds"
    secret = os.open("/dev/null", os.O_RDONLY)
    words = ("/bin/sh", "-c", f"cat > {out}.new; ls -l /proc/self/fd > {fds}; mv {out}.new {out}")
    reactions = Reactions(OnAlert(command=words, kinds=("cpu",)), tmp_path, Profiler(), Heard())
    reactions.opened(alert_of(os.getpid(), "zombies"))
    reactions.opened(alert_of(os.getpid(), "cpu"))
    async with asyncio.timeout(10):
        while not out.exists():
            await asyncio.sleep(0.02)
    assert json.loads(out.read_text())["kind"] == "cpu"
    assert {line.split()[-3] for line in fds.read_text().splitlines()[1:]} <= {"0", "1", "2", "3"}
    os.close(secret)
    await reactions.close()

"""What tasks do rather than wait for: storms, spins, work; and how long ago they last ran.

Of `waits/verdict/judge.py`, `waits/verdict/slow.py` and `waits/facts/clock.py`.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from why_require import need
from why_stages import STAGES
from why_world import World

from straced.linux import procfs
from straced.model.types import Quality, Summary, SyscallStats, Target, Window
from straced.views.why.report import report, sentence
from straced.waits.call_counts import by
from straced.waits.facts.python_stack import python_stack
from straced.waits.model import Why
from straced.waits.process import why_process

_WINDOW_NS = 500_000_000
_WINDOWS = 6


def _watched(ask: Callable[[int], Why], shows: Callable[[Why], bool], window_ns: int = _WINDOW_NS) -> Why:
    """The first answer that shows it, of windows twice as long each: on a busy machine a process does little in one."""
    for doubled in range(_WINDOWS):
        why = ask(window_ns << doubled)
        if shows(why):
            break
    return why


@pytest.mark.needs("ebpf")
def test_sync_after_sync(world: World) -> None:
    """Exact with eBPF. /proc alone sees it where the disk is slow enough for the caller to sleep, and nothing else."""
    target = world.program("sync", world.directory / "journal")
    why = _watched(
        lambda window_ns: why_process(target.pid, window_ns, sharpen=by("ebpf"), eager=True),
        lambda why: bool(why.storms),
    )
    assert why.verdict in ("slow", "busy"), sentence(why)
    assert [storm.kind for storm in why.storms] == ["fsync"], report(why)
    assert "fsync" in sentence(why)
    assert not why.chain or not why.chain.holders
    alone = why_process(target.pid, _WINDOW_NS)
    assert alone.verdict in ("slow", "busy"), sentence(alone)
    assert {storm.kind for storm in alone.storms} <= {"fsync"}


@pytest.mark.needs("ebpf")
@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        ("s, _ = socket.socketpair(); s.setblocking(False); call = lambda: s.recv(1)", "spin_eagain", "EAGAIN"),
        ("call = lambda: os.kill(4194000, 0)", "spin_esrch", "ESRCH"),
        ("call = lambda: os.open('/nowhere/at/all', 0)", "search_enoent", "ENOENT"),
        ("call = lambda: os.stat('/')", "stat", "newfstatat calls a second"),
    ],
)
def test_storms_counted_by_ebpf(code: str, kind: str, says: str, world: World) -> None:
    """A process at work is counted without being asked for; the sentence has the figure."""
    loop = "\nready()\nwhile True:\n try: call()\n except OSError: pass"
    target = world.python(code + loop)
    why = _watched(
        lambda window_ns: why_process(target.pid, window_ns, sharpen=by("auto")),
        lambda why: bool(why.storms),
        1_500_000_000,
    )
    assert [storm.kind for storm in why.storms] == [kind], report(why)
    assert why.verdict == ("spinning" if kind.startswith("spin") else "busy")
    assert says in sentence(why)
    assert any(line.startswith("eBPF: ") for line in why.evidence)


def test_what_is_asleep_is_not_counted(world: World) -> None:
    """Nothing is loaded for a process that makes no calls."""
    target = STAGES["sleeps"](world).target

    def fail(pid: int, duration_ns: int) -> Summary:
        raise AssertionError("a sleeping process was counted")

    assert why_process(target, 200_000_000, sharpen=fail).verdict == "idle"


def test_tiny_writes(world: World) -> None:
    target = world.program("tiny_writes")
    why = _watched(lambda window_ns: why_process(target.pid, window_ns), lambda why: bool(why.storms))
    assert [storm.kind for storm in why.storms] == ["tiny_writes"]
    assert "move 1.0 bytes each" in report(why)


def test_a_spin_that_proc_cannot_name_is_not_named(world: World) -> None:
    """recv(2) is not counted by /proc/PID/io: it is busy, and the next step would tell in what."""
    target = world.program("spin_recv")
    why = _watched(lambda window_ns: why_process(target.pid, window_ns), lambda why: why.kernel_share is not None)
    assert why.verdict == "busy"
    assert why.next == f"{'' if os.geteuid() == 0 else 'sudo '}straced attach {target.pid} -d 2"
    assert "in the kernel" in sentence(why)


def test_a_tracer_makes_the_spin_exact(world: World) -> None:
    """What a tracer counted in the window decides where /proc alone cannot."""
    target = world.program("spin_recv")
    row = SyscallStats(name="recvfrom", calls=900_000, errors=900_000, errno={"EAGAIN": 900_000})

    def count(pid: int, duration_ns: int) -> Summary:
        assert pid == target.pid
        return Summary(
            target=Target(pid=pid, start_ticks=0, boot_id=""),
            tracer="ebpf",
            quality=Quality(kind="exact"),
            window=Window(start=0, end=1, duration_ns=duration_ns),
            rows=(row,),
        )

    why = _watched(
        lambda window_ns: why_process(target.pid, window_ns, sharpen=count), lambda why: why.verdict == "spinning"
    )
    assert why.verdict == "spinning"
    assert "recvfrom calls a second fail with EAGAIN" in sentence(why)


@pytest.mark.parametrize("run", [1, 2, 3])
def test_since_is_a_lower_bound_and_a_close_one(world: World, run: int) -> None:
    """Measured on the scheduler's clock, against the time since the process began and the time it surely slept."""
    target = STAGES["sleeps"](world).target
    counters = procfs.read(f"{target}/schedstat")
    why = why_process(target, 400_000_000)
    assert procfs.read(f"{target}/schedstat") == counters
    assert why.chain is not None
    since = why.chain.task.wait.since_ns
    assert since is not None
    age = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - procfs.stat(target).start_ticks * 10**7
    assert 300_000_000 <= since <= age


def test_a_time_left_is_counted_down(world: World) -> None:
    target = world.python("ready(); time.sleep(100)")
    world.rests(target.pid)
    why = why_process(target.pid, 100_000_000)
    assert why.chain is not None
    left = why.chain.task.wait.left_ns
    assert left is not None
    assert 80 * 10**9 < left < 99.95 * 10**9


def test_python_stack(world: World) -> None:
    lines, why_not = python_stack(STAGES["python_queue"](world).target)
    need("py-spy", why_not is None or "not installed" not in why_not, "py-spy is not installed")
    assert why_not is None
    assert any("get (" in line for line in lines), lines


def test_a_tracer_that_lets_it_run_is_named(world: World, tmp_path: Path) -> None:
    """Under strace a process is in a tracing stop now and then: slow, and by whom; never "stopped"."""
    strace = shutil.which("strace")
    need("strace", strace is not None, "there is no strace")
    output = tmp_path / "trace"
    tracer = world.command(str(strace), "-o", str(output), "-e", "trace=write", str(world.programs), "tiny_writes", "2")
    world.until(lambda: output.exists() and output.stat().st_size > 1000, "nothing was traced")
    target = int(Path(f"/proc/{tracer.pid}/task/{tracer.pid}/children").read_text().split()[0])
    verdicts = set()
    for _ in range(5):
        why = why_process(target, 300_000_000)
        verdicts.add(why.verdict)
        assert f"{tracer.pid} (strace)" in report(why)
    # On a busy machine strace may get no CPU for a whole window; then its target does stand still.
    assert verdicts & {"slow", "busy", "spinning"}, verdicts
    assert verdicts <= {"slow", "busy", "spinning", "stopped"}, verdicts


def test_many_threads_are_capped(world: World) -> None:
    target = world.program("threads", 520)
    why = why_process(target.pid, 10_000_000)
    assert len(why.threads) == 500
    assert f"20 threads of {target.pid} beyond the first ones" in why.not_seen

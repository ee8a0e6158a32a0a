"""Where little may be read: another user, refusals as Yama makes them, PID namespaces. Less is said, nothing wrong.

Of `waits/facts/memory.py`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from why_require import need_root
from why_stages import SLEEPER, STAGES
from why_world import World, close

from straced.views.why.report import report, sentence
from straced.waits.all_processes import why_everybody
from straced.waits.model import HOLDS, LIKELY
from straced.waits.process import why_process

_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
_COMMAND = [sys.executable, "-m", "straced.commands.why"]
_REFUSED = ("syscall", "fd", "fdinfo", "mem", "maps", "auxv", "io", "ns", "environ", "wchan")

_REFUSAL = "root is refused the details, too" if os.geteuid() == 0 else "details need root"
"""What one who asks is told: root is not told to become root."""


def _ask(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def test_another_user_is_told_less_and_nothing_wrong(world: World) -> None:
    need_root()
    stage = STAGES["pipe_read"](world)
    done = _ask(*_NOBODY, *_COMMAND, str(stage.target), "-d", "0.1")
    assert done.returncode == 0, done.stderr
    assert "details need root" in done.stdout.split("\n")[0]
    assert str(stage.culprit) not in done.stdout
    assert f"next      sudo straced why {stage.target}" in done.stdout
    assert "another user" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_file_lock_is_known_to_all(world: World) -> None:
    """/proc/locks is open to everybody: the POSIX holder is named for another user's process too."""
    need_root()
    for name, relation in (("lock_fcntl", HOLDS), ("lock_flock", LIKELY)):
        stage = STAGES[name](world)
        code = (
            "import sys; from straced.waits.process import why_process\n"
            "why = why_process(int(sys.argv[1]), 10**8); root = why.roots[0]\n"
            "print(why.verdict, root.task.pid, root.relation, sep='|')"
        )
        done = _ask(*_NOBODY, sys.executable, "-c", code, str(stage.target))
        assert done.stdout.strip() == f"stuck|{stage.culprit}|{relation}", (name, done)


def test_situations_of_an_unprivileged_user(roles: Path) -> None:
    """All processes of the situation belong to the one who asks, the rest of the machine is hidden from them."""
    need_root()
    soak = Path(__file__).with_name("soak.py")
    names = (
        "pipe_read",
        "unix_stream",
        "tcp_silent_peer",
        "lock_flock",
        "mutex",
        "zombie",
        "cycle_of_two",
        "vfork_parent",
    )
    done = _ask(*_NOBODY, sys.executable, str(soak), "-n", "1", *names)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].split()[:4] == ["8", "situations", "8", "0"], done.stdout


def test_situations_inside_a_pid_namespace(roles: Path) -> None:
    need_root()
    soak = Path(__file__).with_name("soak.py")
    names = ("pipe_read", "lock_through_fork", "mutex_deadlock", "shared_mutex", "child_sleeps", "tcp_silent_peer")
    done = _ask("unshare", "-pf", "--mount-proc", sys.executable, str(soak), "-n", "1", *names)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].split()[:4] == ["6", "situations", "6", "0"], done.stdout


def test_a_mutex_in_another_pid_namespace(world: World, roles: Path) -> None:
    """The owner that the mutex names is a number of the inner namespace: it is translated, not taken for ours."""
    need_root()
    receiving, sending = os.pipe()
    outer = world.command("unshare", "-pf", "--mount-proc", str(roles), "mutex", str(sending), fds=(sending,))
    close(sending)
    with os.fdopen(receiving, "rb") as file:
        inner = int(file.readline())
    target = int(Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()[0])
    threads = [int(name) for name in os.listdir(f"/proc/{target}/task")]
    other = next(tid for tid in threads if tid != target)
    world.rests(*threads)
    assert inner < 10 < other
    why = why_process(target, 50_000_000)
    assert [root.task.tid for root in why.roots] == [other], sentence(why)


def test_a_holder_outside_the_namespace_is_unknown(world: World) -> None:
    """The writer of the pipe is outside and cannot be seen: nobody is named."""
    need_root()
    reading, writing = os.pipe()
    world.python(SLEEPER, fds=(writing,))
    code = (
        "import os, sys, threading, time\n"
        "from straced.waits.process import why_process; from straced.views.why.report import sentence\n"
        "pid = os.fork()\n"
        "if pid == 0: os.read(int(sys.argv[1]), 1)\n"
        "why = why_process(pid, 3 * 10**8); print(sentence(why), len(why.chain.holders))"
    )
    command = ["unshare", "-pf", "--mount-proc", sys.executable, "-c", code, str(reading)]
    os.close(writing)
    done = subprocess.run(command, pass_fds=(reading,), capture_output=True, text=True, timeout=30, check=False)
    os.close(reading)
    assert done.stdout.strip().endswith("whose writer cannot be seen. 0"), done


@pytest.fixture
def refusing_root(world: World) -> tuple[Path, int, int]:
    """A /proc that shows two real processes as Yama lets a stranger see them; (root, target, holder)."""
    stage = STAGES["lock_fcntl"](world)
    assert isinstance(stage.culprit, int)
    root = world.directory / "proc"
    for pid in (stage.target, stage.culprit):
        for place in (root / str(pid), root / str(pid) / "task" / str(pid)):
            place.mkdir(parents=True)
            original = Path("/proc") / place.relative_to(root)
            for name in ("stat", "status", "schedstat", "sched", "cgroup", "comm", "children"):
                if (original / name).exists():
                    (place / name).write_bytes((original / name).read_bytes())
            for name in _REFUSED:
                (place / name).symlink_to(name)  # ELOOP: refused, yet not "gone"
    shutil.copy("/proc/locks", root / "locks")
    return root, stage.target, stage.culprit


def test_refusals_like_those_of_yama(refusing_root: tuple[Path, int, int]) -> None:
    root, target, holder = refusing_root
    why = why_process(target, 20_000_000, root=str(root))
    assert why.verdict == "stuck"
    assert [node.task.pid for node in why.roots] == [holder]
    assert why.roots[0].task.wait.kind == "hidden"
    assert any("the call it is in" in line and str(target) in line for line in why.not_seen)
    assert f"is blocked; {_REFUSAL}" in report(why)


@pytest.mark.needs("root")
def test_refusals_without_a_lock(refusing_root: tuple[Path, int, int]) -> None:
    root, target, _ = refusing_root
    (root / "locks").write_bytes(b"")
    why = why_process(target, 20_000_000, root=str(root))
    assert (why.verdict, why.chain is not None and why.chain.holders) == ("unknown", ())
    assert sentence(why).endswith(f"is blocked; {_REFUSAL}.")
    everybody = why_everybody(20_000_000, root=str(root))
    assert {answer.verdict for answer in everybody.processes} == {"unknown"}


def test_hidden_descriptors_make_it_likely_only(world: World) -> None:
    """Somebody whose descriptors cannot be read might have the pipe too: "holds" is said by root alone."""
    need_root()
    stage = STAGES["pipe_read"](world)
    assert why_process(stage.target, 10_000_000).roots[0].relation == HOLDS
    program = (
        "import sys, tempfile; from pathlib import Path; sys.path += sys.argv[1:]\n"
        "from why_stages import STAGES; from why_world import World; from straced.waits.process import why_process\n"
        "with tempfile.TemporaryDirectory() as name, World(Path(name), Path(name)) as world:\n"
        "    stage = STAGES['pipe_read'](world); root = why_process(stage.target, 10_000_000).roots[0]\n"
        "    print(root.task.pid == stage.culprit, root.relation)"
    )
    places = (Path(__file__).parent, Path(__file__).parents[2])  # of the stages, and of `tests`
    done = _ask(*_NOBODY, sys.executable, "-c", program, *map(str, places))
    assert done.stdout.strip() == f"True {LIKELY}", done

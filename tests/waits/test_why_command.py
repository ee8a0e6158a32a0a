"""The verb as people run it: exit status, words on stderr, the forms of the answer.

Of `waits/selection.py`, `waits/facts/freezer.py`, `waits/verdict/next_steps.py` and `views/why/sentence.py`.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from why_require import need
from why_stages import STAGES
from why_world import World, kill

from straced import errors
from straced.linux import cgroups, procfs
from straced.views.why.report import sentence
from straced.waits.facts.activity import Meter
from straced.waits.process import why_process


def why(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "straced.commands.why", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)  # type: ignore[call-overload, no-any-return]


def _free_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait(10)
    return process.pid


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ([], 2),
        (["1", "--all"], 2),
        (["abc"], 2),
        (["-p", "-3"], 2),
        (["0"], 2),
        (["1", "-d", "soon"], 2),
        (["1", "--nonsense"], 2),
        (["--all", "--bundle", "x"], 2),
        (["99999999999999999999"], 2),
        (["99999999"], 2),
        (["cgroup:no-slash"], 2),
        (["unit:a b"], 2),
        (["1", "--json", "--dot"], 2),
        (["--all", "--python-stack"], 2),
        (["1", "--tracer", "gdb"], 2),
        (["cgroup:/no/such/group"], 3),
        (["name:no-such-program-at-all"], 3),
    ],
)
def test_bad_input(arguments: list[str], status: int) -> None:
    done = why(*arguments)
    assert done.returncode == status, done
    assert done.stdout == ""
    assert 1 <= len(done.stderr.strip().split("\n")) <= 4
    assert "Traceback" not in done.stderr


def test_an_unknown_pid_is_gone() -> None:
    done = why(str(_free_pid()))
    assert done.returncode == 3
    assert done.stderr.startswith("straced why: there is no process")


def test_help_begins_with_two_examples() -> None:
    lines = [line.strip() for line in why("--help").stdout.split("\n") if line.strip()]
    assert lines[0] == "Examples:"
    assert lines[1].startswith("straced why 4242 ")
    assert lines[2].startswith("straced why --all ")
    assert sum(line == "Examples:" for line in lines) == 1


def test_a_process_that_ends_meanwhile_is_gone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = world.python("child = os.fork()\nif child == 0:\n rest()\nready(child); os.waitpid(child, 0); rest()")
    child = int(parent.words[0])
    run = Meter.run

    def kill_then_run(meter: Meter, duration_ns: int) -> None:
        kill(child)
        world.until(lambda: not os.path.exists(f"/proc/{child}"), "the child was not reaped")
        run(meter, duration_ns)

    monkeypatch.setattr(Meter, "run", kill_then_run)
    found = why_process(child, 10_000_000)
    assert found.verdict == "gone"
    assert sentence(found).startswith(f"{child} is gone")


def test_a_kernel_thread() -> None:
    need("root", _is_kernel_thread(2), "pid 2 is no kernel thread here")
    done = why("2", "-d", "0.05")
    assert done.returncode == 0
    assert "kernel thread" in done.stdout


def _is_kernel_thread(pid: int) -> bool:
    try:
        return procfs.stat(pid).is_kernel_thread
    except (procfs.Gone, OSError):
        return False


def test_the_shell_that_asks(world: World) -> None:
    """The chain of the one who started straced ends in straced, and that is said."""
    script = f"{sys.executable} -m straced.commands.why $$ -d 0.1; true"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert "is idle: it waits for its child" in done.stdout, done
    assert "which is asking this question." in done.stdout


def test_straced_itself_is_refused() -> None:
    done = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m straced.commands.why $$"], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("straced why: that is straced itself")
    with pytest.raises(errors.OwnProcess) as caught:
        why_process(os.getpid())
    assert caught.value.exit_code == 2


def test_a_thread_can_be_asked_about(world: World) -> None:
    stage = STAGES["mutex"](world)
    done = why(str(stage.culprit), "-d", "0.05")
    assert done.returncode == 0
    assert done.stdout.startswith(f"thread {stage.culprit} of {stage.target} (roles) is idle: it sleeps")


def test_json_dot_and_bundle(world: World, tmp_path: Path) -> None:
    stage = STAGES["lock_flock"](world)
    answer = json.loads(why(str(stage.target), "-d", "0.05", "--json").stdout)
    assert answer["schema"] == "straced.why/1"
    assert answer["chain"]["holders"][0]["task"]["pid"] == stage.culprit
    assert answer["chain"]["holders"][0]["relation"] == "holds"
    dot = why("-p", str(stage.target), "-d", "0.05", "--dot").stdout
    assert f"t{stage.target} -> t{stage.culprit}" in dot
    ticket = tmp_path / "ticket.txt"
    done = why(str(stage.target), "-d", "0.05", "--bundle", str(ticket))
    assert (done.returncode, stat.S_IMODE(ticket.stat().st_mode)) == (0, 0o600)
    text = ticket.read_text()
    assert "flock.lock" not in text
    assert "<name 1>" in text
    assert str(stage.culprit) in text
    assert why(str(stage.target), "-d", "0.05", "--bundle", str(ticket)).returncode == 2
    assert ticket.read_text() == text
    assert "flock.lock" in why(str(stage.target), "-d", "0.05", "--bundle", "-", "--no-redact").stdout


def test_a_bundle_is_not_written_through_a_link(world: World, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    (tmp_path / "link").symlink_to(victim)
    target = world.python("ready(); rest()")
    assert why(str(target.pid), "-d", "0.05", "--bundle", str(tmp_path / "link")).returncode == 2
    assert not victim.exists()


def test_targets_by_name(world: World) -> None:
    code = "open('/proc/self/comm', 'w').write(ARGS[0]); ready(); rest()"
    one, other = world.python(code, "whyname-1"), world.python(code, "whyname-2")
    done = why("name:whyname-*", "-d", "0.05")
    assert done.returncode == 0
    assert {str(one.pid), str(other.pid)} <= set(done.stdout.split())
    assert why("name:whyname-1", "-d", "0.05").stdout.startswith(f"{one.pid} (whyname-1) is idle")


def test_targets_by_cgroup_and_unit(world: World) -> None:
    """A unit of systemd is a cgroup with its name; those in the groups below belong to it."""
    systemd = (each.mount for each in cgroups.hierarchies() if each.controllers <= {"name=systemd"})
    root = next((Path(mount) for mount in systemd if os.access(f"{mount}/cgroup.procs", os.W_OK)), None)
    need("root", root is not None, "no cgroup can be made")
    assert root is not None
    unit = root / f"straced-why-{os.getpid()}.service"
    inner = unit / "inner"
    roles = [world.python("ready(); rest()") for _ in range(2)]
    unit.mkdir()
    world.cleanup(unit.rmdir)
    inner.mkdir()
    world.cleanup(inner.rmdir)
    for role in roles:
        (inner / "cgroup.procs").write_text(str(role.pid))
        world.cleanup((root / "cgroup.procs").write_text, str(role.pid))
    for target in (f"cgroup:/{unit.name}", f"unit:{unit.name}", f"unit:{unit.stem}"):
        done = why(target, "-d", "0.05")
        assert done.returncode == 0, done
        assert done.stdout.startswith("2 processes in "), done.stdout
        assert {str(role.pid) for role in roles} <= set(done.stdout.split())


def test_ctrl_c_is_130(world: World) -> None:
    target = world.python("ready(); rest()")
    command = [sys.executable, "-m", "straced.commands.why", str(target.pid), "-d", "50s"]
    asking = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        world.rests_in(("clock_nanosleep",), asking.pid)
        asking.send_signal(signal.SIGINT)
        out, err = asking.communicate(timeout=10)
    finally:
        asking.kill()
    assert (asking.returncode, out) == (130, b"")
    assert b"Traceback" not in err

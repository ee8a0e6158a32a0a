"""``straced doctor``: what works here and on a process, seen by several users, with what is missing named.

Of `commands/doctor.py` and `workflows/doctor_target.py`.
"""

from __future__ import annotations

import ctypes
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from straced import errors
from straced.linux import capabilities
from straced.model.diagnosis import Diagnosis, DoctorCheck
from straced.views.text import doctor as doctor_text
from straced.views.text.summary import plain
from straced.workflows import doctor
from tests.support import process_states as real


def by_name(findings: tuple[DoctorCheck, ...]) -> dict[str, DoctorCheck]:
    return {finding.name: finding for finding in findings}


def straced(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "straced", "doctor", *words]
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        command, capture_output=True, text=True, timeout=real.LIMIT_S, stdin=subprocess.DEVNULL, **options
    )


def test_every_thing_that_does_not_serve_comes_with_a_line_to_type() -> None:
    def ask() -> Diagnosis:
        return doctor.examine()

    views = [doctor.examine(), real.seen_by(real.be_nobody, ask)] if not os.geteuid() else [doctor.examine()]
    for diagnosis in views:
        assert [tracer.name for tracer in diagnosis.tracers] == ["ebpf", "strace", "sampler"]
        names = (
            "strace",
            "ptrace",
            "libbpf.so.1",
            "BTF",
            "BPF rights",
            "tracefs",
            "cgroups",
            "terminal",
            "traces",
            "sudo",
        )
        assert set(names) == set(by_name(diagnosis.here))
        for finding in diagnosis.here:
            assert finding.state in ("yes", "limited", "no", "info")
            assert finding.detail
            if finding.state in ("limited", "no") and finding.name != "cgroups":
                assert finding.remedy, finding
        assert "setcap" not in str(diagnosis).replace("never setcap on an interpreter", "")
        assert any("vDSO" in line for line in diagnosis.unseen)
        assert any("io_uring" in line for line in diagnosis.unseen)


def test_a_user_is_told_how_to_get_more_rights() -> None:
    real.need_root()
    found = by_name(real.seen_by(real.be_nobody, doctor.examine).here)
    for name in ("ptrace", "BPF rights"):
        assert found[name].state in ("limited", "no")
        assert found[name].remedy[0].startswith("sudo /")
        assert "AmbientCapabilities=" in found[name].remedy[1]


def test_no_strace_is_named_with_the_packages(tmp_path: Path) -> None:
    done = straced("--json", env={**os.environ, "PATH": str(tmp_path)})
    found = {each["name"]: each for each in json.loads(done.stdout)["here"]}
    assert found["strace"]["state"] == "no"
    assert "apt-get install strace" in found["strace"]["remedy"][0]


def test_on_a_process_of_another_user() -> None:
    real.need_root()
    with real.running() as pid:
        found = by_name(real.seen_by(real.be_nobody, lambda: doctor.examine(pid)).tracers)
    assert found["strace"].state == "no"
    assert "belongs to uid 0" in found["strace"].detail
    assert found["strace"].remedy[0].startswith("sudo /")


def test_on_a_process_that_is_traced_already() -> None:
    with real.running() as pid, real.forked(lambda: real.seize(pid)) as tracer:
        done = straced("--json", str(pid))
    found = {each["name"]: each for each in json.loads(done.stdout)["tracers"]}
    assert found["strace"]["state"] == "no"
    assert f"by {tracer}" in found["strace"]["detail"]


def test_a_child_may_be_traced_and_is_described() -> None:
    with real.running() as pid:
        done = straced(str(pid))
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert f"{pid} (sleep), uid {os.getuid()}, sleeping, 1 thread, 0 descendants" in lines
    assert any(line.split()[:2] == ["yes", "strace"] for line in lines)
    assert done.stderr == ""


@pytest.mark.parametrize("scope", [1, 2, 3])
def test_yama_is_told_in_words(scope: int, tmp_path: Path) -> None:
    root = real.proc_like_this(tmp_path)
    real.set_yama(root, scope)
    me = capabilities.caller()
    user = capabilities.Caller(me.pid, 1000, 1000, 0, 0, 0, 0)
    found = doctor.ptrace(user, root)
    assert found.state == ("limited" if scope == 1 else "no")
    assert f"ptrace_scope is {scope}" in found.detail
    assert found.remedy
    traced = doctor.tracer("strace", None, user, root)
    if scope == 1 and traced.state != "no":
        assert traced.state == "limited"
        assert traced.remedy[0] == "straced run -- CMD"


def test_a_filter_over_straced_is_found() -> None:
    def ask() -> DoctorCheck:
        capabilities.ptrace_blocked.cache_clear()
        return doctor.ptrace(capabilities.caller())

    found = real.seen_by(real.refuse_ptrace, ask)
    assert found.state == "no"
    assert "seccomp" in found.detail


def test_several_targets_are_a_line_each_in_json() -> None:
    with real.running() as one, real.running() as two:
        done = straced("--json", str(one), "-p", str(two))
    assert [json.loads(line)["target"].split()[0] for line in done.stdout.splitlines()] == [str(two), str(one)]


def test_io_uring_and_seccomp_of_a_target_are_told() -> None:
    syscall_io_uring_setup = 425  # the same number on every architecture

    def prepare() -> None:
        parameters = ctypes.create_string_buffer(120)
        assert real.LIBC.syscall(syscall_io_uring_setup, 1, parameters) >= 0, os.strerror(ctypes.get_errno())
        real.refuse_ptrace(real.SECCOMP_ALLOW)

    try:
        with real.forked(prepare) as pid:
            told = by_name(doctor.examine(pid).about_target)
    except AssertionError:
        real.unavailable("io_uring", "io_uring_setup is refused here")
    assert told["io_uring"].state == "limited"
    assert "seccomp" in told


def test_no_such_process() -> None:
    with real.running() as pid:
        pass
    with pytest.raises(errors.NoSuchProcess):
        doctor.examine(pid)
    done = straced(str(pid))
    assert (done.returncode, done.stdout) == (3, "")
    assert len(done.stderr.splitlines()) <= 3


def test_what_it_says_holds_no_control_characters() -> None:
    hostile = "\x1b[31mx\n\x07[/bold]"
    made = Diagnosis(
        version="0",
        kernel="k",
        machine="m",
        python="p",
        uid=0,
        target=hostile,
        tracers=(DoctorCheck(name="strace", state="no", detail=hostile, remedy=(hostile,)),),
    )
    text = plain(doctor_text.lines(made))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert len(text.splitlines()) == len(doctor_text.lines(made))


@pytest.mark.parametrize(
    ("program", "state", "words"),
    [
        ("/usr/bin/straced", "yes", ["sudo straced"]),
        (
            "/opt/my env/bin/straced",
            "info",
            ["sudo '/opt/my env/bin/straced'", "sudo ln -s '/opt/my env/bin/straced' "],
        ),
    ],
)
def test_the_line_for_sudo(program: str, state: str, words: list[str]) -> None:
    found = doctor.sudo(program)
    assert found.state == state
    assert all(each in " ".join((found.detail, *found.remedy)) for each in words)
    here = Diagnosis(
        version="1", kernel="6.1", machine="x86_64", python="3.13", uid=0, tracers=(), here=(found,), about_target=(),
        unseen=(),
    )  # fmt: skip
    shown = plain(doctor_text.lines(here, 40)).splitlines()
    assert [line.strip() for line in shown if "ln -s" in line] == [f"-> {each}" for each in found.remedy]


def test_the_line_for_sudo_works_with_the_path_of_sudo() -> None:
    """From a virtual environment too: a login of root's own has neither its path nor its variables."""
    typed = shlex.split(doctor.sudo().detail.partition(";")[0])
    assert typed[0] == "sudo"
    done = subprocess.run(
        [*typed[1:], "--version"] if "/" in typed[1] else [shutil.which("straced") or "", "--version"],
        env={"PATH": ":".join(doctor.SUDO_PATH)}, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert (done.returncode, done.stdout.split()[:1]) == (0, ["straced"]), done.stderr

"""What the gate does, on both architectures: the program gets exactly what it would have got without it."""

from __future__ import annotations

import os
import platform
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from straced import gating
from tests.gating.gates import MACHINES, PACKAGE, Gate, argv, bare, run, waits
from tests.support import proc
from tests.support.poll import until

DUMP = """
import sys
for name in ("cmdline", "environ"):
    sys.stdout.buffer.write(open(f"/proc/self/{name}", "rb").read() + bytes([0, 0, 0]))
"""
HERE = platform.machine()
machines = pytest.mark.parametrize("machine", MACHINES)


@machines
def test_arguments_and_environment_come_through_as_they_are(machine: str) -> None:
    words = [
        "python",
        "-ISc",
        DUMP,
        b"a b",
        b"",
        b"new\nline",
        b"\xff\xfe\x80",
        b"*",
        b"$(x)",
        b"straced-gate",
        b"1",
        b"",
    ]
    environment: dict[bytes, bytes] = {b"ODD": b"\xff\n=", b"EMPTY": b"", b"PATH": b"/nowhere"}
    plain = subprocess.run(words, executable=sys.executable, env=environment, capture_output=True, check=True)
    done = run(argv(machine, [sys.executable, *words], ms=0), env=environment)
    (cmdline, variables, _), (plain_cmdline, plain_variables, _) = (
        done.stdout.split(b"\0\0\0"),
        plain.stdout.split(b"\0\0\0"),
    )
    assert cmdline == plain_cmdline
    assert sorted(variables.split(b"\0")) == sorted(plain_variables.split(b"\0")), "qemu changes their order"
    assert b"\xff\xfe\x80\0*\0" in cmdline
    if machine == HERE:
        assert variables == plain_variables


@machines
def test_a_very_long_command_line(machine: str) -> None:
    words = ["x" * 100_000, *(str(number) for number in range(20_000))]
    code = "import hashlib, sys; print(len(sys.argv), hashlib.sha256(' '.join(sys.argv[1:]).encode()).hexdigest())"
    plain = subprocess.run([sys.executable, "-ISc", code, *words], capture_output=True, check=True)
    done = run(argv(machine, [sys.executable, sys.executable, "-ISc", code, *words], ms=0))
    assert done.stdout == plain.stdout


def executable(path: Path, text: str, mode: int = 0o755) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


@machines
@pytest.mark.parametrize(
    ("make", "status", "says"),
    [
        (lambda folder: folder / "missing", 127, "No such file or directory"),
        (lambda folder: folder, 126, "Permission denied"),
        (lambda folder: executable(folder / "plain", "", 0o644), 126, "Permission denied"),
        (lambda folder: executable(folder / "lost", "#!/nope/nope\n"), 127, "No such file or directory"),
        (lambda folder: executable(folder / "file", "") / "below", 126, "Not a directory"),
    ],
    ids=["missing", "folder", "not-executable", "no-interpreter", "below-a-file"],
)
def test_what_cannot_be_run(machine: str, tmp_path: Path, make: Callable[[Path], Path], status: int, says: str) -> None:
    path = make(tmp_path)
    done = run(argv(machine, [str(path), "name"], ms=0))
    assert done.returncode == status
    assert done.stderr.decode() == f"straced: cannot run {path}: {says}\n"


@machines
@pytest.mark.parametrize("first", ["#!/bin/sh\n", ""], ids=["with-interpreter", "without"])
def test_scripts(machine: str, tmp_path: Path, first: str) -> None:
    script = executable(tmp_path / "script", first + 'printf \'<%s>\' "$0" "$@"\n')
    done = run(argv(machine, [str(script), "script", "a b", "", "c"], ms=0))
    assert done.stdout.decode() == f"<{script}><a b><><c>"


@machines
def test_what_is_no_gate_says_so(machine: str) -> None:
    for words in ([], ["straced-gate", "2", "0", "1", "1", "/bin/true", "true"], ["straced-gate", "1", "0", "1", "1"]):
        assert run([*bare(machine), *words]).returncode == 2


@machines
def test_it_opens_when_its_patience_is_over(machine: str) -> None:
    assert run(argv(machine, ["/bin/sh", "sh", "-c", "exit 7"], ms=30)).returncode == 7


@machines
def test_it_opens_when_its_owner_dies(machine: str) -> None:
    owner = subprocess.Popen(["sleep", "600"])
    with Gate(argv(machine, ["/bin/sh", "sh", "-c", "exit 7"], owner=owner.pid)) as gate:
        owner.kill()
        owner.wait()
        assert gate.status() == 7


@machines
def test_it_does_not_wait_for_an_owner_that_has_died(machine: str) -> None:
    gone = subprocess.Popen(["true"])
    start = proc.start_ticks(gone.pid)
    gone.wait()
    for owner, ticks in ((gone.pid, start), (os.getpid(), proc.start_ticks(os.getpid()) + 1)):
        assert run(argv(machine, ["/bin/sh", "sh", "-c", "exit 7"], owner=owner, start=ticks)).returncode == 7


@machines
def test_it_opens_when_it_is_released(machine: str) -> None:
    with Gate(argv(machine, ["/bin/sh", "sh", "-c", "exit 7"])) as gate:
        gating.release(gate.pid)
        assert gate.status() == 7


@machines
def test_a_stop_and_a_continue_by_others_open_it(machine: str) -> None:
    with Gate(argv(machine, ["/bin/sh", "sh", "-c", "exit 7"])) as gate:
        gate.process.send_signal(signal.SIGSTOP)
        until(lambda: proc.state(gate.pid) == "T")
        gate.process.send_signal(signal.SIGCONT)
        assert gate.status() == 7


@machines
def test_a_signal_that_ends_programs_ends_it(machine: str) -> None:
    with Gate(argv(machine, ["/bin/true", "true"])) as gate:
        gate.process.terminate()
        assert gate.status() == -signal.SIGTERM


@pytest.mark.needs("strace")
def test_it_names_its_tracer_to_yama(tmp_path: Path) -> None:
    """Before it takes the name that says that it waits; whether Yama is in this kernel or not."""
    log = tmp_path / "log"
    run(["strace", "-X", "raw", "-e", "trace=prctl", "-o", str(log), *argv(HERE, ["/bin/true", "true"], ms=0)])
    named, called = [line.partition(" = ")[0] for line in log.read_text().splitlines() if line.startswith("prctl")][:2]
    assert named.startswith(f"prctl(0x59616d61, {os.getpid()})")
    assert called.startswith('prctl(0xf, "straced-gate"')


def ignore_urgent() -> None:
    signal.signal(signal.SIGURG, signal.SIG_IGN)


def block_urgent() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGURG})


def nothing_special() -> None:
    pass


@pytest.mark.parametrize("prepare", [nothing_special, ignore_urgent, block_urgent])
def test_dispositions_and_mask_are_passed_on(prepare: Callable[[], None]) -> None:
    """Even those of the signal that opens it, whose owner then opens it another way."""
    show = ["grep", "Sig[BCI]", "/proc/self/status"]
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "preexec_fn": prepare}
    plain = subprocess.run(show, **options).stdout
    with Gate(argv(HERE, ["/bin/grep", *show]), **options) as gate:
        gating.release(gate.pid)
        assert gate.process.communicate(timeout=20)[0] == plain


def close_all() -> None:
    os.closerange(0, 3)


def few_descriptors() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))


@pytest.mark.parametrize("prepare", [nothing_special, close_all])
def test_descriptors_are_those_of_a_plain_start(prepare: Callable[[], None]) -> None:
    shown = []
    for words in (["sleep", "600"], argv(HERE, ["/bin/sleep", "sleep", "600"])):
        process = subprocess.Popen(words, preexec_fn=prepare)
        try:
            if shown:
                until(lambda pid=process.pid: waits(pid))  # type: ignore[misc]
                gating.release(process.pid)
            until(lambda pid=process.pid: proc.status(pid, "Name") == "sleep" and proc.state(pid) == "S")  # type: ignore[misc]
            folder = Path(f"/proc/{process.pid}/fd")
            shown.append({path.name: os.readlink(path) for path in folder.iterdir()})
        finally:
            process.kill()
            process.wait()
    assert shown[0] == shown[1]


def test_without_a_descriptor_it_waits_all_the_same() -> None:
    itself = str(PACKAGE / f"gate.{HERE}")  # a program that needs none either
    with Gate(argv(HERE, [itself, "gate"]), preexec_fn=few_descriptors) as gate:
        gating.release(gate.pid)
        assert gate.status() == 2
    assert run(argv(HERE, [itself, "gate"], ms=30), preexec_fn=few_descriptors).returncode == 2


def test_it_keeps_nothing_of_another_name() -> None:
    """The name it takes for the wait is the program's own again."""
    with Gate(argv(HERE, ["/bin/sleep", "sleep", "600"])) as gate:
        gating.release(gate.pid)
        until(lambda: proc.status(gate.pid, "Name") == "sleep")
        assert not waits(gate.pid)

"""perf's way to a tracepoint: its number is found with tracefs mounted or not; and who may not have it is told so."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from straced.tracers.ebpf import perf_events, preemption
from straced.tracers.ebpf.attaching import TRACEPOINTS
from tests.support.needs import require
from tests.support.owner import NOBODY, environment, python_of_nobody

NUMBERS = f"""
import json
from straced.tracers.ebpf import perf_events
names = {tuple(TRACEPOINTS.values())!r}
private, was = [], perf_events._private_tracefs
perf_events._private_tracefs = lambda: private.append(1) or was()
print(json.dumps([perf_events.may_open(names), len(private), perf_events.numbers(names)]))
"""
MOUNTED = 'umount -q /sys/kernel/tracing; mount -t tracefs none /sys/kernel/tracing && exec "$@"'
UNMOUNTED = 'umount -q /sys/kernel/tracing; mount -t tmpfs none /sys/kernel/tracing && exec "$@"'


@pytest.mark.needs("ebpf", "root", "unshare")
def test_numbers_with_and_without_a_mounted_tracefs() -> None:
    found = []
    environ = {**environment(), "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}
    for script in (MOUNTED, UNMOUNTED):
        argv = ["unshare", "-m", "sh", "-c", script, "sh", sys.executable, "-c", NUMBERS]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, env=environ)
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout))
    (mounted, looked, numbers), (unmounted, made, others) = found
    assert (mounted, unmounted) == (True, True)
    assert (looked, made) == (0, 1)
    assert numbers == others
    assert len(set(numbers.values())) == len(TRACEPOINTS)


@pytest.mark.needs("root", "setpriv")
def test_nobody_may_not_have_it() -> None:
    code = f"from straced.tracers.ebpf import perf_events\nprint(perf_events.may_open({tuple(TRACEPOINTS.values())!r}))"
    argv = [*NOBODY, python_of_nobody(), "-c", code]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, env=environment())
    assert (done.returncode, done.stdout.strip()) == (0, "False"), done.stderr


def test_an_unknown_tracepoint() -> None:
    require("ebpf")
    assert perf_events.may_open(tuple(TRACEPOINTS.values()))
    with pytest.raises(FileNotFoundError):
        perf_events.numbers(("raw_syscalls/sys_nothing",))


@pytest.fixture
def anew() -> object:
    """The answer is kept for as long as the process lives; not from one test to another."""
    preemption.programs_are_preempted.cache_clear()
    yield
    preemption.programs_are_preempted.cache_clear()


class Uname:
    """What a kernel says of itself."""

    def __init__(self, version: str) -> None:
        self.version = version


@pytest.mark.parametrize(
    ("version", "answer", "preempted"),
    [
        ("#1 SMP PREEMPT_DYNAMIC", (1, 0), True),
        ("#1 SMP PREEMPT_DYNAMIC", (1, 1), False),
        ("#1 SMP PREEMPT_DYNAMIC", (0, 0), False),
        ("#1 SMP PREEMPT_DYNAMIC", None, False),
        ("#1 SMP", (1, 0), False),
    ],
)
def test_whether_programs_are_preempted(
    anew: None, monkeypatch: pytest.MonkeyPatch, version: str, answer: tuple[int, int] | None, preempted: bool
) -> None:
    def ask() -> preemption._Answer:
        if answer is None:
            raise FileNotFoundError(2, "load")
        return preemption._Answer(*answer)

    monkeypatch.setattr(preemption, "_ask", ask)
    monkeypatch.setattr(preemption.os, "uname", lambda: Uname(version))
    assert preemption.programs_are_preempted() is preempted


@pytest.mark.needs("ebpf")
def test_this_kernel_is_asked(anew: None, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever it answers, nobody is alarmed; where the kernel is older than 7 the answer is no."""
    with caplog.at_level("WARNING", "straced.libbpf"):
        preempted = preemption.programs_are_preempted()
    assert not caplog.records
    if int(preemption.os.uname().release.split(".")[0]) < 7:
        assert not preempted

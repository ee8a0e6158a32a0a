"""What cannot be stopped is refused before ptrace has it (`tracers/strace/unstoppable.py`).

What a stop would end is said before (`workflows/ptrace_warning.py`, `tracers/strace/interrupted_calls.py`,
`tracers/strace/socket_timeouts.py`).
"""

from __future__ import annotations

import asyncio
import errno
import subprocess
import sys
from pathlib import Path

import pytest

from straced import Profiler, errors
from tests.support import proc
from tests.support.cli import popen_straced, straced
from tests.support.poll import auntil, until
from tests.support.workload import Starter, Workload

pytestmark = pytest.mark.needs("strace", "cc")


def _in_vfork(start: Starter) -> Workload:
    workload = start("vforkslow", 600)
    workload.go()
    until(lambda: proc.state(workload.pid) == "D", what="it waits in vfork")
    return workload


@pytest.mark.parametrize("words", [("trace", "--tracer", "strace"), ("attach", "--tracer", "strace")])
def test_a_vfork_parent_is_refused_at_once(words: tuple[str, ...], start: Starter) -> None:
    workload = _in_vfork(start)
    verb, *options = words
    done = straced(verb, workload.pid, *options, "-d", "1")
    done.assert_clear_error(4)
    assert f"{workload.pid} (gt) is suspended by vfork until its child executes or ends" in done.err
    (child,) = proc.children(workload.pid)
    assert f"trace the child: {child}" in done.err
    assert workload.untraced()
    assert proc.state(workload.pid) == "D"


async def test_the_library_has_a_type_for_it(profiler: Profiler, start: Starter) -> None:
    workload = _in_vfork(start)
    with pytest.raises(errors.UninterruptibleTarget) as caught:
        await asyncio.wait_for(profiler.attach(workload.pid), 10)
    assert (caught.value.pid, caught.value.code) == (workload.pid, "uninterruptible")


async def test_one_that_is_so_for_a_moment_is_attached_to(profiler: Profiler, start: Starter) -> None:
    """A storm of vforks is in state D at most looks, each time in another wait."""
    workload = start("storm")
    session = await profiler.attach(workload.pid)
    before = workload.ticks()
    await auntil(lambda: workload.ticks() > before + 5, what="it runs, traced")
    await session.detach()
    assert workload.untraced()


_CALLS = {"epoll_wait": "epoll_wait", "sigtimedwait": "sigtimedwait", "poll": ""}
"""A call, and what is said of it: some are restarted."""


@pytest.mark.parametrize("call", _CALLS)
@pytest.mark.parametrize("words", [("trace", "--tracer", "strace", "-o", "{}"), ("attach", "--tracer", "strace")])
def test_before_calls_are_ended_it_is_said(words: tuple[str, ...], call: str, start: Starter, tmp_path: Path) -> None:
    workload = start("block", call)
    workload.go()
    until(lambda: proc.state(workload.pid) == "S", what="it waits")
    verb, *options = words
    filled = [word.format(tmp_path / "trace") for word in options]
    process = popen_straced(verb, workload.pid, *filled, "-d", "0.5")
    assert process.stderr is not None
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    said = [line for line in err.decode().splitlines() if line.startswith("straced: the attach makes waiting calls")]
    ends = f" of {workload.pid} return EINTR: {_CALLS[call]} in 1 task (eBPF does not)"
    assert [line.removeprefix("straced: the attach makes waiting calls") for line in said] == [ends] * bool(
        _CALLS[call]
    )


_RECEIVES = """
import ctypes, socket, struct
one, other = socket.socketpair()
one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", int({seconds}), 0))
libc = ctypes.CDLL(None, use_errno=True)
print("ready", flush=True)
print(libc.recv(one.fileno(), ctypes.create_string_buffer(1), 1, 0), ctypes.get_errno(), flush=True)
"""


@pytest.mark.parametrize(("seconds", "ends"), [(600, True), (0, False)])
def test_a_socket_with_a_timeout_is_known(seconds: int, ends: bool, tmp_path: Path) -> None:
    """Its waiting call is not restarted; one without a timeout is, and the socket itself is none the worse for it."""
    code = _RECEIVES.format(seconds=seconds)
    target = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert target.stdout is not None
        assert target.stdout.readline() == "ready\n"
        until(lambda: proc.state(target.pid) == "S", what="it waits")
        process = popen_straced("trace", "--tracer", "strace", target.pid, "-d", "0.5", "-o", str(tmp_path / "trace"))
        _, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        said = "return EINTR: recvfrom in 1 task" in err.decode()
        assert said == ends, err
        if ends:
            assert target.stdout.readline() == f"-1 {errno.EINTR}\n"
        else:
            until(lambda: proc.state(target.pid) == "S", what="it waits on")  # restarted, it runs for a moment
    finally:
        target.kill()
        target.wait()
        target.stdout.close()

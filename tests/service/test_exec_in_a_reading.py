"""A child that is found by a reading and begins another program in the middle of it: each call is its program's.

Of `service/collect/call_counter.py` and `tracers/ebpf/reader.py`.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import functools
import os
import signal
from pathlib import Path

import pytest

from straced import syscalls
from straced.config import watch_rules
from straced.model.tick import Tick
from straced.service.collect.collector import Watcher
from straced.tracers.ebpf import EbpfTracer
from straced.tracers.ebpf.engine import Engine
from tests.service.needs import needs_ebpf
from tests.service.processes import popen
from tests.support.poll import until

SHELL, OTHER = (os.path.basename(os.path.realpath(path)) for path in ("/bin/sh", "/bin/sleep"))
SCRIPT = "read go; (read go < {gate}; umask > /dev/null; exec /bin/sleep 300) & echo $!; wait"


def _runs(pid: int, program: str) -> bool:
    return os.path.basename(os.readlink(f"/proc/{pid}/exe")) == program


def _call(pid: int) -> str:
    """The call that it waits in; nothing while it runs."""
    number = Path(f"/proc/{pid}/syscall").read_text().split()[0]
    return "" if number in ("running", "-1") else syscalls.syscall_name(int(number))


def _add(sums: collections.Counter[tuple[str, str]], tick: Tick) -> None:
    for sample in tick.processes:
        program = os.path.basename(sample.facts.exe or "")
        for call in sample.calls or ():
            sums[program, call.name] += call.calls or 0
        for call in sample.ended:
            sums[call.program, call.name] += call.calls or 0


@needs_ebpf
async def test_the_last_calls_before_an_execve_are_the_former_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    sums: collections.Counter[tuple[str, str]] = collections.Counter()
    watcher, child, resume = Watcher(EbpfTracer()), 0, Engine.resume
    waiting: list[int] = []

    def resume_after_the_execve(engine: Engine) -> None:
        """The reading is over, and nothing has been handed on yet."""
        while waiting:
            pid = waiting.pop()
            gate.write_text("go\n")
            until(functools.partial(_runs, pid, OTHER))
        resume(engine)

    monkeypatch.setattr(Engine, "resume", resume_after_the_execve)
    with popen(["sh", "-c", SCRIPT.format(gate=gate)]) as process:
        try:
            watcher.set_rules([watch_rules.parse(str(process.pid), {})])
            _add(sums, (await watcher.tick())[0])
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("go\n")
            process.stdin.flush()
            child = int(await asyncio.to_thread(process.stdout.readline))
            until(lambda: _call(child))
            waiting.append(child)
            for _ in range(4):
                _add(sums, (await watcher.tick(look=False))[0])
            assert not waiting
            until(lambda: "nanosleep" in _call(child))  # all that the other program calls before it rests
            _add(sums, (await watcher.tick(look=False))[0])
        finally:
            if child:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            process.kill()
            await watcher.close()
    assert (sums[SHELL, "umask"], sums[SHELL, "execve"]) == (2, 1)
    assert (sums[OTHER, "umask"], sums[OTHER, "execve"], sums[OTHER, "brk"] > 0) == (0, 0, True)

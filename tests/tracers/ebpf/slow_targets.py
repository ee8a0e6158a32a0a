"""Programs whose slow calls are known: each is made to last by who starts it, and by nothing else."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from straced.model.slow import SlowCalls, SlowSyscall
from straced.model.types import Summary
from straced.profiling.profiler import Profiler
from straced.profiling.session import Session
from straced.syscalls import native_abi, number_of, syscall_name
from straced.tracers.base import AttachOptions
from tests.support.poll import auntil

LIMIT_S = 0.02
OPTIONS = AttachOptions(slower_ns=int(LIMIT_S * 1e9), slow_rate=0)


class Script:
    """A Python program that waits for a line before it begins, and before it ends."""

    def __init__(self, code: str, folder: Path, *arguments: object, before: str = "") -> None:
        text = f"import os, socket, sys\n{before}\nsys.stdin.readline()\n{code}\nsys.stdin.readline()\n"
        argv = [sys.executable, "-c", text, *map(str, arguments)]
        self.process = subprocess.Popen(argv, cwd=folder, stdin=subprocess.PIPE)
        self.pid = self.process.pid

    def go(self) -> None:
        """Let it begin, or end."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    async def waits(self) -> None:
        """Wait until it waits for its first line: what Python does at its start is over, and is not counted."""
        line = f"{number_of('read', native_abi())} 0x0 "
        await auntil(lambda: Path(f"/proc/{self.pid}/syscall").read_text().startswith(line), 30, "it waits for a line")

    async def inside(self, name: str, path: Path | None = None) -> None:
        """Wait until it has been in a call for longer than the limit.

        Args:
            name: of the call.
            path: what its first argument, a descriptor, stands for.
        """
        await auntil(lambda: self._is_in(name, path), 30, f"it is in {name}")
        await asyncio.sleep(1.5 * LIMIT_S)  # which is what makes the call slow

    def _is_in(self, name: str, path: Path | None) -> bool:
        number, *arguments = Path(f"/proc/{self.pid}/syscall").read_text().split()
        if not number.isdecimal() or syscall_name(int(number)) != name:
            return False
        try:
            return path is None or os.readlink(f"/proc/{self.pid}/fd/{int(arguments[0], 16)}") == str(path)
        except FileNotFoundError:  # it goes on, and has closed that
            return False

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()


@asynccontextmanager
async def slow_session(script: Script, options: AttachOptions = OPTIONS) -> AsyncIterator[Session]:
    """A session with a limit; the script is let go, and ended with it."""
    try:
        async with Profiler("ebpf") as profiler:
            await script.waits()
            session = await profiler.attach_for(None, script.pid, options)
            script.go()
            yield session
    finally:
        script.close()


def told(summary: Summary) -> SlowCalls:
    """The slow calls of a summary."""
    assert summary.slow is not None
    assert (
        summary.slow.seen
        == sum(not call.inside for call in summary.slow.calls) + summary.slow.untold + summary.slow.lost
    )
    return summary.slow


def about(slow: SlowCalls, folder: Path) -> list[SlowSyscall]:
    """Those that are about files of a folder, in the order in which they began."""
    found = [call for call in slow.calls if (call.path or "").startswith(str(folder))]
    return sorted(found, key=lambda call: call.start_ns)


def fifo(path: Path) -> Path:
    """A new FIFO."""
    os.mkfifo(path)
    return path

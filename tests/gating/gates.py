"""Gates started by hand, for this machine and, in qemu-user, for the other."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from straced import gating
from straced.linux import procfs
from tests.support import proc
from tests.support.needs import require
from tests.support.poll import until

PACKAGE = Path(gating.__file__).parent
MACHINES = ("x86_64", "aarch64")
LONG_MS = 600_000


def bare(machine: str) -> list[str]:
    """The gate itself, as it is run here."""
    runner = []
    if platform.machine() != machine:
        require(f"qemu-{machine}")
        runner = [shutil.which(f"qemu-{machine}") or ""]
    return [*runner, str(PACKAGE / f"gate.{machine}")]


def argv(
    machine: str, program: Sequence[str | bytes], *, ms: int = LONG_MS, owner: int = 0, start: int = 0
) -> list[Any]:
    """The words that start a gate for a path and an argv; its owner is this process when none is named."""
    owner = owner or os.getpid()
    start = start or procfs.stat(owner).start_ticks
    return [*bare(machine), "straced-gate", "1", str(ms), str(owner), str(start), *program]


def waits(pid: int) -> bool:
    """Whether it has come to its wait."""
    return proc.status(pid, "Name") == "straced-gate" and proc.state(pid) == "S"


class Gate:
    """A gate that waits; ended with the ``with`` block, should it not have opened."""

    def __init__(self, words: Sequence[Any], **options: Any) -> None:
        self.process = subprocess.Popen(words, **options)
        self.pid = self.process.pid

    def __enter__(self) -> Gate:
        until(lambda: waits(self.pid) or self.process.poll() is not None, 20, "it waits")
        assert self.process.poll() is None, "it is closed"
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def status(self) -> int:
        """How the program ended; within a bound."""
        return self.process.wait(20)


def run(words: Sequence[Any], **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run a gate that opens by itself to its end."""
    return subprocess.run(words, capture_output=True, timeout=20, **options)

"""Programs with a known truth: started, held until *go*, and never left behind."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

SOURCES = Path(__file__).parent / "workloads"
FREESTANDING = ("-m32", "-O1", "-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector")
READY_TIMEOUT_S = 10
END_TIMEOUT_S = 200
READS = ("0", "3", "63")
"""Numbers of read(2): x86-64, i386, arm64."""


def build(folder: Path) -> Path:
    """Compile ``gt``, and ``st32`` where the compiler can."""
    subprocess.run(["gcc", "-O1", "-o", folder / "gt", SOURCES / "gt.c", "-pthread"], check=True, timeout=60)
    subprocess.run(
        ["gcc", *FREESTANDING, "-o", folder / "st32", SOURCES / "st32.c"],
        check=False,
        timeout=60,
        stderr=subprocess.DEVNULL,
    )
    return folder


class Workload:
    """A program that waits for *go* on its stdin after it said ready on its stdout.

    ``held`` waits until it is inside that read, so that the read is in flight at an attach, and never counted.
    """

    def __init__(self, argv: Sequence[str | Path], *, ready: bool = True, held: bool = True) -> None:
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.pid = self.process.pid
        if ready:
            assert self.said() == b"r", "the workload is not ready"
        deadline = time.monotonic() + READY_TIMEOUT_S
        while ready and held and Path(f"/proc/{self.pid}/syscall").read_text().split()[0] not in READS:
            assert time.monotonic() < deadline, "the workload does not wait"
            time.sleep(0.0005)

    def go(self) -> None:
        """Let it begin."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"g")

    def said(self, timeout_s: float = READY_TIMEOUT_S) -> bytes:
        """The letter that it says next; none where it says nothing within that time."""
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], timeout_s)
        return os.read(self.process.stdout.fileno(), 1) if readable else b""

    def end(self) -> int:
        """Wait for its end, and return its status."""
        return self.process.wait(END_TIMEOUT_S)

    def run(self) -> int:
        """Begin, and wait for the end."""
        self.go()
        return self.end()

    def close(self) -> None:
        """End it by force if need be; it has no children that outlive it."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(END_TIMEOUT_S)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()

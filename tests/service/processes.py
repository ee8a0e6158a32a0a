"""Real processes for the tests of the service: each says when it is ready, and is gone when its test is."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

READY = "import sys, os, time\nprint('ready', flush=True)\n"


def start(code: str, *, name: str | None = None, **options: object) -> subprocess.Popen[str]:
    """Run Python code that prints ``ready`` (``READY`` does) and return once it has."""
    argv = [name or sys.executable, "-S", "-c", code]
    process = subprocess.Popen(
        argv,
        executable=sys.executable,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **options,  # type: ignore[call-overload]
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "ready"
    return process


def end(process: subprocess.Popen[str]) -> None:
    """Kill and reap, whatever state it is in."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGCONT)
        process.kill()
    process.wait(10)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


@contextlib.contextmanager
def running(code: str = READY + "sys.stdin.read()", **options: object) -> Iterator[subprocess.Popen[str]]:
    """A process for the length of a block."""
    process = start(code, **options)  # type: ignore[arg-type]
    try:
        yield process
    finally:
        end(process)


def as_nobody() -> list[str]:
    """The words before a command that make it run as another user."""
    assert os.geteuid() == 0
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def popen(argv: list[str]) -> subprocess.Popen[str]:
    """A process with pipes."""
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@contextlib.contextmanager
def public_folder() -> Iterator[Path]:
    """A folder that other users may enter. Not pytest's own: each run of it takes that right away from all others."""
    with tempfile.TemporaryDirectory(prefix="straced-public-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def folder_of_nobody(inside: Path) -> Path:
    """A folder in which another user may write."""
    folder = inside / "nobody"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    return folder

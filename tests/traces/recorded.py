"""Real traces for tests: recorded with the strace that is installed here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import msgspec

from straced.traces.native import choice
from straced.traces.parsing.selection import TraceSelection
from straced.traces.report.request import ReportRequest
from straced.traces.values import TraceReport
from straced.workflows.report import make
from tests.support.needs import require
from tests.support.pace import PACE

_MIXED = """
import os, signal, subprocess, sys, threading, time
for _ in range(17):
    try: os.stat("/nope \\x1b[31m) = 5 <0.5>")
    except OSError: pass
open("/dev/null").close()
signal.signal(signal.SIGUSR1, lambda *a: None)
os.kill(os.getpid(), signal.SIGUSR1)
threads = [threading.Thread(target=time.sleep, args=(0.01,)) for _ in range(3)]
for t in threads: t.start()
for t in threads: t.join()
subprocess.run(["/bin/sh", "-c", "exit 7"])
if os.fork() == 0: os.kill(os.getpid(), signal.SIGKILL)
os.wait()
sys.exit(3)
"""
MIXED = (sys.executable, "-I", "-S", "-c", _MIXED)
"""A program with failed calls, signals, threads and children: its status is 3, and that of a child 7."""
OURS = ("-f", "-ttt", "-T", "-yy", "-s", "128")
SHORT_BYTES = 300_000
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "HOME": "/nonexistent"}


def need(name: str) -> str:
    """A program, or a skip that says why; a failure where ``STRACED_REQUIRE`` names it."""
    require(name)
    found = shutil.which(name)
    assert found is not None
    return found


def record(folder: Path, argv: Sequence[str], flags: Sequence[str] = OURS, name: str = "trace") -> Path:
    """Run a command under strace and return the trace."""
    out = folder / name
    subprocess.run(
        [need("strace"), *flags, "-o", str(out), "--", *argv],
        check=False,
        cwd=folder,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=60 * PACE,
    )
    return out


def report(
    path: Path | str, *, jobs: int = 1, counts: bool = False, selection: TraceSelection | None = None
) -> TraceReport:
    """The report of a trace; of a short one, when both readers say the same."""
    request = ReportRequest(file=str(path), jobs=jobs, counts_only=counts, selection=selection or TraceSelection())
    made = make(request)
    short = isinstance(path, Path) and path.is_file() and path.stat().st_size < SHORT_BYTES
    if short and not selection and choice.is_wanted() and choice.is_there():
        with mock.patch.dict(os.environ, {choice.CHOICE: "python"}):
            assert msgspec.json.encode(make(request)) == msgspec.json.encode(made)
    return made


def calls_of(made: TraceReport) -> dict[str, int | None]:
    """Calls by name."""
    return {row.name: row.calls for row in made.summary.rows}

"""Real traces for tests: recorded with the strace that is installed here."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from straced.traces.parsing.selection import TraceSelection
from straced.traces.values import TraceReport
from straced.workflows.report import Wanted, make
from tests.support.needs import require

OURS = ("-f", "-ttt", "-T", "-yy", "-s", "128")
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
        timeout=60,
    )
    return out


def report(
    path: Path | str, *, jobs: int = 1, counts: bool = False, selection: TraceSelection | None = None
) -> TraceReport:
    """The report of a trace."""
    return make(Wanted(file=str(path), jobs=jobs, counts_only=counts, selection=selection or TraceSelection()))


def calls_of(made: TraceReport) -> dict[str, int | None]:
    """Calls by name."""
    return {row.name: row.calls for row in made.summary.rows}

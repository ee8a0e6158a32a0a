"""Traces that a test writes itself: small ones that show one thing."""

from __future__ import annotations

from pathlib import Path

from straced.traces.values import ProcessReport, TraceReport
from tests.traces.recorded import report

START = 1_790_000_000.0


def lines(*texts: str, pid: int = 70, step_s: float = 1.0) -> str:
    """Lines of one task in the form of ``-f -ttt -T -o FILE``, a second apart."""
    return "".join(f"{pid}    {START + number * step_s:.6f} {text}\n" for number, text in enumerate(texts))


def report_of(folder: Path, text: str, *, counts: bool = False) -> TraceReport:
    """The report of a trace with this text."""
    path = folder / "log"
    path.write_text(text)
    return report(path, counts=counts)


def processes_of(made: TraceReport) -> dict[int, ProcessReport]:
    """Processes by pid."""
    return {process.pid: process for process in made.processes}

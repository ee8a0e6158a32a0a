"""The soak: thousands of attaches, kills and cancels. Only under ``make soak`` (STRACED_SOAK=1); it takes minutes.

STRACED_SOAK_SCALE=0.1 does a tenth of everything. The figures are printed as a table at the end.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support import proc
from tests.support.workload import Workload
from tests.support.world import describe

if os.environ.get("STRACED_SOAK") != "1":
    collect_ignore_glob = ["test_*.py"]

SCALE = float(os.environ.get("STRACED_SOAK_SCALE", "1"))


class Figures:
    """What was done, how often, and what came of it."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, int, str, float]] = []

    @contextmanager
    def row(self, what: str, times: int) -> Iterator[dict[str, object]]:
        """Time a soak; the block fills in its findings."""
        found: dict[str, object] = {}
        started = time.monotonic()
        yield found
        text = ", ".join(f"{key} {value}" for key, value in found.items())
        self.rows.append((what, times, text, time.monotonic() - started))


FIGURES = Figures()


@pytest.fixture
def figures() -> Figures:
    """Where a soak writes its row."""
    return FIGURES


def times(count: int) -> int:
    """``count``, scaled."""
    return max(3, int(count * SCALE))


def survivors(pids: list[int], seconds: float = 3.0) -> int:
    """How many of these processes still live after ``seconds``; returns as soon as none does."""
    deadline = time.monotonic() + seconds
    while (left := [pid for pid in pids if proc.alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.002)
    for pid in left:
        print("survivor:", describe(pid))
    return len(left)


def tracers_of(target: Workload) -> set[int]:
    """Who traces any task of it."""
    return {task.tracer for task in proc.tasks(target.pid).values() if task.tracer}


def harmed(targets: list[Workload], seconds: float = 3.0) -> int:
    """How many targets are still traced, or do not run, after ``seconds``."""
    deadline = time.monotonic() + seconds
    first = [target.ticks() for target in targets]

    def unwell() -> int:
        return sum(
            not target.untraced() or (target.ticks() == before and not target.stopped_on_purpose)
            for target, before in zip(targets, first, strict=True)
        )

    while (left := unwell()) and time.monotonic() < deadline:
        time.sleep(0.002)
    if left:
        for target in targets:
            print("harmed:", target.process.args, target.ticks(), target.harm(), *map(describe, tracers_of(target)))
    return left


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    if FIGURES.rows:
        terminalreporter.section("soak")
        terminalreporter.write_line("| soak | times | found | seconds |")
        terminalreporter.write_line("| --- | ---: | --- | ---: |")
        for what, count, text, seconds in FIGURES.rows:
            terminalreporter.write_line(f"| {what} | {count:,} | {text} | {seconds:.0f} |")

"""What of a trace is counted beside the ordered pass: figures, restarts, and threads where nothing else tells them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from straced.traces.analysis.last_calls import EndsOfTasks
from straced.traces.analysis.partial_counts import TallyResult, result_of
from straced.traces.analysis.tally import LineTally
from straced.traces.analysis.thread_groups import ThreadGroups
from straced.traces.parsing.line_format import Form
from straced.traces.parsing.restarts import Restarts

if TYPE_CHECKING:
    from straced.traces.analysis.worker import TraceWorker


class BlockCounting(Protocol):
    """Counts the blocks of one trace, in order."""

    def feed(self, block: bytes, number: int) -> None:
        """Count a block whose first line has this number."""

    def spread(self, jobs: int) -> None:
        """Use this many cores from now on; a second call changes nothing."""

    def finish(self) -> list[TallyResult]:
        """Return the figures of all blocks, in parts."""

    def close(self) -> None:
        """Let go of everything, finished or not."""


class PythonCounting:
    """Counts in Python, here or in worker processes."""

    def __init__(
        self, form: Form, restarts: Restarts, threads: ThreadGroups | None, ends: EndsOfTasks | None, *, ticks: bool
    ) -> None:
        self._here = LineTally(form, ticks=ticks)
        self._form, self._ticks = form, ticks
        self._restarts = restarts
        self._threads = threads
        self._ends = ends
        self._workers: list[TraceWorker] = []
        self._turn = 0

    def spread(self, jobs: int) -> None:
        """Start worker processes; with the ordered pass, this one has enough to do."""
        if not self._workers:
            helpers = jobs - 1 if self._threads is None else jobs
            from straced.traces.analysis.worker import TraceWorker, WorkerTask

            task = WorkerTask(form=self._form, ticks=self._ticks)
            self._workers = [TraceWorker(task) for _ in range(helpers)]

    def feed(self, block: bytes, number: int) -> None:
        """Count a block."""
        if self._workers:
            self._workers[self._turn % len(self._workers)].feed(block, number)
            self._turn += 1
        else:
            self._here.feed(block, number)
        self._restarts.feed(block)
        if self._threads is not None:
            self._threads.feed(block)
        if self._ends is not None:
            self._ends.feed(block, number)

    def finish(self) -> list[TallyResult]:
        """Return the figures of this process and of the workers."""
        return [*(worker.finish() for worker in self._workers), result_of(self._here)]

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            worker.kill()

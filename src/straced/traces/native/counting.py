"""Counts blocks by the native core, here or in a thread: the core lets other threads run while it reads a block.

One tally sees all blocks in order, however many cores there are, so that their number changes nothing.
"""

from __future__ import annotations

import queue
import threading

from straced.traces.analysis.last_calls import EndsOfTasks
from straced.traces.analysis.partial_counts import TallyResult
from straced.traces.analysis.thread_groups import ThreadGroups
from straced.traces.native.library import NativeLibrary
from straced.traces.native.tally import NativeTally
from straced.traces.parsing.line_format import Form
from straced.traces.parsing.restarts import Restarts

_MOST_WAITING = 4
"""Blocks, of a megabyte each."""


class NativeCounting:
    """Figures, restarts and threads of one trace."""

    def __init__(
        self,
        library: NativeLibrary,
        form: Form,
        restarts: Restarts,
        threads: ThreadGroups | None,
        ends: EndsOfTasks | None,
        *,
        ticks: bool,
    ) -> None:
        self._tally = NativeTally(library, form, ticks=ticks)
        self._restarts = restarts
        self._threads = threads
        self._ends = ends
        self._waiting: queue.Queue[tuple[bytes, int] | None] = queue.Queue(_MOST_WAITING)
        self._thread: threading.Thread | None = None
        self._alone = False
        """No thread could be had."""
        self._failure: BaseException | None = None

    def spread(self, jobs: int) -> None:
        """Count in a thread from now on, where one can be had."""
        if self._thread is None and not self._alone:
            thread = threading.Thread(target=self._serve, name="straced-counting", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                self._alone = True
            else:
                self._thread = thread

    def feed(self, block: bytes, number: int) -> None:
        """Count a block, or leave it to the thread; waits when that is behind."""
        if self._thread is None:
            self._count(block, number)
        else:
            self._raise_failure()
            self._waiting.put((block, number))

    def finish(self) -> list[TallyResult]:
        """Return the figures, when all blocks are counted."""
        self.close()
        self._raise_failure()
        return [self._tally.finish()]

    def close(self) -> None:
        """End the thread, behind the blocks that it has."""
        if self._thread is not None:
            thread, self._thread = self._thread, None
            self._waiting.put(None)
            thread.join()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _serve(self) -> None:
        while (item := self._waiting.get()) is not None:
            if self._failure is None:
                try:
                    self._count(*item)
                except BaseException as failure:  # raised again where the blocks come from
                    self._failure = failure

    def _count(self, block: bytes, number: int) -> None:
        found = self._tally.feed(block, number)
        if found.restarts or self._restarts.follows:
            self._restarts.feed(block)
        if self._threads is not None and found.births:
            self._threads.feed(block, found.births)
        if self._ends is not None:
            self._ends.feed(block, number)

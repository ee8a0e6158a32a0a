"""An event loop on a thread of its own, for threads that wait."""

from __future__ import annotations

import asyncio
import concurrent.futures
import errno
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from straced.errors import ForkedCopy, NoResources, StracedError

Result = TypeVar("Result")


class SharedLoop:
    """Runs coroutines for many threads; the loop is started with the first of them."""

    def __init__(self) -> None:
        self._running: _LoopThread | None = None
        self._locks: dict[int, threading.RLock] = {}  # by process: a fork may copy a locked one, never to be released

    def wait_for(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine, and return its result.

        Raises:
            ForkedCopy: the loop is that of the process that this one was forked from.
            NoResources: it cannot be started.
            StracedError: it was stopped meanwhile, by another thread.
        """
        try:
            with self._lock():  # so that nothing is handed to a loop that is about to stop
                if self._running is None:
                    self._running = _LoopThread()
                future = self._running.submit(work)
        except BaseException:
            work.close()
            raise
        return _answer(future)

    def call(self, function: Callable[[], Result]) -> Result:
        """Call a function in the loop, and return its result.

        Raises:
            ForkedCopy: the loop is that of the process that this one was forked from.
            NoResources: it cannot be started.
            StracedError: it was stopped meanwhile, by another thread.
        """

        async def calling() -> Result:
            return function()

        return self.wait_for(calling())

    def stop(self, last: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Run one more coroutine, and end the thread. Idempotent; in a forked copy it does nothing."""
        with self._lock():
            running = self._running
            if running is None or not running.mine:
                return
            try:
                _answer(running.submit(last()))
            finally:
                self._running = None
                running.stop()

    def _lock(self) -> threading.RLock:
        return self._locks.setdefault(os.getpid(), threading.RLock())


class _LoopThread:
    """An event loop, and the thread that runs it."""

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        try:
            self._loop = self._runner.get_loop()
        except OSError as error:
            raise NoResources(error.errno or errno.EMFILE) from error
        self._thread = threading.Thread(target=self._run, daemon=True, name="straced-loop")
        try:
            self._thread.start()
        except RuntimeError as error:
            self._runner.close()
            raise NoResources(errno.EAGAIN) from error

    @property
    def mine(self) -> bool:
        """False in a forked copy: its loop has no thread there."""
        return os.getpid() == self._owner

    def submit(self, work: Coroutine[Any, Any, Result]) -> concurrent.futures.Future[Result]:
        if not self.mine:
            raise ForkedCopy("Profiler", self._owner)
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def stop(self) -> None:
        """End the loop; who still waits for work of it is told so."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        with self._runner:  # at its end, what still runs is cancelled
            self._loop.run_forever()


def _answer(future: concurrent.futures.Future[Result]) -> Result:
    try:
        return future.result()
    except concurrent.futures.CancelledError as error:
        raise StracedError("the profiler was closed meanwhile", hint="close it when its threads are done") from error
    except BaseException:
        future.cancel()
        raise

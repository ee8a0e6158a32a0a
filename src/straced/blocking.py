"""The Profiler for programs without an event loop: the same names, each call waits.

with straced.blocking.Profiler() as profiler:
    session = profiler.attach(pid)
    ...
    summary = session.detach()

Any number of threads may share a profiler and its sessions.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import errno
import os
import threading
from collections.abc import Coroutine, Iterator, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from straced.errors import ForkedCopy, NoResources, StracedError
from straced.model.types import Sample, Summary, Target
from straced.profiling import profiler as _profiler
from straced.profiling import session as _session
from straced.tracers.base import Ending

Result = TypeVar("Result")


class BlockingProfiler:
    """See :class:`straced.Profiler`. Its event loop runs on a thread of its own, started with the first call.

    One that was made before a fork may be used by one of the two processes afterwards, the first that does; a copy of
    one in use raises :class:`~straced.errors.ForkedCopy`, and leaving its ``with`` block does nothing.
    """

    def __init__(self, tracer: str = "auto", *, max_overhead_pct: float | None = None, max_tasks: int = 1000) -> None:
        self._inner = _profiler.Profiler(tracer, max_overhead_pct=max_overhead_pct, max_tasks=max_tasks)
        self._running: _LoopThread | None = None
        self._locks: dict[int, threading.RLock] = {}  # by process: a fork may copy a locked one, never to be released

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def attach(self, pid: int, **options: Any) -> BlockingSession:
        """See :meth:`straced.Profiler.attach`."""
        return BlockingSession(self, self.wait_for(self._inner.attach(pid, **options)))

    def spawn(self, argv: Sequence[str | os.PathLike[str]], **options: Any) -> BlockingSession:
        """See :meth:`straced.Profiler.spawn`."""
        return BlockingSession(self, self.wait_for(self._inner.spawn(argv, **options)))

    def close(self) -> None:
        """End all sessions and the thread. Idempotent; in a forked copy it does nothing."""
        with self._lock():
            running = self._running
            if running is None or not running.mine:
                return
            try:
                _answer(running.submit(self._inner.close()))
            finally:
                self._running = None
                running.stop()

    def wait_for(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine on this profiler's loop and return its result.

        Raises:
            ForkedCopy: the profiler is in use by the process that this one was forked from.
            StracedError: it was closed meanwhile, by another thread.
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


class BlockingSession:
    """See :class:`straced.Session`."""

    def __init__(self, profiler: BlockingProfiler, inner: _session.Session) -> None:
        self._profiler = profiler
        self._inner = inner

    @property
    def target(self) -> Target:
        return self._inner.target

    @property
    def tracer(self) -> str:
        return self._inner.tracer

    def read(self) -> Sample:
        """See :meth:`straced.Session.read`."""
        return self._profiler.wait_for(self._inner.read())

    def summary(self, since: Sample | None = None) -> Summary:
        """See :meth:`straced.Session.summary`."""
        return self._profiler.wait_for(self._inner.summary(since))

    def every(self, seconds: float) -> Iterator[Summary]:
        """See :meth:`straced.Session.every`."""
        windows = self._inner.every(seconds)

        async def following() -> Summary | None:
            return await anext(windows, None)

        while (summary := self._profiler.wait_for(following())) is not None:
            yield summary

    def wait(self) -> Ending:
        """See :meth:`straced.Session.wait`."""
        return self._profiler.wait_for(self._inner.wait())

    def result(self) -> Summary:
        """See :meth:`straced.Session.result`."""
        return self._profiler.wait_for(self._inner.result())

    def detach(self) -> Summary:
        """See :meth:`straced.Session.detach`."""
        return self._profiler.wait_for(self._inner.detach())


Profiler = BlockingProfiler
"""As it is called from outside: ``straced.blocking.Profiler``."""
Session = BlockingSession

"""The Profiler for programs without an event loop: the same names, each call waits.

with straced.blocking.Profiler() as profiler:
    session = profiler.attach(pid)
    ...
    summary = session.detach()
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine, Iterator, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from straced import profiler as _profiler
from straced import session as _session
from straced.model import Sample, Summary, Target
from straced.tracers.base import Ending

Result = TypeVar("Result")


class Profiler:
    """See :class:`straced.Profiler`. Its event loop runs on a thread of its own, started with the first call."""

    def __init__(self, tracer: str = "auto", *, max_overhead_pct: float | None = None, max_tasks: int = 1000) -> None:
        self._inner = _profiler.Profiler(tracer, max_overhead_pct=max_overhead_pct, max_tasks=max_tasks)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def attach(self, pid: int, **options: Any) -> Session:
        """See :meth:`straced.Profiler.attach`."""
        return Session(self, self.wait_for(self._inner.attach(pid, **options)))

    def spawn(self, argv: Sequence[str | os.PathLike[str]], **options: Any) -> Session:
        """See :meth:`straced.Profiler.spawn`."""
        return Session(self, self.wait_for(self._inner.spawn(argv, **options)))

    def close(self) -> None:
        """End all sessions and the thread. Idempotent."""
        if self._loop is None or self._thread is None:
            return
        self.wait_for(self._inner.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = None

    def wait_for(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine on this profiler's loop and return its result."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="straced-loop")
            self._thread.start()
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise


class Session:
    """See :class:`straced.Session`."""

    def __init__(self, profiler: Profiler, inner: _session.Session) -> None:
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

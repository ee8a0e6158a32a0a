"""Sessions that run in the service, as the client sees them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

from straced.client.connection import Channel
from straced.client.events import RemoteEvents, RemoteSlowCalls
from straced.concurrency.shielding import carry
from straced.errors import NotLive
from straced.ipc import messages
from straced.model.types import Sample, Summary, Target
from straced.profiling.arguments import check_interval
from straced.tracers.base import Ending

ENDING_S = 1.0
"""How long the news of an end may take."""


class RemoteSession:
    """Tell what one target does, as the service counts it; made by :meth:`Client.attach`.

    It is as :class:`straced.Session`, and ends with the connection. Leaving it as an ``async with`` block detaches.
    """

    process: asyncio.subprocess.Process | None = None
    """The program, when :meth:`Client.spawn` started it; the caller's own, to wait for or to kill."""

    def __init__(
        self,
        client: Channel,
        attached: messages.Attached,
        labels: dict[str, str],
        on_end: Callable[[RemoteSession], None],
    ) -> None:
        self.target: Target = attached.target
        """The process, as it was at the attach."""
        self.tracer: str = attached.tracer
        """The tracer that counts: ``ebpf``."""
        self.tracer_reason = f"{attached.tracer_reason}; by the service" if attached.tracer_reason else "by the service"
        """Why this tracer serves."""
        self.labels = labels
        """Kept with every summary."""
        self._client = client
        self._params = messages.SessionParams(session=attached.session)
        self._result: Summary | None = None
        self._over = client.work(self._attend())
        self._over.add_done_callback(lambda _: on_end(self))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.detach()

    async def _attend(self) -> Ending:
        ended = await self._client.request("session.wait", self._params, messages.Ended, timeout_s=None)
        return Ending(reason=ended.reason, exit_status=ended.exit_status)

    @property
    def uses_ptrace(self) -> bool:
        """Whether the target is slowed down by ptrace(2): no, the service counts in the kernel only."""
        return False

    @property
    def helper_pids(self) -> list[int]:
        """The pids of this process's helpers: none, they are the service's."""
        return []

    @property
    def alive(self) -> bool:
        """Whether the target is still being counted, as far as the service has told."""
        return not self.ended

    @property
    def ended(self) -> bool:
        """Whether the session is over, so that :meth:`result` does not wait for the target."""
        return self._result is not None or self._over.done()

    def request_stop(self) -> None:
        """Do nothing: :meth:`detach`, which is to follow, is one request."""

    async def read(self) -> Sample:
        """Read the raw counters without detaching.

        Returns:
            The counters so far, of what is the caller's; after the end, the last ones.

        Raises:
            NotPermitted: the target is not the caller's any more.
            ServiceUnreachable: the service went away, or does not answer.
            StracedError: what the service refused with, as its own type.
        """
        return await self._client.request("session.read", self._params, Sample)

    async def summary(self, since: Sample | None = None) -> Summary:
        """Sum up what the target did, without detaching.

        Args:
            since: one of the last eight :meth:`read` of this session; the attach when left out.

        Returns:
            The figures from then until now; the result once the session is over and ``since`` is left out.

        Raises:
            InvalidArgument: the service does not keep this reading any more.
            NotPermitted: the target is not the caller's any more.
            ServiceUnreachable: the service went away, or does not answer.
            StracedError: what the service refused with, as its own type.
        """
        if self._result is not None and since is None:
            return self._result
        return await self._between(since, None)

    async def _between(self, since: Sample | None, until: Sample | None) -> Summary:
        params = messages.SummaryParams(
            session=self._params.session,
            since_ns=since.monotonic_ns if since is not None else None,
            until_ns=until.monotonic_ns if until is not None else None,
        )
        return await self._client.request("session.summary", params, Summary)

    def events(self) -> RemoteEvents:
        """Listen to the forks, execs and exits of the target and its descendants.

        Returns:
            An asynchronous iterator of :class:`straced.Event`, in the order in which they happened, until the session
            is over. The service is asked at this call, and listens some milliseconds later: enter the iterator as an
            ``async with`` block to be told of all that happens in it.

        Raises:
            NoEventLoop: no asyncio loop runs here.
        """
        return RemoteEvents(self._client, self._params)

    def slow_calls(self) -> RemoteSlowCalls:
        """Listen to the calls that take longer than the limit that this session was given.

        Returns:
            An asynchronous iterator of :class:`straced.SlowSyscall`, each as it returns, and before that once while it
            is inside, until the session is over. The service is asked at this call; without a limit it refuses at the
            first step. Enter the iterator as an ``async with`` block to be told of all that happens in it.

        Raises:
            NoEventLoop: no asyncio loop runs here.
        """
        return RemoteSlowCalls(self._client, self._params)

    def every(self, seconds: float) -> AsyncIterator[Summary]:
        """Sum up each interval, on a fixed cadence, until the session is over.

        Args:
            seconds: the length of an interval, more than 0.

        Returns:
            An asynchronous iterator of summaries, one an interval; the last one may be shorter.

        Raises:
            InvalidArgument: no interval can be this long.
            ServiceUnreachable: at a step, the service went away.
            StracedError: at a step, what the service refused with, as its own type.
        """
        check_interval(seconds)
        return self._windows(seconds)

    async def _windows(self, seconds: float) -> AsyncIterator[Summary]:
        before: Sample | None = None
        due = time.monotonic()
        if self._result is not None:
            return
        while True:
            due += seconds
            done, _ = await asyncio.wait({self._over}, timeout=max(0.0, due - time.monotonic()))
            if done:
                yield await self._between(before, None)
                return
            try:
                sample = await self.read()
            except NotLive:  # it has just ended, or a full trace has the target for a while
                await asyncio.wait({self._over}, timeout=min(seconds, ENDING_S))
                continue
            yield await self._between(before, sample)
            before = sample

    async def wait(self) -> Ending:
        """Wait until the session is over.

        Returns:
            Why it is: the target ended, a limit was reached, or somebody detached.

        Raises:
            NotPermitted: the target is not the caller's any more.
            ServiceUnreachable: the service went away, or the connection was closed.
            StracedError: what the service refused with, as its own type.
        """
        return await self._client.outcome(self._over)

    async def result(self) -> Summary:
        """Wait until the session is over, and sum it up.

        Returns:
            The final summary; kept, so it may be asked for again.

        Raises:
            NotPermitted: the target is not the caller's any more.
            ServiceUnreachable: the service went away.
            StracedError: what the service refused with, as its own type.
        """
        if self._result is None:
            self._result = await self._client.request("session.result", self._params, Summary, timeout_s=None)
        return self._result

    async def detach(self, why: str = "detach") -> Summary:
        """Let go of the target, which runs on in the state that it was in. Idempotent.

        Once begun it is done, whether or not the caller is cancelled.

        Args:
            why: what the summary gives as its ``end``, at most 64 characters; ``detach`` is told as ``detached``.

        Returns:
            The final summary.

        Raises:
            NotPermitted: the target is not the caller's any more.
            ServiceUnreachable: the service went away, or does not answer.
            StracedError: what the service refused with, as its own type.
        """
        if self._result is None:
            await carry(self._detach(why))
        assert self._result is not None
        return self._result

    async def _detach(self, why: str) -> None:
        params = messages.DetachParams(session=self._params.session, why=why)
        self._result = await self._client.request("session.detach", params, Summary)

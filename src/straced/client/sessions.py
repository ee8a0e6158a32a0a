"""Sessions that run in the service, as the client sees them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from straced.client.connection import Channel
from straced.concurrency.shielding import carry
from straced.errors import NotLive
from straced.ipc import messages
from straced.model.types import Sample, Summary, Target
from straced.profiling.limits import check_interval
from straced.tracers.base import Ending

ENDING_S = 1.0
"""How long the news of an end may take."""


class RemoteSession:
    """As :class:`straced.profiling.session.Session`, in the service."""

    def __init__(self, client: Channel, attached: messages.Attached, labels: dict[str, str]) -> None:
        self.target: Target = attached.target
        self.tracer = attached.tracer
        self.tracer_reason = f"{attached.tracer_reason}; by the service" if attached.tracer_reason else "by the service"
        self.labels = labels
        self.process: asyncio.subprocess.Process | None = None
        """The program, when :meth:`straced.client.client.Client.spawn` started it."""
        self._client = client
        self._params = messages.SessionParams(session=attached.session)
        self._result: Summary | None = None

    @property
    def helper_pids(self) -> list[int]:
        """None here: they are the service's."""
        return []

    def request_stop(self) -> None:
        """Nothing to do beforehand: :meth:`detach` is one request."""

    async def read(self) -> Sample:
        """The raw counters so far."""
        return await self._client.request("session.read", self._params, Sample)

    async def summary(self, since: Sample | None = None) -> Summary:
        """The figures since the attach, or since an earlier :meth:`read`; the result once the session is over."""
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

    def every(self, seconds: float) -> AsyncIterator[Summary]:
        """A summary of each interval, on a fixed cadence, until the target ends; the last one may be shorter.

        Raises:
            InvalidArgument: no interval can be this long.
        """
        check_interval(seconds)
        return self._windows(seconds)

    async def _windows(self, seconds: float) -> AsyncIterator[Summary]:
        before: Sample | None = None
        due = time.monotonic()
        ended = asyncio.ensure_future(self.wait())
        try:
            while True:
                due += seconds
                done, _ = await asyncio.wait({ended}, timeout=max(0.0, due - time.monotonic()))
                if done:
                    yield await self._between(before, None)
                    return
                try:
                    sample = await self.read()
                except NotLive:  # it has just ended, or is lent to a full trace for a while
                    await asyncio.wait({ended}, timeout=min(seconds, ENDING_S))
                    continue
                yield await self._between(before, sample)
                before = sample
        finally:
            ended.cancel()

    async def wait(self) -> Ending:
        """Until the session is over."""
        ended = await self._client.request("session.wait", self._params, messages.Ended, timeout_s=None)
        return Ending(reason=ended.reason, exit_status=ended.exit_status)

    async def result(self) -> Summary:
        """The final summary, once the session is over."""
        if self._result is None:
            self._result = await self._client.request("session.result", self._params, Summary, timeout_s=None)
        return self._result

    async def detach(self) -> Summary:
        """Let go of the target, and return the final summary. Idempotent; once begun it is done, cancelled or not."""
        if self._result is None:
            await carry(self._detach())
        assert self._result is not None
        return self._result

    async def _detach(self) -> None:
        self._result = await self._client.request("session.detach", self._params, Summary)

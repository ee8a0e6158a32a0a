"""The end of a session: noticed by itself, whoever brought it about, and told to all who wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Self

from straced.concurrency.shielding import carry
from straced.model.types import Sample, Summary
from straced.profiling import segments
from straced.profiling.attaching import AttachedTarget
from straced.profiling.handover import HandedTarget
from straced.tracers.base import AttachOptions, Ending, TracerSession


class AttendedTarget(HandedTarget):
    """A target whose end is noticed, and which is let go of then."""

    def __init__(
        self,
        attached: AttachedTarget,
        options: AttachOptions,
        labels: dict[str, str],
        on_end: Callable[[Self], None],
        watch: Callable[[Self], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        super().__init__(attached, options)
        self.labels = labels
        """Kept with every summary."""
        self.tracer_reason = attached.tracer_reason
        """Why this tracer serves: ``asked for``, or what ruled out those before it."""
        self._reasons = attached.reasons
        self._ending: Ending | None = None
        self._fault: Exception | None = None
        self._last_sample: Sample | None = None
        self._on_end: list[Callable[[Any], None]] = [on_end]
        self._watch: Callable[[Any], Coroutine[Any, Any, None]] | None = watch
        self._attendants: list[asyncio.Task[None]] = []
        self._enter()

    def _enter(self) -> None:
        """Before anything else, in every method: bind to this process and loop, and watch for the end in this loop."""
        if self._owner.enter() and self._result is None:
            self._attendants = [asyncio.create_task(self._attend())]
            if self._watch is not None and self._tracer.uses_ptrace:
                self._attendants.append(asyncio.create_task(self._watch(self)))

    def when_over(self, call: Callable[[Self], None]) -> None:
        """Call back once the session is over; at once when it is.

        Args:
            call: called in the event loop, with the session.
        """
        if self._result is None:
            self._on_end.append(call)
        else:
            call(self)

    def request_stop(self, why: str = "detach", grace_s: float | None = None) -> None:
        """Begin to let go without waiting, as when the caller is being cancelled; a ``detach`` is to follow.

        Args:
            why: what the summary gives as its end. That of the first call stands.
            grace_s: seconds that a helper may take before it is killed; else as the tracer has it.
        """
        if self._inner is not None and self._owner.here:
            self._inner.request_stop(why, grace_s)

    async def end(self, why: str = "detach", grace_s: float | None = None) -> Summary:
        """Let go of the target for a reason, within a time; see :meth:`Session.detach`.

        Args:
            why: what the summary gives as its end. That of the first call stands.
            grace_s: seconds that a helper may take before it is killed; else as the tracer has it.

        Returns:
            The final summary.

        Raises:
            NoResources: there is no descriptor to read a full trace back with; the target runs on, untraced.
            ForkedCopy: this is a copy in a forked child.
            NoEventLoop: no asyncio loop runs here.
        """
        self._enter()
        if self._result is None:
            self.request_stop(why, grace_s)
            await carry(self._let_go(why, grace_s))
        assert self._result is not None
        return self._result

    async def _let_go(self, why: str, grace_s: float | None) -> None:
        async with self._turns:
            if self._result is not None:
                return
            if self._recording is not None:
                await self._end_while_handed_over(self._recording, why)
                return
            inner = self._inner
            assert inner is not None, "out of its turns, a session has a tracer, a recording or a result"
            await inner.detach(why, grace_s)
            await self._finish(await inner.wait())

    async def _attend(self) -> None:
        """Until the session is over: notice the end of the target, or of the full trace that has it."""
        try:
            await self._attend_to_the_end()
        except Exception as error:  # whoever waits hears of it
            self._fault = error
            self._changed.happened()

    async def _attend_to_the_end(self) -> None:
        while self._result is None:
            inner, recording = self._inner, self._recording
            if recording is not None:
                ending = await recording.wait()
                await carry(self._take_back(recording, ending))
            elif inner is not None:
                ending = await inner.wait()
                await carry(self._end_of(inner, ending))
            else:
                await self._changed.wait()

    async def _end_of(self, inner: TracerSession, ending: Ending) -> None:
        async with self._turns:
            if self._inner is inner and self._result is None and self._owner.here:
                await self._finish(ending)

    async def _finish(self, ending: Ending) -> None:
        if (inner := self._inner) is not None:
            sample = await inner.detach()
            self._inner = None
            self._last_sample = sample
            self._counted.keep(sample, inner, self._tracer.name)
        self.target = segments.refreshed(self.target)
        self._result = self._summary(self._counted.segments, ending)
        self._ending = ending
        self._changed.happened()
        for attendant in self._attendants:
            attendant.cancel()  # one that waits for this very end is let through, and then ends
        calls, self._attendants, self._on_end = self._on_end, [], []
        for call in calls:
            call(self)

    def _summary(self, counted: Sequence[segments.Segment], ending: Ending, *, whole: bool = True) -> Summary:
        return segments.summary(
            counted,
            target=self.target,
            tracer_reason=self.tracer_reason,
            began=self._counted.began if whole else counted[0].start,
            ending=ending,
            follow=self.options.follow,
            labels=self.labels,
            gap_s=self._counted.gap_s if whole else None,
            reasons=self._reasons if whole else (),
        )

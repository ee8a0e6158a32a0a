"""A session: one target under profile, from attach to result, whatever tracers took turns in between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from straced.concurrency.shielding import carry
from straced.errors import NotLive
from straced.model.types import Event, Reason, Sample, Summary, Target
from straced.profiling import segments
from straced.profiling.handover import HandedTarget
from straced.profiling.intervals import check_interval
from straced.tracers.base import AttachOptions, Ending, EventSource, Tracer, TracerSession

if TYPE_CHECKING:
    from straced.tracers.strace.recording import Recording


class Session(HandedTarget):
    """What :meth:`Profiler.attach` returns. All methods may be called again after the end.

    It notices the end of its target by itself, and gives back what it holds, whether or not anybody asks. A forked
    copy is inert: its methods raise ForkedCopy.
    """

    def __init__(
        self,
        target: Target,
        tracer: Tracer,
        tracer_reason: str,
        inner: TracerSession | None,
        options: AttachOptions,
        labels: dict[str, str],
        on_end: Callable[[Session], None],
        *,
        recording: Recording | None = None,
        reasons: Sequence[Reason] = (),
        watch: Callable[[Session], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        """Own one target.

        Args:
            recording: in place of ``inner``: lent to a full trace from the beginning.
            reasons: of the whole.
            watch: runs beside the session for as long as its tracer uses ptrace.
        """
        super().__init__(target, options, tracer, inner, recording)
        self.labels = labels
        self.tracer_reason = tracer_reason
        self.process: asyncio.subprocess.Process | None = None
        """The program, when :meth:`Profiler.spawn` started it."""
        self._reasons = reasons
        self._ending: Ending | None = None
        self._fault: Exception | None = None
        self._last_sample: Sample | None = None
        self._on_end = [on_end]
        self._watch = watch
        self._attendants: list[asyncio.Task[None]] = []
        self._enter()

    def _enter(self) -> None:
        """Before anything else, in every method: bind to this process and loop, and watch for the end in this loop."""
        if self._owner.enter() and self._result is None:
            self._attendants = [asyncio.create_task(self._attend())]
            if self._watch is not None and self.uses_ptrace:
                self._attendants.append(asyncio.create_task(self._watch(self)))

    @property
    def tracer(self) -> str:
        """``ebpf``, ``strace`` or ``sampler``."""
        return self._tracer.name

    @property
    def uses_ptrace(self) -> bool:
        """Whether the target is slowed down by ptrace, and nothing is told of it before the end."""
        return self._tracer.uses_ptrace

    @property
    def helper_pids(self) -> list[int]:
        """Live straces of this session's counting."""
        return self._inner.helper_pids if self._inner is not None and self._owner.here else []

    @property
    def inner(self) -> TracerSession | None:
        """The tracer's session; ``None`` while the target is lent to a full trace, and after the end."""
        return self._inner

    @property
    def recording(self) -> Recording | None:
        """The full trace that has the target now."""
        return self._recording

    @property
    def began(self) -> segments.Instant:
        """When counting began."""
        return self._counted.began

    @property
    def ended(self) -> bool:
        """Whether :meth:`result` is there."""
        return self._result is not None

    @property
    def final(self) -> Summary | None:
        """What :meth:`result` returns, once the session is over."""
        return self._result

    @property
    def last_sample(self) -> Sample | None:
        """The last counters of the tracer that saw the end."""
        return self._last_sample

    @property
    def alive(self) -> bool:
        """Whether the target is still being counted, or is lent to a full trace."""
        if self._result is not None or not self._owner.here:
            return False
        return self._recording is not None or self._inner is None or self._inner.alive

    def when_over(self, call: Callable[[Session], None]) -> None:
        """Call back once the session is over; at once when it is."""
        if self._result is None:
            self._on_end.append(call)
        else:
            call(self)

    async def read(self) -> Sample:
        """The raw counters so far, without detaching; after the end, the last ones.

        Raises:
            NotLive: strace tells nothing before its end, nor anybody while the target is lent to a full trace.
        """
        self._enter()
        if self._inner is not None:
            return await self._inner.read()
        if self._last_sample is None:
            raise NotLive("the target is lent to a full trace", hint="wait until that is over", pid=self.target.pid)
        return self._last_sample

    async def summary(self, since: Sample | None = None) -> Summary:
        """The figures since the attach, or since an earlier :meth:`read`; the result once the session is over."""
        self._enter()
        if self._result is not None and since is None:
            return self._result
        return self._so_far(await self.read(), since, self._ending or Ending(reason="running"))

    def events(self) -> AsyncIterator[Event]:
        """Forks, execs and exits of the target and its descendants, from now on, until the session is over.

        Raises:
            NotLive: only eBPF sees them as they happen.
        """
        self._enter()
        if self._result is not None and self._tracer.tells_events:
            return _nothing()
        if isinstance(self._inner, EventSource):
            return self._inner.events()
        raise NotLive(f"the {self.tracer} tracer tells no events", hint="use --tracer ebpf", pid=self.target.pid)

    def every(self, seconds: float) -> AsyncIterator[Summary]:
        """A summary of each interval, on a fixed cadence, until the target ends; the last one may be shorter.

        Raises:
            InvalidArgument: no interval can be this long.
            NotLive: strace tells nothing before its end.
        """
        check_interval(seconds)
        self._enter()
        if self._result is None and self.uses_ptrace:
            raise NotLive(
                "strace gives its counts when it lets go, so there are no windows",
                hint="use --tracer ebpf, which is live",
                pid=self.target.pid,
            )
        return self._windows(seconds)

    async def _windows(self, seconds: float) -> AsyncIterator[Summary]:
        before: Sample | None = None
        due = time.monotonic()
        if self._result is not None:
            return
        while True:
            due += seconds
            await self._over_within(due - time.monotonic())
            if self._result is not None:  # somebody may have detached in this very moment
                last = self._result
                if self._last_sample is not None:
                    last = self._so_far(self._last_sample, before, self._ending or Ending(reason="exited"))
                yield last
                return
            sample = await self.read()
            yield self._so_far(sample, before, Ending(reason="running"))
            before = sample

    async def _over_within(self, seconds: float) -> None:
        """Let so much time pass, or less if the session is over before."""
        until = time.monotonic() + seconds
        await asyncio.sleep(0)  # a reader that is late lets others run all the same
        while self._result is None and (left := until - time.monotonic()) > 0:
            await self._changed.wait(left)

    async def wait(self) -> Ending:
        """Until the session is over: the target ended, a limit was reached, or somebody detached."""
        self._enter()
        while self._ending is None:
            if self._fault is not None:
                raise self._fault
            await self._changed.wait()
        return self._ending

    async def result(self) -> Summary:
        """The final summary, once the session is over; kept, so it may be asked for again."""
        await self.wait()
        assert self._result is not None
        return self._result

    async def detach(self, why: str = "detach", grace_s: float | None = None) -> Summary:
        """Let go of the target, and return the final summary. Idempotent; once begun it is done, cancelled or not."""
        self._enter()
        if self._result is None:
            self.request_stop(why, grace_s)
            await carry(self._let_go(why, grace_s))
        assert self._result is not None
        return self._result

    def request_stop(self, why: str = "detach", grace_s: float | None = None) -> None:
        """Begin to let go without waiting, as when the caller is being cancelled."""
        if self._inner is not None and self._owner.here:
            self._inner.request_stop(why, grace_s)

    async def _let_go(self, why: str, grace_s: float | None) -> None:
        async with self._turns:
            if self._result is not None:
                return
            if self._recording is not None:
                await self._end_while_lent(self._recording, why)
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

    # --- the end ---

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

    def _so_far(self, sample: Sample, since: Sample | None, ending: Ending) -> Summary:
        """The figures up to ``sample``: since the attach, all stretches of it, or since an earlier sample."""
        inner, tracer = self._inner, self._tracer.name
        if since is not None:
            window = segments.window_of(since, sample, inner, tracer)
            return self._summary([window], ending, whole=False)
        if inner is not None:
            return self._summary(self._counted.with_now(sample, inner, tracer), ending)
        return self._summary(self._counted.segments, ending)

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


async def _nothing() -> AsyncIterator[Event]:
    nothing: tuple[Event, ...] = ()
    for event in nothing:
        yield event

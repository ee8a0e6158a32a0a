"""A session: one target under profile, from attach to result, whatever tracers took turns in between."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from straced.concurrency.ownership import OwnerBinding
from straced.concurrency.shielding import Signal, Turns, attempt, carry
from straced.errors import NotLive, StracedError
from straced.linux import procfs
from straced.model.types import Event, Quality, Reason, Sample, Summary, Target
from straced.profiling import segments
from straced.profiling.limits import check_interval, watch_limits
from straced.tracers.base import AttachOptions, Ending, Tracer, TracerSession

if TYPE_CHECKING:
    from straced.tracers.strace.recording import Recording

_TARGET_ENDED = ("exited", "killed(")


class Session:
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
    ) -> None:
        """``recording`` in place of ``inner``: lent to a full trace from the beginning. ``reasons``: of the whole."""
        self.target = target
        self.options = options
        self.labels = labels
        self.tracer_reason = tracer_reason
        self.process: asyncio.subprocess.Process | None = None
        """The program, when :meth:`Profiler.spawn` started it."""
        self._tracer = tracer
        self._inner: TracerSession | None = inner
        self._parts: list[segments.Segment] = []
        self._reasons = reasons
        self._began = segments.Instant.now() if recording is None else segments.Instant.at(recording.started_ns)
        self._part_began = self._began
        self._gap_s: float | None = None
        self._ending: Ending | None = None
        self._result: Summary | None = None
        self._on_end = [on_end]
        self._turns = Turns()
        self._changed = Signal()
        """The session is over, or the target was lent or came back."""
        self._recording = recording
        self._attendants: list[asyncio.Task[None]] = []
        self._owner = OwnerBinding("Session")
        self._enter()

    def _enter(self) -> None:
        """Before anything else, in every method: bind to this process and loop, and watch for the end in this loop."""
        if self._owner.enter() and self._result is None:
            self._attendants = [asyncio.create_task(self._attend())]
            if self._tracer.name == "strace":
                self._attendants.append(asyncio.create_task(watch_limits(self)))

    @property
    def tracer(self) -> str:
        """``ebpf``, ``strace`` or ``sampler``."""
        return self._tracer.name

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
        return self._began

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
        return self._recording is not None or self._inner is None or bool(getattr(self._inner, "alive", True))

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
        listen = getattr(self._inner, "events", None)
        if self._result is not None and self._tracer.name == "ebpf":
            listen = _nothing
        if listen is None:
            raise NotLive(f"the {self.tracer} tracer tells no events", hint="use --tracer ebpf", pid=self.target.pid)
        stream: AsyncIterator[Event] = listen()
        return stream

    def every(self, seconds: float) -> AsyncIterator[Summary]:
        """A summary of each interval, on a fixed cadence, until the target ends; the last one may be shorter.

        Raises:
            InvalidArgument: no interval can be this long.
            NotLive: strace tells nothing before its end.
        """
        check_interval(seconds)
        self._enter()
        if self._result is None and self._tracer.name == "strace":
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
        if self._inner is not None and self._owner.here and hasattr(self._inner, "request_stop"):
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
            if hasattr(inner, "request_stop"):
                inner.request_stop(why, grace_s)
                await inner.detach(why, grace_s)  # type: ignore[call-arg]
            else:
                await inner.detach()
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

    # --- lending the target to a full trace ---

    async def lend(self, start: Callable[[], Awaitable[Recording]], beside: Tracer | None = None) -> Recording:
        """Give the target over to a full trace: ptrace has one tracer a process. What was counted so far is kept.

        Args:
            start: starts the recording; if it fails, or is cancelled, counting goes on.
            beside: a tracer that can count while the trace runs, and does from then on. Without one the trace's own
                lines are counted, and strace takes the target back when it ends.

        Raises:
            NotLive: the session has ended, or is lent already.
        """
        self._enter()
        return await attempt(self._lend(start, beside), self._recall)

    async def _recall(self, recording: Recording) -> None:
        """End a full trace, and wait until it has given the target back."""
        await recording.abandon()
        await self.settled()

    async def _lend(self, start: Callable[[], Awaitable[Recording]], beside: Tracer | None) -> Recording:
        async with self._turns:
            inner = self._inner
            if inner is None:
                raise NotLive("the session has ended, or is lent already", pid=self.target.pid)
            follower = None
            if beside is not None:
                with contextlib.suppress(StracedError):
                    follower = await beside.attach(self.target, self.options)
            try:
                await carry(self._set_down(inner))
                if beside is None or follower is None:
                    recording = await start()
            except BaseException:
                if follower is not None:
                    await follower.detach()
                await carry(self._resume())
                raise
            if beside is not None and follower is not None:
                self._tracer = beside
                self._baseline = await follower.read()
                self._go_on(follower)
                return await start()
            self._recording = recording
            self._add_gap(recording.started_ns)
            self._changed.happened()
            return recording

    async def _set_down(self, inner: TracerSession) -> None:
        self._inner = None
        self._keep(await inner.detach("taken_over"), inner)  # type: ignore[call-arg]

    def _go_on(self, inner: TracerSession) -> None:
        self._inner = inner
        self._part_began = segments.Instant.now()
        self._add_gap(self._part_began.monotonic_ns)
        self._changed.happened()

    async def settled(self) -> None:
        """Until a full trace that has ended has given the target back, and counting goes on or is over."""
        self._enter()
        while self._result is None and self._inner is None and not (self._recording and self._recording.alive):
            await self._changed.wait()

    async def _take_back(self, recording: Recording, ending: Ending) -> None:
        async with self._turns:
            if self._recording is not recording or self._result is not None or not self._owner.here:
                return
            await self._keep_recording(recording)
            self._recording = None
            if ending.reason.startswith(_TARGET_ENDED):
                await self._finish(ending)
            else:
                await self._resume()

    async def _resume(self) -> None:
        try:
            inner = await self._tracer.attach(self.target, self.options)
        except Exception:
            await self._finish(Ending(reason="exited" if not self._target_alive() else "lost"))
            return
        self._go_on(inner)

    async def _end_while_lent(self, recording: Recording, why: str) -> None:
        """Detached while a full trace runs: the trace goes on, and its lines so far count."""
        await self._keep_recording(recording)
        self._recording = None
        await self._finish(Ending(reason={"detach": "detached"}.get(why, why)))

    async def _keep_recording(self, recording: Recording) -> None:
        self._parts.append(await asyncio.to_thread(segments.stretch_of_recording, recording))  # it may be a gigabyte
        self._gap_from = self._parts[-1].end.monotonic_ns

    def _keep(self, sample: Sample, inner: TracerSession) -> None:
        self._parts.append(self._stretch(segments.between(self._baseline, sample), inner, segments.Instant.now()))
        self._gap_from = self._parts[-1].end.monotonic_ns
        self._baseline = None

    def _stretch(self, sample: Sample, inner: TracerSession, end: segments.Instant) -> segments.Segment:
        coverage = getattr(inner, "coverage", None)
        return segments.Segment(
            tracer=self._tracer.name,
            sample=sample,
            start=self._part_began,
            end=end,
            overhead=inner.overhead(sample, end.monotonic_ns - self._part_began.monotonic_ns),
            tasks_traced=getattr(coverage, "traced", None),
            tasks_seen=getattr(coverage, "seen", None),
        )

    def _add_gap(self, until_ns: int) -> None:
        self._gap_s = (self._gap_s or 0.0) + max(0, until_ns - self._gap_from) / 1e9

    # --- the end ---

    _gap_from: int = 0
    _baseline: Sample | None = None
    _last_sample: Sample | None = None
    _fault: Exception | None = None

    async def _finish(self, ending: Ending) -> None:
        if (inner := self._inner) is not None:
            sample = await inner.detach()
            self._inner = None
            self._last_sample = sample
            self._keep(sample, inner)
        self.target = segments.refreshed(self.target)
        self._result = segments.summary(
            self._parts,
            target=self.target,
            tracer_reason=self.tracer_reason,
            began=self._began,
            ending=ending,
            follow=self.options.follow,
            labels=self.labels,
            gap_s=self._gap_s,
            reasons=self._reasons,
        )
        self._ending = ending
        self._changed.happened()
        for attendant in self._attendants:
            attendant.cancel()  # one that waits for this very end is let through, and then ends
        calls, self._attendants, self._on_end = self._on_end, [], []
        for call in calls:
            call(self)

    def _so_far(self, sample: Sample, since: Sample | None, ending: Ending) -> Summary:
        """The figures up to ``sample``: since the attach, all stretches of it, or since an earlier sample."""
        end = segments.Instant(sample.monotonic_ns, sample.epoch_s)
        inner, began = self._inner, self._began
        pieces = []
        if since is not None:
            began = segments.Instant(since.monotonic_ns, since.epoch_s)
            overhead = Quality(kind="exact").overhead
            if inner is not None:
                overhead = inner.overhead(sample, end.monotonic_ns - began.monotonic_ns)
            window = segments.between(since, sample)
            pieces = [
                segments.Segment(tracer=self._tracer.name, sample=window, start=began, end=end, overhead=overhead)
            ]
        elif inner is not None:
            pieces = [*self._parts, self._stretch(segments.between(self._baseline, sample), inner, end)]
        return segments.summary(
            pieces or self._parts,
            target=self.target,
            tracer_reason=self.tracer_reason,
            began=began,
            ending=ending,
            follow=self.options.follow,
            labels=self.labels,
            gap_s=self._gap_s if since is None else None,
            reasons=self._reasons if since is None else (),
        )

    def _target_alive(self) -> bool:
        try:
            return procfs.stat(self.target.pid).start_ticks == self.target.start_ticks
        except procfs.Gone:
            return False
        except OSError:  # no descriptor to look with
            return True


async def _nothing() -> AsyncIterator[Event]:
    nothing: tuple[Event, ...] = ()
    for event in nothing:
        yield event

"""A session: one target under profile, from attach to result, whatever tracers took turns in between."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

from straced import compose, procfs
from straced.errors import NotLive, StracedError
from straced.limits import watch_limits
from straced.model import Event, Quality, Sample, Summary, Target
from straced.tracers.base import AttachOptions, Ending, Tracer, TracerSession

if TYPE_CHECKING:
    from straced.tracers.strace_record import Recording

_TARGET_ENDED = ("exited", "killed(")


class Session:
    """What :meth:`Profiler.attach` returns. All methods may be called again after the end."""

    def __init__(
        self,
        target: Target,
        tracer: Tracer,
        tracer_reason: str,
        inner: TracerSession,
        options: AttachOptions,
        labels: dict[str, str],
        on_end: Callable[[Session], None],
    ) -> None:
        self.target = target
        self.options = options
        self.labels = labels
        self.tracer_reason = tracer_reason
        self.process: asyncio.subprocess.Process | None = None
        """The program, when :meth:`Profiler.spawn` started it."""
        self._tracer = tracer
        self._inner: TracerSession | None = inner
        self._parts: list[compose.Stretch] = []
        self._began = compose.Moment.now()
        self._part_began = self._began
        self._gap_s: float | None = None
        self._ending: Ending | None = None
        self._result: Summary | None = None
        self._on_end = on_end
        self._lock = asyncio.Lock()
        self._resumed = asyncio.Event()
        self._recording: Recording | None = None
        self._watcher: asyncio.Task[None] | None = None
        if tracer.name == "strace":
            self._watcher = asyncio.create_task(watch_limits(self))

    @property
    def tracer(self) -> str:
        """``ebpf``, ``strace`` or ``sampler``."""
        return self._tracer.name

    @property
    def helper_pids(self) -> list[int]:
        """Live straces of this session's counting."""
        return self._inner.helper_pids if self._inner is not None else []

    @property
    def inner(self) -> TracerSession | None:
        """The tracer's session; ``None`` while the target is lent to a full trace, and after the end."""
        return self._inner

    @property
    def recording(self) -> Recording | None:
        """The full trace that has the target now."""
        return self._recording

    @property
    def ended(self) -> bool:
        """Whether :meth:`result` is there."""
        return self._result is not None

    @property
    def last_sample(self) -> Sample | None:
        """The last counters of the tracer that saw the end."""
        return self._last_sample

    @property
    def alive(self) -> bool:
        """Whether the target is still being counted, or is lent to a full trace."""
        if self._result is not None:
            return False
        return self._recording is not None or self._inner is None or bool(getattr(self._inner, "alive", True))

    async def read(self) -> Sample:
        """The raw counters so far, without detaching.

        Raises:
            NotLive: strace tells nothing before its end.
        """
        inner = self._inner
        if inner is None:
            raise RuntimeError("the session has ended, or is lent to a full trace")
        return await inner.read()

    async def summary(self, since: Sample | None = None) -> Summary:
        """The figures since the attach, or since an earlier :meth:`read`; the result once the session is over."""
        if self._result is not None and since is None:
            return self._result
        return self._so_far(await self.read(), since, Ending(reason="running"))

    def events(self) -> AsyncIterator[Event]:
        """Forks, execs and exits of the target and its descendants, from now on, until the session is over.

        Raises:
            NotLive: only eBPF sees them as they happen.
        """
        listen = getattr(self._inner, "events", None)
        if listen is None:
            raise NotLive(f"the {self.tracer} tracer tells no events", hint="use --tracer ebpf", pid=self.target.pid)
        stream: AsyncIterator[Event] = listen()
        return stream

    async def every(self, seconds: float) -> AsyncIterator[Summary]:
        """A summary of each interval, on a fixed cadence, until the target ends; the last one may be shorter."""
        before: Sample | None = None
        due = time.monotonic()
        if self._result is not None:
            return
        while True:
            due += seconds
            ended = asyncio.ensure_future(self.wait())
            await asyncio.wait({ended}, timeout=max(0.0, due - time.monotonic()))
            if ended.done() or self._result is not None:  # somebody may have detached in this very moment
                last = await self.result()
                if self._last_sample is not None:
                    last = self._so_far(self._last_sample, before, self._ending or Ending(reason="exited"))
                yield last
                return
            ended.cancel()
            sample = await self.read()
            yield self._so_far(sample, before, Ending(reason="running"))
            before = sample

    async def wait(self) -> Ending:
        """Until the session is over: the target ended, a limit was reached, or somebody detached."""
        while self._ending is None:
            inner = self._inner
            if inner is None:
                await self._resumed.wait()
                continue
            ending = await inner.wait()
            async with self._lock:
                if self._inner is inner and self._ending is None:
                    await self._finish(ending)
        return self._ending

    async def result(self) -> Summary:
        """The final summary, once the session is over; kept, so it may be asked for again."""
        await self.wait()
        assert self._result is not None
        return self._result

    async def detach(self, why: str = "detach", grace_s: float | None = None) -> Summary:
        """Let go of the target, and return the final summary. Idempotent."""
        while self._result is None:
            inner = self._inner
            if inner is None and self._recording is not None:
                async with self._lock:
                    await self._end_while_lent(why)
                continue
            if inner is not None and hasattr(inner, "request_stop"):
                inner.request_stop(why, grace_s)
            async with self._lock:
                if self._inner is not None and self._result is None:
                    if not hasattr(self._inner, "request_stop"):
                        await self._inner.detach()
                        await self._finish(Ending(reason="detached"))
                    else:
                        await self._inner.detach(why, grace_s)  # type: ignore[call-arg]
                        await self._finish(await self._inner.wait())
        return self._result

    def request_stop(self, why: str = "detach", grace_s: float | None = None) -> None:
        """Begin to let go without waiting, as when the caller is being cancelled."""
        if self._inner is not None and hasattr(self._inner, "request_stop"):
            self._inner.request_stop(why, grace_s)

    # --- lending the target to a full trace ---

    async def lend(self, start: Callable[[], Awaitable[Recording]], beside: Tracer | None = None) -> Recording:
        """Give the target over to a full trace: ptrace has one tracer a process. What was counted so far is kept.

        Args:
            start: starts the recording; if it fails, counting goes on.
            beside: a tracer that can count while the trace runs, and does from then on. Without one the trace's own
                lines are counted, and strace takes the target back when it ends.
        """
        async with self._lock:
            inner = self._inner
            if inner is None:
                raise RuntimeError("the session has ended, or is lent already")
            follower = None
            if beside is not None:
                with contextlib.suppress(StracedError):
                    follower = await beside.attach(self.target, self.options)
            self._inner = None
            self._resumed.clear()
            self._keep(await inner.detach("taken_over"), inner)  # type: ignore[call-arg]
            if beside is not None and follower is not None:
                self._tracer = beside
                self._baseline = await follower.read()
                self._go_on(follower)
                return await start()
            try:
                recording = await start()
            except BaseException:
                await self._resume()
                raise
            self._recording = recording
            self._add_gap(recording.started_ns)
            self._lent = asyncio.create_task(self._take_back(recording))
            return recording

    def _go_on(self, inner: TracerSession) -> None:
        self._inner = inner
        self._part_began = compose.Moment.now()
        self._add_gap(self._part_began.monotonic_ns)
        self._resumed.set()

    async def settled(self) -> None:
        """Until a full trace that has ended has given the target back, and counting goes on or is over."""
        if self._lent is not None:
            await asyncio.shield(self._lent)

    async def _take_back(self, recording: Recording) -> None:
        ending = await recording.wait()
        async with self._lock:
            if self._recording is not recording or self._result is not None:
                return
            self._recording = None
            await self._keep_recording(recording)
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

    async def _end_while_lent(self, why: str) -> None:
        """Detached while a full trace runs: the trace goes on, and its lines so far count."""
        if self._recording is not None and self._result is None:
            recording, self._recording = self._recording, None
            await asyncio.sleep(0)
            await self._keep_recording(recording)
            await self._finish(Ending(reason={"detach": "detached"}.get(why, why)))

    async def _keep_recording(self, recording: Recording) -> None:
        self._parts.append(await asyncio.to_thread(compose.stretch_of_recording, recording))  # it may be a gigabyte
        self._gap_from = self._parts[-1].end.monotonic_ns

    def _keep(self, sample: Sample, inner: TracerSession) -> None:
        self._parts.append(self._stretch(compose.between(self._baseline, sample), inner, compose.Moment.now()))
        self._gap_from = self._parts[-1].end.monotonic_ns
        self._baseline = None

    def _stretch(self, sample: Sample, inner: TracerSession, end: compose.Moment) -> compose.Stretch:
        coverage = getattr(inner, "coverage", None)
        return compose.Stretch(
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
    _lent: asyncio.Task[None] | None = None

    async def _finish(self, ending: Ending) -> None:
        inner, self._inner = self._inner, None
        if inner is not None:
            sample = await inner.detach()
            self._last_sample = sample
            self._keep(sample, inner)
        self.target = compose.refreshed(self.target)
        self._result = compose.summary(
            self._parts,
            target=self.target,
            tracer_reason=self.tracer_reason,
            began=self._began,
            ending=ending,
            follow=self.options.follow,
            labels=self.labels,
            gap_s=self._gap_s,
        )
        self._ending = ending
        self._resumed.set()
        if self._watcher is not None and self._watcher is not asyncio.current_task():
            self._watcher.cancel()
        self._on_end(self)

    def _so_far(self, sample: Sample, since: Sample | None, ending: Ending) -> Summary:
        """The figures up to ``sample``: since the attach, all stretches of it, or since an earlier sample."""
        end = compose.Moment(sample.monotonic_ns, sample.epoch_s)
        inner, began = self._inner, self._began
        pieces = []
        if since is not None:
            began = compose.Moment(since.monotonic_ns, since.epoch_s)
            overhead = Quality(kind="exact").overhead
            if inner is not None:
                overhead = inner.overhead(sample, end.monotonic_ns - began.monotonic_ns)
            window = compose.between(since, sample)
            pieces = [compose.Stretch(tracer=self._tracer.name, sample=window, start=began, end=end, overhead=overhead)]
        elif inner is not None:
            pieces = [*self._parts, self._stretch(compose.between(self._baseline, sample), inner, end)]
        return compose.summary(
            pieces or self._parts,
            target=self.target,
            tracer_reason=self.tracer_reason,
            began=began,
            ending=ending,
            follow=self.options.follow,
            labels=self.labels,
            gap_s=self._gap_s if since is None else None,
        )

    def _target_alive(self) -> bool:
        try:
            return procfs.stat(self.target.pid).start_ticks == self.target.start_ticks
        except procfs.Gone:
            return False

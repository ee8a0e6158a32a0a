"""A session of a client: what it may see of it, checked at each reading and after each exec."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import msgspec

from straced.errors import InvalidArgument, NotLive, NotPermitted, StracedError
from straced.ipc.messages import Told
from straced.linux import credentials, procfs
from straced.linux.credentials import Peer
from straced.model.slow import SlowSyscall, without
from straced.model.types import Event, Reason, Sample, Summary
from straced.profiling import segments
from straced.profiling.session import Session
from straced.service.api.event_listeners import EventListeners
from straced.tracers.base import Ending

RECHECK_S = 0.5
KEPT_SAMPLES = 8


class ClientSession:
    """A session, and whose it is."""

    def __init__(self, session: Session, peer: Peer) -> None:
        self.session = session
        self.peer = peer
        self._began = segments.Instant.now()
        self.refused: StracedError | None = None
        self._hidden = False
        self.listeners = EventListeners(lambda pid: not peer.is_root and self._is_hidden(pid))
        self._samples: dict[int, Sample] = {}
        self._guard = asyncio.create_task(self._watch())
        self._end = asyncio.create_task(session.wait())

    def counts_for(self, uid: int, pid: int) -> bool:
        """Whether it counts this process now, for this user."""
        return self.session.alive and (self.peer.uid, self.session.target.pid) == (uid, pid)

    def check(self) -> None:
        """Raise NotPermitted when the target is no longer the client's; the session is over then."""
        if self.refused is None and self.session.alive:
            try:
                credentials.require(self.peer, self.session.target.pid)
            except NotPermitted as error:
                self.refused = error
                self.session.request_stop()
            except StracedError:
                pass  # it has ended: what it did until then is the client's
        if self.refused is not None:
            raise self.refused

    async def read(self) -> Sample:
        """The counters, without the rows of descendants that are not the client's."""
        self.check()
        try:
            sample = await self.session.read()
        except RuntimeError as error:
            raise NotLive("the session has ended, or a full trace has its target", hint="ask for its result") from error
        self.check()
        visible = self._visible(sample)
        self._samples[visible.monotonic_ns] = visible
        while len(self._samples) > KEPT_SAMPLES:
            self._samples.pop(next(iter(self._samples)))
        return visible

    async def summary(self, since_ns: int | None, until_ns: int | None) -> Summary:
        """The figures since the attach, or since an earlier reading of this session; until another, or now."""
        since, until = self._kept(since_ns), self._kept(until_ns)
        if until is not None:
            self.check()
            return self._compose(until, since)
        if not self.session.ended:
            return self._compose(await self.read(), since)
        result = await self.result()
        last = self.session.last_sample
        return result if since is None or last is None else self._compose(self._visible(last), since)

    def _kept(self, at_ns: int | None) -> Sample | None:
        if at_ns is not None and at_ns not in self._samples:
            raise InvalidArgument(f"the reading of {at_ns} is not kept any more", hint="name one of the last few")
        return self._samples[at_ns] if at_ns is not None else None

    async def result(self) -> Summary:
        """The final figures, once the target has ended."""
        result = await self.session.result()
        self.check()
        if self._hidden and self._samples:
            return self._compose(list(self._samples.values())[-1], None)
        return result

    def _compose(self, sample: Sample, since: Sample | None) -> Summary:
        session = self.session
        start = self._began if since is None else segments.Instant(since.monotonic_ns, since.epoch_s)
        end = segments.Instant(sample.monotonic_ns, sample.epoch_s)
        change = segments.between(since, sample)
        overhead = session.overhead(change, end.monotonic_ns - start.monotonic_ns)
        piece = segments.Segment(tracer=session.tracer, sample=change, start=start, end=end, overhead=overhead)
        return segments.summary(
            [piece],
            target=session.target,
            tracer_reason=session.tracer_reason,
            began=start,
            ending=Ending(reason="running"),
            follow=session.options.follow,
            labels=session.labels,
            gap_s=None,
        )

    def _visible(self, sample: Sample) -> Sample:
        if self.peer.is_root:
            return sample
        slow = sample.slow.calls if sample.slow is not None else ()
        pids = {row.pid for row in sample.rows} | {call.pid for call in slow}
        hidden = {pid for pid in pids if pid is not None and self._is_hidden(pid)}
        if not hidden:
            return sample
        self._hidden = True
        reason = Reason("not_yours", f"{len(hidden)} descendants belong to somebody else and are left out")
        return msgspec.structs.replace(
            sample,
            rows=tuple(row for row in sample.rows if row.pid not in hidden),
            slow=without(sample.slow, hidden),
            files=None,
            io_uring=None,
            reasons=(*sample.reasons, reason),
            kind="partial" if sample.kind == "exact" else sample.kind,
        )

    def _is_hidden(self, pid: int) -> bool:
        try:
            return not self.peer.may_see(credentials.owner_of(pid))
        except (procfs.Gone, OSError, KeyError):
            return False

    def listen(self, what: Told = "events") -> int:
        """Listen to what happens to the target and its descendants from now on; the number to read by."""
        self.check()
        return self.listeners.add(self.session.slow_calls if what == "slow_calls" else self.session.events)

    async def events(self, listener: int) -> Sequence[Event | SlowSyscall]:
        """The next events of a listener, as soon as there are any; none at the end."""
        found = await self.listeners.read(listener)
        self.check()
        return found

    async def _watch(self) -> None:
        """An exec may make the target somebody else's at any time; what was counted since is not told then."""
        while self.session.alive and self.refused is None:
            with contextlib.suppress(NotPermitted):
                self.check()
            await asyncio.sleep(RECHECK_S)
        if self.refused is not None:
            await self.session.detach()

    async def close(self, why: str = "detach") -> Summary:
        """Let go of the target; returns the final figures."""
        if self.session.alive and not self.peer.is_root:
            with contextlib.suppress(StracedError, RuntimeError):
                await self.read()
        self._guard.cancel()
        self._end.cancel()
        result = await self.session.detach(why)
        if self._hidden and self._samples:
            return self._compose(list(self._samples.values())[-1], None)
        return result

"""Attaches and full traces that clients asked for: authorised when they begin, at each reading, and after each exec."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable

import msgspec

from straced import compose, procfs
from straced.errors import InvalidArgument, NotLive, NotPermitted, StracedError, TracerUnavailable
from straced.model import Overhead, Reason, Sample, Summary
from straced.profiler import Profiler
from straced.service import authorisation
from straced.service.authorisation import Peer
from straced.service.ipc import messages
from straced.service.ipc.connection import Connection
from straced.service.ipc.protocol import TooMuch
from straced.session import Session
from straced.tracers.base import Ending, Rights
from straced.tracers.strace_record import Recording, RecordOptions
from straced.tracers.trace_filter import trace_set

RECHECK_S = 0.5
KEPT_SAMPLES = 8


class ClientSession:
    """A session, and whose it is."""

    def __init__(self, session: Session, peer: Peer) -> None:
        self.session = session
        self.peer = peer
        self._began = compose.Moment.now()
        self.refused: StracedError | None = None
        self._hidden = False
        self._samples: dict[int, Sample] = {}
        self._guard = asyncio.create_task(self._watch())
        self._end = asyncio.create_task(session.wait())

    def check(self) -> None:
        """Raise NotPermitted when the target is no longer the client's; the session is over then."""
        if self.refused is None and self.session.alive:
            try:
                authorisation.require(self.peer, self.session.target.pid)
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
            raise NotLive("the session has ended, or is lent to a full trace", hint="ask for its result") from error
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
        start = self._began if since is None else compose.Moment(since.monotonic_ns, since.epoch_s)
        end = compose.Moment(sample.monotonic_ns, sample.epoch_s)
        change = compose.between(since, sample)
        inner = session.inner
        duration_ns = end.monotonic_ns - start.monotonic_ns
        overhead = inner.overhead(change, duration_ns) if inner is not None else Overhead(pct=None, basis="unknown")
        piece = compose.Stretch(tracer=session.tracer, sample=change, start=start, end=end, overhead=overhead)
        return compose.summary(
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
        hidden = {pid for pid in {row.pid for row in sample.rows} if pid is not None and self._is_hidden(pid)}
        if not hidden:
            return sample
        self._hidden = True
        reason = Reason("not_yours", f"{len(hidden)} descendants belong to somebody else and are left out")
        return msgspec.structs.replace(
            sample,
            rows=tuple(row for row in sample.rows if row.pid not in hidden),
            reasons=(*sample.reasons, reason),
            kind="partial" if sample.kind == "exact" else sample.kind,
        )

    def _is_hidden(self, pid: int) -> bool:
        try:
            return not self.peer.may_see(authorisation.owner_of(pid))
        except (procfs.Gone, OSError, KeyError):
            return False

    async def _watch(self) -> None:
        """An exec may make the target somebody else's at any time; what was counted since is not told then."""
        while self.session.alive and self.refused is None:
            with contextlib.suppress(NotPermitted):
                self.check()
            await asyncio.sleep(RECHECK_S)
        if self.refused is not None:
            await self.session.detach()

    async def close(self) -> Summary:
        """Let go of the target; returns the final figures."""
        if self.session.alive and not self.peer.is_root:
            with contextlib.suppress(StracedError, RuntimeError):
                await self.read()
        self._guard.cancel()
        self._end.cancel()
        result = await self.session.detach()
        if self._hidden and self._samples:
            return self._compose(list(self._samples.values())[-1], None)
        return result


class Sessions:
    """All sessions and traces of all clients.

    Args:
        profiler: made when the first client attaches.
        limit: of one user at a time.
    """

    def __init__(self, profiler: Callable[[], Profiler], limit: Callable[[], int]) -> None:
        self._profiler = profiler
        self._limit = limit
        self._number = 0
        self._open: dict[tuple[Connection, int], ClientSession | Recording] = {}
        self._ending: set[asyncio.Task[object]] = set()

    def __len__(self) -> int:
        return len(self._open)

    async def attach(self, client: Connection, params: messages.AttachParams) -> messages.Attached:
        """Count a process for a client."""
        authorisation.require(client.peer, params.pid)
        self._check_room(client.peer)
        if params.tracer not in ("auto", "ebpf"):
            raise TracerUnavailable(
                f"the service counts by eBPF, not by {params.tracer}",
                hint=f"without the service: straced attach {params.pid} --tracer {params.tracer}",
            )
        session = await self._profiler().attach(
            params.pid,
            follow=params.follow,
            labels=params.labels,
            time=params.time,
            per_thread=params.per_thread,
            user=None if client.peer.is_root else Rights(client.peer.uid, client.peer.gid, client.peer.capabilities),
        )
        found = ClientSession(session, client.peer)
        try:
            found.check()  # it may have become another between the first look and the attach
        except NotPermitted:
            await found.close()
            raise
        number = self._keep(client, found)
        return messages.Attached(
            session=number, target=session.target, tracer=session.tracer, tracer_reason=session.tracer_reason
        )

    async def trace(self, client: Connection, params: messages.TraceParams) -> messages.Attached:
        """Write a full trace into the file that came with the request, by a strace that runs as the client."""
        output = client.take_fd()
        if output is None:
            raise InvalidArgument("no file came with the request", hint="send its descriptor with SCM_RIGHTS")
        try:
            authorisation.require(client.peer, params.pid)
            self._check_room(client.peer)
            options = RecordOptions(
                follow=params.follow,
                timestamps=params.timestamps,
                decode_fds=params.decode_fds,
                string_bytes=params.string_bytes,
                trace=trace_set(params.trace) if params.trace else None,
                paths=params.paths,
                status="failed" if params.failed_only else None,
                max_bytes=params.max_bytes,
                min_free_bytes=params.min_free_bytes,
                max_seconds=params.max_seconds,
                run_as=None if client.peer.is_root else (client.peer.uid, client.peer.gid),
            )
            recording = await self._profiler().trace(params.pid, output, options)
        finally:
            os.close(output)
        number = self._keep(client, recording)
        return messages.Attached(session=number, target=recording.target, tracer="strace", tracer_reason="asked for")

    def get(self, client: Connection, number: int) -> ClientSession:
        """A counting session of this client."""
        found = self._open.get((client, number))
        if not isinstance(found, ClientSession):
            raise InvalidArgument(f"this connection has no session {number}")
        return found

    async def wait(self, client: Connection, number: int) -> messages.Ended:
        """Until a session or trace is over."""
        found = self._open.get((client, number))
        if found is None:
            raise InvalidArgument(f"this connection has no session {number}")
        if isinstance(found, Recording):
            return _ended(await found.wait(), found.dropped_lines)
        ending = await found.session.wait()
        found.check()
        return _ended(ending)

    async def detach(self, client: Connection, number: int) -> Summary | messages.Ended:
        """End a session or a trace of this client; the answer can be had again until the connection closes."""
        found = self._open.get((client, number))
        if found is None:
            raise InvalidArgument(f"this connection has no session {number}")
        if isinstance(found, Recording):
            return _ended(await found.stop(), found.dropped_lines)
        found.check()
        return await found.close()

    async def close(self) -> None:
        """End all of them."""
        for found in list(self._open.values()):
            _request_stop(found)
        await asyncio.gather(*(_end(found) for found in self._open.values()), return_exceptions=True)
        self._open.clear()
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _check_room(self, peer: Peer) -> None:
        mine = sum(client.peer.uid == peer.uid and _lives(found) for (client, _n), found in self._open.items())
        if mine >= self._limit():
            raise TooMuch(f"you have {mine} sessions already", hint="end some, or raise ipc.max_sessions_per_user")

    def _keep(self, client: Connection, found: ClientSession | Recording) -> int:
        self._number += 1
        key = (client, self._number)
        self._open[key] = found
        client.cleanups.append(lambda: self._drop(key))
        if not client.is_open:
            self._drop(key)
        return self._number

    def _drop(self, key: tuple[Connection, int]) -> None:
        """The client has gone: so does what it asked for."""
        found = self._open.pop(key, None)
        if found is not None:
            _request_stop(found)
            task: asyncio.Task[object] = asyncio.create_task(_end(found))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)


def _lives(found: ClientSession | Recording) -> bool:
    return found.alive if isinstance(found, Recording) else found.session.alive


def _request_stop(found: ClientSession | Recording) -> None:
    if isinstance(found, Recording):
        found.request_stop()
    else:
        found.session.request_stop()


async def _end(found: ClientSession | Recording) -> object:
    return await (found.stop() if isinstance(found, Recording) else found.close())


def _ended(ending: Ending, dropped_lines: int = 0) -> messages.Ended:
    return messages.Ended(reason=ending.reason, exit_status=ending.exit_status, dropped_lines=dropped_lines)

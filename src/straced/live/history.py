"""Rows from the history of a service: a minute at a time, which is what it keeps; the screen moves through them."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from straced.client.client import Client
from straced.errors import NotLive, StracedError
from straced.ipc.messages import Select, Status
from straced.live.service import note_of
from straced.live.slow_calls import SHOWN
from straced.model.frame import Frame, Key, Machine, ProcessDetail, ProcessRow, ShortLived
from straced.model.history import KeptEvent, Ranked
from straced.model.slow_events import KINDS, of_events
from straced.model.types import Quality, Reason
from straced.text.sanitize import scrub

if TYPE_CHECKING:
    from straced.profiling.api import AsyncSession

STEP_S = 60.0
"""The finest that history has; further back than a week it has hours only."""
MOST = 1000
NOBODY = "/"
"""No process has this name: asked for it, history tells of a span and its gaps only."""


class HistorySource:
    """The processes of one minute, beginning ``back_s`` seconds ago.

    Args:
        back_s: how far back to begin.
        path: of the service's socket.
        now: seconds since the epoch, when this was asked for.
    """

    name = "history"

    def __init__(self, back_s: float, path: Path | None = None, now: float | None = None) -> None:
        self._path = path
        self._client: Client | None = None
        self._end = now if now is not None else time.time()
        self._since = max(0.0, (self._end - back_s) // STEP_S * STEP_S)
        self._asked_for: float | None = None
        self._last: Frame | None = None
        self._kept_since: float | None = None

    def move(self, steps: int) -> bool:
        """A minute back or forth; never past the minute that runs."""
        return self.go_to(self._since + steps * STEP_S)

    def go_to(self, epoch_s: float) -> bool:
        """The minute that a moment was in, the one that runs for what is still to come."""
        self._since = min(max(0.0, epoch_s // STEP_S * STEP_S), time.time() // STEP_S * STEP_S)
        return True

    async def frame(self) -> Frame:
        """The minute that was chosen; asked for again while it still runs.

        Raises:
            ServiceUnreachable: there was no service from the start.
        """
        running = self._since + STEP_S > time.time() - STEP_S
        if self._last is not None and self._asked_for == self._since and not running:
            return self._last
        try:
            found = await self._ask()
            began = self._kept_since or 0.0
            if self._last is None and began >= self._since + STEP_S:
                asked = time.strftime("%a %d %b %H:%M", time.localtime(self._since))
                self.go_to(began)
                notice = f"no history for {asked}: it begins here"
                found = msgspec.structs.replace(await self._ask(), notice=notice)
        except StracedError as error:
            await self.close()
            if self._last is None:
                raise
            return msgspec.structs.replace(self._last, disconnected=scrub(error.reason, 200))
        self._last, self._asked_for = found, self._since
        return found

    async def settle(self) -> None:
        """Nothing: what was is all there."""

    async def detail(self, key: Key) -> ProcessDetail:
        """The calls of a process in that minute; threads and files are not kept."""
        not_kept: tuple[str, ...] = ("threads and files: history does not keep them",)
        if self._client is None:
            return ProcessDetail(pid=key[0], start_ticks=key[1], unreadable=not_kept)
        try:
            answer = await self._client.history(self._select(key[0]))
        except StracedError as error:
            return ProcessDetail(pid=key[0], start_ticks=key[1], unreadable=(scrub(error.reason, 200),))
        several = len({each.start_ticks for each in answer.processes}) > 1
        if several:  # the pid was another process's too in this minute: their calls cannot be told apart
            not_kept = ("its calls: the pid had several processes in this minute", *not_kept)
        return ProcessDetail(
            pid=key[0],
            start_ticks=key[1],
            duration_ns=int(STEP_S * 1e9),
            calls=answer.rows if answer.counted and not several else None,
            total=answer.total,
            unreadable=not_kept,
        )

    async def count_files(self, pid: int) -> AsyncSession:
        """Refuse: what was is not counted again."""
        hint = "straced top without --history shows them"
        raise NotLive("history does not keep calls by file and peer", hint=hint, pid=pid)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _select(self, pid: int | None = None) -> Select:
        return Select(since=self._since, until=self._since + STEP_S - 0.001, limit=MOST, pid=pid)

    async def _ask(self) -> Frame:
        if self._client is None:
            self._client = Client(self._path)
            await self._client.connect()
        ranked = await self._client.top(self._select())
        status = await self._client.status()
        events = await self._client.events(Select(since=self._since - 3600, until=self._since + STEP_S, limit=MOST))
        told = await self._client.events(msgspec.structs.replace(self._select(), kinds=KINDS))
        if not self._kept_since:  # nothing was kept yet when it was asked
            self._kept_since = (await self._client.history(Select(name=NOBODY))).start
        minute = await self._client.history(msgspec.structs.replace(self._select(), name=NOBODY))
        kept = Kept(since=self._kept_since or None, gaps_s=minute.gaps_s)
        frame = frame_of_minute(self._since, ranked, status, events, kept)
        if status.slow_ns is None and not told:
            return frame
        return msgspec.structs.replace(frame, slow=of_events(told, status.slow_ns or 0, SHOWN))


class Kept(Struct, frozen=True, kw_only=True):
    """How much there is of history, and of a minute."""

    since: float | None = None
    """When it begins; ``None``: nothing is known of that."""
    gaps_s: float = 0.0
    """Time in the minute in which the service did not run."""


UNKNOWN = Kept()


def frame_of_minute(
    since: float, ranked: Sequence[Ranked], status: Status, events: Sequence[KeptEvent] = (), kept: Kept = UNKNOWN
) -> Frame:
    """The minute that began at ``since`` as a frame."""
    reasons = _partial(since, events, kept)
    rows = tuple(_row(each) for each in _one_each(ranked))
    return Frame(
        epoch_s=since,
        monotonic_ns=time.monotonic_ns() - int((time.time() - since - STEP_S) * 1e9),
        duration_ns=int(STEP_S * 1e9),
        source=HistorySource.name,
        host=scrub(os.uname().nodename, 64),
        tracer=status.tracer,
        tracer_reason=scrub(status.tracer_reason, 300),
        quality=Quality(kind="partial" if reasons else "exact", lost=None, reasons=(*reasons, _AT_RETURN)),
        machine=Machine(cpus=os.cpu_count() or 1),
        processes=rows,
        short_lived=tuple(_short(each) for each in ranked if each.process.kind != "process"),
        kept_since=kept.since,
        notice="" if rows or kept.since is None or since + STEP_S > kept.since else "no history for this period",
        watched=sum(row.watched for row in rows),
        calls_s=_per_s([each.calls for each in ranked]),  # those of their ended children too
        errors_s=_per_s([each.errors for each in ranked]),
        notes=tuple(note_of(each.time, each) for each in events),
    )


def _one_each(ranked: Sequence[Ranked]) -> list[Ranked]:
    """Once each process: one that changed its user has several series, and its ended children have their own."""
    found: dict[Key, Ranked] = {}
    for each in ranked:
        key = each.process.pid, each.process.start_ticks
        if each.process.kind == "process":
            found[key] = _both(found[key], each) if key in found else each
    return list(found.values())


def _both(first: Ranked, second: Ranked) -> Ranked:
    def added(a: int | None, b: int | None) -> int | None:
        return None if a is None or b is None else a + b

    return Ranked(
        process=first.process,
        calls=added(first.calls, second.calls),
        errors=added(first.errors, second.errors),
        wall_ns=added(first.wall_ns, second.wall_ns),
        waiting_ns=added(first.waiting_ns, second.waiting_ns),
        cpu_ns=first.cpu_ns + second.cpu_ns,
        rss_max_bytes=max(first.rss_max_bytes or 0, second.rss_max_bytes or 0) or None,
    )


_AT_RETURN = Reason("at_return", "a wait counts in the minute in which it ended, and can exceed that minute")


def _partial(since: float, events: Sequence[KeptEvent], kept: Kept) -> list[Reason]:
    """Why a minute is not whole."""
    reasons = []
    if since + STEP_S > time.time():
        reasons.append(Reason("running", "this minute is not over yet"))
    begun = [each.time for each in events if each.kind == "service_started" and since < each.time < since + STEP_S]
    if begun:
        reasons.append(Reason("began", f"the service began at {time.strftime('%H:%M:%S', time.localtime(begun[-1]))}"))
    if kept.gaps_s > 0:
        reasons.append(Reason("gap", f"the service did not run for {kept.gaps_s:.0f} s of this minute"))
    return reasons


def _short(ranked: Ranked) -> ShortLived:
    """What ended below a process; how many there were is not kept."""
    row = _row(ranked)
    return ShortLived(
        program=ranked.process.program,
        parent=row.key,
        job=row.job,
        calls_s=row.calls_s,
        errors_s=row.errors_s,
        working_pct=row.working_pct,
        waiting_pct=row.waiting_pct,
        wall_pct=row.wall_pct,
    )


def _row(ranked: Ranked) -> ProcessRow:
    process = ranked.process
    per_s, share = 1 / STEP_S, 100 / (STEP_S * 1e9)
    working_ns = None if ranked.wall_ns is None or ranked.waiting_ns is None else ranked.wall_ns - ranked.waiting_ns
    return ProcessRow(
        pid=process.pid,
        start_ticks=process.start_ticks,
        ppid=0,
        comm=process.comm,
        cmdline=" ".join(process.cmdline),
        job=process.labels.get("job"),
        uid=process.uid,
        cpu_pct=ranked.cpu_ns * share,
        rss_bytes=ranked.rss_max_bytes,
        watched=ranked.calls is not None,
        calls_s=None if ranked.calls is None else ranked.calls * per_s,
        errors_s=None if ranked.errors is None else ranked.errors * per_s,
        working_pct=None if working_ns is None else working_ns * share,
        waiting_pct=None if ranked.waiting_ns is None else ranked.waiting_ns * share,
        wall_pct=None if ranked.wall_ns is None else ranked.wall_ns * share,
    )


def _per_s(counts: list[int | None]) -> float | None:
    known = [count for count in counts if count is not None]
    return sum(known) / STEP_S if known and len(known) == len(counts) else None

"""Rows from a service: what it watches, as of its last tick. A service that goes away is looked for again."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from straced.client.client import Client
from straced.errors import ServiceUnreachable, StracedError
from straced.ipc.messages import Select, Status
from straced.live.process_detail import ProcessLook, WindowCalls
from straced.live.slow_calls import SlowEventList
from straced.live.standing_calls import StandingCalls
from straced.live.timeline import NoteTimeLine
from straced.model import aggregation as rows_of
from straced.model.deltas import LAST_CALL
from straced.model.facts import HostFacts
from straced.model.frame import Frame, Key, Machine, Note, ProcessDetail, ProcessRow, ShortLived
from straced.model.history import KeptEvent
from straced.model.slow_events import KINDS
from straced.model.tick import Calls, ProcessSample, ServiceEvent, Tick, by_program
from straced.model.types import Counters, Quality, Reason
from straced.text.sanitize import scrub
from straced.text.units import count_of

if TYPE_CHECKING:
    from straced.profiling.api import AsyncSession

EVENTS = 200
"""Events that are asked for at a time."""
_SEVERE = ("alert_opened", "not_counted")


class ServiceSource:
    """The processes that a service watches.

    Args:
        path: of its socket; without it the user's own service is tried, then the system's.
    """

    name = "service"

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._client: Client | None = None
        self._last: Frame | None = None
        self._tick: Tick | None = None
        self._look = ProcessLook()
        self._timeline = NoteTimeLine()
        self._event = 0
        self._slow = SlowEventList()
        self.idle = False
        """It watches nothing that we may see, and has no rule to; as of the last frame that was asked for."""
        self._standing = StandingCalls()

    async def frame(self) -> Frame:
        """The last tick; when the service does not answer, the last frame with a word about that.

        Raises:
            ServiceUnreachable: there was none from the start.
        """
        try:
            found = await self._ask()
        except StracedError as error:
            await self._drop()
            if self._last is None:
                raise
            return msgspec.structs.replace(self._last, disconnected=scrub(error.reason, 200))
        self._last = found
        return found

    def move(self, steps: int) -> bool:
        return False

    def go_to(self, epoch_s: float) -> bool:
        return False

    async def settle(self) -> None:
        """Nothing to attach to: the service does that."""

    async def detail(self, key: Key) -> ProcessDetail:
        """Calls of the last tick; threads and files as far as this user may see them."""
        sample = next((each for each in self._tick.processes if each.facts.key == key), None) if self._tick else None
        return self._look.detail(key, counted_in(sample, self._tick))

    async def count_files(self, pid: int) -> AsyncSession:
        """By the service, which counts a process of the caller's own, or any for root."""
        if self._client is None:
            raise ServiceUnreachable("the service does not answer")
        return await self._client.attach(pid, follow=False, files=True)

    async def close(self) -> None:
        await self._drop()

    async def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _ask(self) -> Frame:
        if self._client is None:
            self._client = Client(self._path)
            await self._client.connect()
        status, tick = await self._client.status(), await self._client.snapshot()
        self.idle = not status.rules and not status.watched and not (tick and tick.processes)
        await self._events(self._client)
        if tick is None:
            raise ServiceUnreachable("the service has no figures yet", hint="try again in a moment")
        self._tick = tick
        frame = frame_of(tick, status, self._timeline.notes())
        return msgspec.structs.replace(
            frame,
            processes=self._standing.add(frame.processes),
            slow=self._slow.state(status.slow_ns),
        )

    async def _events(self, client: Client) -> None:
        if not self._event:  # those of before, however much else has happened since
            self._slow.add(await client.events(Select(kinds=KINDS, limit=EVENTS)))
        found = await client.events(Select(after=self._event, limit=EVENTS))
        self._slow.add(found)
        for each in found:
            self._event = max(self._event, each.id)
            self._timeline.add(note_of(each.time, each))


def note_of(epoch_s: float, event: KeptEvent | ServiceEvent) -> Note:
    """An event as a line of the time line."""
    text = scrub(" ".join(filter(None, (event.comm, event.text))), 300)
    return Note(epoch_s=epoch_s, kind=scrub(event.kind, 40), pid=event.pid, text=text, severe=event.kind in _SEVERE)


def frame_of(tick: Tick, status: Status, notes: tuple[Note, ...]) -> Frame:
    """A tick as a frame: a pure function, so that all who show it show the same."""
    window_ns = tick.duration_ns or 0
    samples = tick.processes
    counted = [each for each in samples if each.calls is not None]
    lost = [each.lost for each in samples]
    return Frame(
        epoch_s=tick.epoch_s,
        monotonic_ns=tick.monotonic_ns,
        duration_ns=window_ns,
        source="service",
        host=scrub(os.uname().nodename, 64),
        tracer=status.tracer,
        tracer_reason=scrub(status.tracer_reason, 300),
        quality=_quality(None if None in lost else sum(value or 0 for value in lost), tick.late, tick.cut),
        cost_pct=tick.host.own.cpu_pct,
        machine=machine_of(tick.host),
        processes=tuple(_row(each, window_ns) for each in samples),
        watched=len(counted),
        short_lived=tuple(short for each in samples for short in _short_lived(each, window_ns)),
        calls_s=_per_s(((row.calls for row in _all(each)) for each in counted), window_ns),
        errors_s=_per_s(((row.errors for row in _all(each)) for each in counted), window_ns),
        alerts=status.alerts_open,
        notes=notes,
    )


def _quality(lost: int | None, late: bool, cut: int = 0) -> Quality:
    reasons = (Reason("late", "the service was late: this window is longer than it should be"),) if late else ()
    if cut:
        reasons = (
            Reason(
                "cut", f"{count_of(cut, 'process is', 'processes are')} left out here: there are too many to be told of"
            ),
            *reasons,
        )
    if lost:
        reasons = (Reason("lost", f"{count_of(lost, 'call')} could not be counted"), *reasons)
    return Quality(kind="lossy" if lost != 0 else "partial" if cut else "exact", lost=lost, reasons=reasons)


def _all(sample: ProcessSample) -> tuple[Calls, ...]:
    return (*(sample.calls or ()), *sample.ended, *sample.others)


def _per_s(parts: Iterable[Iterable[int | None]], window_ns: int) -> float | None:
    values = [value for part in parts for value in part]
    if window_ns <= 0 or None in values:
        return None
    return sum(value or 0 for value in values) * 1e9 / window_ns


def _row(sample: ProcessSample, window_ns: int) -> ProcessRow:
    facts, calls = sample.facts, sample.calls
    rows = calls or ()
    standing_ns = sum(count for name, count in sample.in_flight.items() if not _returned(sample, name)) * window_ns
    wall_ns = rows_of.known_sum([row.wall_ns for row in rows] or [0])
    waiting_ns = rows_of.known_sum([row.waiting_ns for row in rows] or [0])
    known = calls is not None and window_ns > 0

    def share(value_ns: int | None) -> float | None:
        if not known or value_ns is None:
            return None
        return min(100.0 * max(1, facts.threads), 100 * value_ns / window_ns)

    working_ns = None if wall_ns is None or waiting_ns is None else wall_ns - waiting_ns
    container = "/".join(facts.labels[key] for key in ("pod", "container") if key in facts.labels) or None
    return ProcessRow(
        pid=facts.pid,
        start_ticks=facts.start_ticks,
        ppid=facts.ppid,
        comm=facts.comm,
        cmdline=" ".join(facts.cmdline),
        job=facts.labels.get("job") or container,
        container=container,
        uid=facts.uid,
        state=facts.state,
        threads=facts.threads or None,
        cpu_pct=facts.cpu_pct,
        rss_bytes=facts.rss_bytes,
        watched=calls is not None,
        calls_s=_per_s([[row.calls for row in rows]], window_ns) if known else None,
        errors_s=_per_s([[row.errors for row in rows]], window_ns) if known else None,
        working_pct=share(working_ns),
        waiting_pct=share(None if waiting_ns is None else waiting_ns + standing_ns),
        wall_pct=share(None if wall_ns is None else wall_ns + standing_ns),
        waits_longer=known and sum(sample.in_flight.values()) < facts.threads and facts.state != "R",
        now=max(sample.in_flight, key=lambda name: sample.in_flight[name], default=None),
    )


def _short_lived(sample: ProcessSample, window_ns: int) -> list[ShortLived]:
    """What descendants of a tree's root did that have ended since, or went on with another program."""
    if window_ns <= 0 or sample.calls is None:
        return []
    found = []
    for program, calls in by_program((*sample.ended, *sample.others)).items():
        wall_ns = rows_of.known_sum([row.wall_ns for row in calls])
        waiting_ns = rows_of.known_sum([row.waiting_ns for row in calls])
        working_ns = None if wall_ns is None or waiting_ns is None else wall_ns - waiting_ns
        shares = [None if part is None else 100 * part / window_ns for part in (working_ns, waiting_ns, wall_ns)]
        found.append(
            ShortLived(
                program=program,
                parent=sample.facts.key,
                job=sample.facts.labels.get("job"),
                ended=sum(row.calls or 0 for row in calls if row.name == LAST_CALL) or None,
                calls_s=_per_s([[row.calls for row in calls]], window_ns),
                errors_s=_per_s([[row.errors for row in calls]], window_ns),
                working_pct=shares[0],
                waiting_pct=shares[1],
                wall_pct=shares[2],
            )
        )
    return found


def _returned(sample: ProcessSample, name: str) -> bool:
    return any(row.name == name and (row.calls or row.wall_ns) for row in sample.calls or ())


def counted_in(sample: ProcessSample | None, tick: Tick | None) -> WindowCalls:
    """What a process did in a tick; the service hands on no durations of single calls, so no percentiles."""
    if sample is None or tick is None or sample.calls is None or not tick.duration_ns:
        return WindowCalls()
    rows = [
        Counters(
            name=row.name,
            abi=row.abi,
            calls=row.calls,
            errors=row.errors,
            errno=row.errno,
            wall_ns=row.wall_ns,
            waiting_ns=row.waiting_ns,
            working_ns=None if row.wall_ns is None or row.waiting_ns is None else row.wall_ns - row.waiting_ns,
            in_flight=row.in_flight,
        )
        for row in sample.calls
    ]
    stats, total = rows_of.table(rows, "wall")
    return WindowCalls(stats, total, {}, tick.duration_ns)


def machine_of(host: HostFacts) -> Machine:
    """The host as the service knows it."""
    used = None
    if host.memory_total_bytes is not None and host.memory_available_bytes is not None:
        used = host.memory_total_bytes - host.memory_available_bytes
    pressures = {"cpu": host.cpu_pressure, "memory": host.memory_pressure, "io": host.io_pressure}
    known = {name: each.some_pct for name, each in pressures.items() if each is not None}
    return Machine(
        cpus=host.cpus,
        cpu_pct=host.cpu_pct,
        memory_bytes=host.memory_total_bytes,
        memory_used_bytes=used,
        load=host.load,
        pressure=known or None,
    )

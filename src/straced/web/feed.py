"""From the ticks of the service to what pages are told. Without a page that is open nothing is built."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING, Any

import msgspec

from straced.ipc.messages import Status
from straced.linux.credentials import Peer
from straced.live.service import frame_of
from straced.live.standing_calls import StandingCalls
from straced.model.alerts import AlertRow
from straced.model.file_window import FileWindow
from straced.model.frame import Key
from straced.model.tick import ServiceEvent, Tick
from straced.model.types import Counters
from straced.store import events
from straced.views.tui.row_filter import user_name
from straced.web.file_looks import FileLooks
from straced.web.frame_diff import EncodedFrame, encode_frame
from straced.web.history import HistoryFailed, HistoryReader
from straced.web.process_detail import ProcessView
from straced.web.recent import ALERTS, Recent
from straced.web.why_answers import WhyAnswers

if TYPE_CHECKING:
    from straced.profiling.api import AsyncSession
    from straced.service.api.facade import Facade
    from straced.service.service import Service

log = logging.getLogger("straced.service")
MAX_VIEWERS = 16
SEEDED_S = 86400.0
SEEDED = 3000
"""Events that are looked through for those that a page shows."""


class Viewer:
    """An open page: woken when there is something new.

    Args:
        key: the process that it is about, if it is about one.
        files: whether it asks for the calls of that by file and peer.
    """

    def __init__(self, key: Key | None = None, *, files: bool = False) -> None:
        self.key = key
        self.files = files
        self.woken = asyncio.Event()


class FrameFeed:
    """Listens to a service, for its own user: whoever is let in sees what the service's owner sees."""

    def __init__(self, service: Service, facade: Facade) -> None:
        self.service = service
        self._facade = facade
        self.recent = Recent()
        self.past = HistoryReader(service)
        self.why = WhyAnswers(self._watched)
        self._files = FileLooks(self._count_files, self._watched)
        self.shot: EncodedFrame | None = None
        self.seen: dict[Key, bytes] = {}
        """Of each process that is looked at, its JSON as of the last shot."""
        self._viewers: set[Viewer] = set()
        self._looks: dict[Key, ProcessView] = {}
        self._building: asyncio.Task[None] | None = None
        self._seeding: asyncio.Task[None] | None = None
        self._standing = StandingCalls()
        self._peer = Peer(os.getpid(), os.geteuid(), os.getegid())

    # --- what the service tells ---

    def tick(self, tick: Tick) -> None:
        """A tick is there."""
        self.recent.tick(tick)
        self._read_looks(tick)
        self._build_soon()

    def event(self, event: ServiceEvent) -> None:
        """Something happened."""
        self.recent.event(event)

    def alert(self, alert: AlertRow) -> None:
        """An alert opened, changed or closed; told at once."""
        self.recent.alert(alert)
        for viewer in self._viewers:
            viewer.woken.set()

    # --- who listens ---

    @property
    def is_full(self) -> bool:
        """Whether no page more may listen."""
        return len(self._viewers) >= MAX_VIEWERS

    def join(self, viewer: Viewer) -> None:
        """Begin to tell a page."""
        self._viewers.add(viewer)
        if viewer.key is not None:
            look = self._looks.setdefault(viewer.key, ProcessView(viewer.key))
            look.viewers += 1
            if viewer.files:
                self._files.join(viewer.key)
            if self.service.last_tick is not None:
                self._read_looks(self.service.last_tick)
        if self._seeding is None:
            self._seeding = asyncio.get_running_loop().create_task(self._seed())
        self._build_soon(again=True)

    def leave(self, viewer: Viewer) -> None:
        """Tell a page no more."""
        if viewer not in self._viewers:
            return
        self._viewers.discard(viewer)
        look = self._looks.get(viewer.key) if viewer.key is not None else None
        if look is not None:
            if viewer.files:
                self._files.leave(look.key)
                self.seen.pop(look.key, None)  # who asks next begins anew
            look.viewers -= 1
            if look.viewers == 0:
                del self._looks[look.key]
                self.seen.pop(look.key, None)

    def status(self) -> Status:
        """Return the state of the service."""
        return self._facade.status(self._peer)

    def _watched(self) -> set[Key]:
        tick = self.service.last_tick
        return set() if tick is None else {sample.facts.key for sample in tick.processes}

    async def _count_files(self, pid: int) -> AsyncSession:
        return await self.service.attaching().attach(pid, follow=False, files=True)

    async def close(self) -> None:
        """End what is under way."""
        await self.why.close()
        tasks = [each for each in (self._building, self._seeding) if each is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._files.close()

    # --- building ---

    def _read_looks(self, tick: Tick) -> None:
        if not self._looks:
            return
        roots = {sample.facts.key: sample.root for sample in tick.processes if sample.facts.key in self._looks}
        for key, look in self._looks.items():
            rows: tuple[Counters, ...] | None = None
            if key in roots:
                rows = self.service.watcher.counting.rows_of(roots[key], key[0])
            look.read(tick, rows)

    def _build_soon(self, *, again: bool = False) -> None:
        if not self._viewers or (self._building is not None and not self._building.done()):
            return
        self._building = asyncio.get_running_loop().create_task(self._build(again=again))

    async def _build(self, *, again: bool) -> None:
        """Build the last tick, and while that took so long that there is another one by then, that one too."""
        while self._viewers and (tick := self.service.last_tick) is not None:
            number = self.service.ticks
            unseen = [look for look in self._looks.values() if look.key not in self.seen]
            if self.shot is not None and self.shot.number == number and not (unseen or again):
                return
            again = False
            status, looks = self.status(), list(self._looks.values())
            try:
                files = await self._files.windows()
                shot, seen = await asyncio.to_thread(_built, number, tick, status, looks, files, self._standing)
            except Exception:
                log.exception("page_failed")
                return
            self.shot = shot
            self.seen = {key: each for key, each in seen.items() if key in self._looks}
            for viewer in self._viewers:
                viewer.woken.set()

    async def _seed(self) -> None:
        since = self.service.started - SEEDED_S
        try:
            found = await self.past.ask(
                lambda history: (
                    events.events(history, since=since, limit=SEEDED),
                    events.alerts(history, since=since, limit=ALERTS),
                )
            )
        except HistoryFailed:  # what is told from now on is there all the same
            return
        if found is not None:
            self.recent.seed(*found)
        for viewer in self._viewers:
            viewer.woken.set()


def _built(
    number: int,
    tick: Tick,
    status: Status,
    looks: list[ProcessView],
    files: dict[Key, FileWindow],
    standing: StandingCalls,
) -> tuple[EncodedFrame, dict[Key, bytes]]:
    more: dict[str, Any] = {
        name: getattr(status, name)
        for name in ("version", "system", "interval_ns", "history", "rules", "late_ticks", "config_error", "slow_ns")
    }
    frame = frame_of(tick, status, ())
    if frame.tracer is not None:
        frame = msgspec.structs.replace(frame, processes=standing.add(frame.processes))
    more["users"] = {uid: user_name(uid) for uid in {row.uid for row in frame.processes} if uid is not None}
    seen = {look.key: msgspec.json.encode(look.seen(tick, files.get(look.key))) for look in looks}
    return encode_frame(number, frame, more), seen

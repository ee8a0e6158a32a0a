"""The flight recorder of a service: the last calls of all that is watched, and dumps of them within a budget."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from straced.concurrency.pacing import Pace
from straced.config.paths import ServicePaths
from straced.config.schema import RecordConfig
from straced.errors import AttachError, InvalidArgument, StracedError, TracerUnavailable
from straced.linux import procfs
from straced.model.alerts import AlertRow
from straced.service.collect.counted_calls import Key
from straced.service.own_dumps import OwnDumps
from straced.tracers.ebpf import flight
from straced.tracers.ebpf.flight import FlightOptions, FlightRecorder
from straced.tracers.ebpf.flight_choice import Choose
from straced.tracers.ebpf.flight_file import Dumped

log = logging.getLogger("straced.service")


class FlightKeeper:
    """Records the trees that are counted.

    Args:
        config: whether, and how much.
        paths: where dumps are kept.
        user_share: of the rows, as the service's own counters have it.
        say: keeps an event.
        require_attaching: raises where nothing may be recorded, whatever is configured.
    """

    def __init__(
        self,
        config: RecordConfig,
        paths: ServicePaths,
        user_share: float,
        say: Callable[..., None],
        require_attaching: Callable[[], None] = lambda: None,
    ) -> None:
        self._require_attaching = require_attaching
        self._config = config
        self._share = user_share
        self._say = say
        self._recorder: FlightRecorder | None = None
        self._loaded = RecordConfig()
        self._held: set[Key] = set()
        self._refused: set[Key] = set()
        self._work: asyncio.Task[None] | None = None
        self._failed = False
        self._own = OwnDumps(paths.dumps, say)
        self.configure(config)

    def configure(self, config: RecordConfig) -> None:
        """Record so from the next tick on."""
        self._config = config
        self._failed = False
        self._own.configure(config)

    @property
    def state(self) -> str:
        """``on``, ``failed`` or ``off``."""
        if self._failed:
            return "failed"
        return "off" if self._recorder is None else "on"

    @property
    def memory_bytes(self) -> int | None:
        """Of the rings, where there are any."""
        return None if self._recorder is None else self._recorder.memory_bytes

    def follow(self, roots: list[Key]) -> None:
        """Record these trees and no others; done beside the tick, the next one is told if it takes longer."""
        idle = not self._config.enabled and self._recorder is None
        if not idle and not self._failed and (self._work is None or self._work.done()):
            self._work = asyncio.create_task(self._follow(set(roots)))

    async def _follow(self, roots: set[Key]) -> None:
        try:
            await self._renew()
            recorder = self._recorder
            if recorder is None:
                return
            pace = Pace()
            for pid, start in sorted(self._held - roots):
                await pace.rest()
                await recorder.remove(pid)
                self._held.discard((pid, start))
            self._refused &= roots
            for key in sorted(roots - self._held - self._refused):
                await pace.rest()
                await self._add(recorder, key)
        except (StracedError, OSError) as error:
            self._failed = True
            why = error.reason if isinstance(error, StracedError) else str(error)
            log.warning("not_recorded", extra={"straced": {"reason": why}})
            self._say("not_recorded", f"calls are not recorded: {why}")

    async def _renew(self) -> None:
        """Load it, or let go of it, where the configuration has changed."""
        config = self._config
        wanted = config if config.enabled else RecordConfig()
        if self._recorder is not None and (not config.enabled or config.ring != self._loaded.ring):
            await self._let_go()
        if self._recorder is None and wanted.enabled:
            self._require_attaching()
            options = FlightOptions(ring_bytes=int(config.ring), user_share=self._share)
            self._recorder = await flight.load(options)
            self._loaded = config
            log.info("recording", extra={"straced": {"bytes": self._recorder.memory_bytes}})

    async def _let_go(self) -> None:
        try:
            if self._recorder is not None:
                await self._recorder.close()
        finally:
            self._recorder = None
            self._held.clear()
            self._refused.clear()

    async def _add(self, recorder: FlightRecorder, key: Key) -> None:
        pid, start = key
        try:
            target = procfs.target(pid)
            if target.start_ticks == start:
                await recorder.add(target)
                self._held.add(key)
        except procfs.Gone:
            return
        except (AttachError, OSError):  # of another tree by now, or gone: it is not asked for at each tick
            self._refused.add(key)

    def recorder_of(self, pid: int) -> FlightRecorder:
        """The recorder that has a process.

        Raises:
            TracerUnavailable: the service does not record.
            InvalidArgument: it does not record this process.
        """
        recorder = self._any_recorder()
        if not recorder.holds(pid):
            raise InvalidArgument(f"{pid} is not watched, so that its calls are not recorded", hint="straced watch add")
        return recorder

    def _any_recorder(self) -> FlightRecorder:
        self._require_attaching()
        if self._recorder is None:
            raise TracerUnavailable(
                "this service keeps no records of calls", hint="[record] enabled = true, in straced.toml"
            )
        return self._recorder

    async def dump(
        self,
        fd: int,
        pid: int,
        choose: Choose,
        last_ns: int | None,
        most_bytes: int | None,
        *,
        sees_all: bool = False,
    ) -> Dumped:
        """Write down what is there of a process, as far as whoever asks may see it.

        Args:
            fd: an empty regular file.
            pid: the process, with all below it.
            choose: what they may see.
            last_ns: only calls that ended so long before, or later.
            most_bytes: of the file.
            sees_all: they may see everything.

        Raises:
            TracerUnavailable, InvalidArgument: there is nothing.
            NotPermitted, NoSuchProcess: it is not theirs.
            OutputError: there is no room for it.
        """
        recorder = self.recorder_of(pid)
        return await recorder.dump_chosen(fd, pid, choose, last_ns=last_ns, most_bytes=most_bytes, sees_all=sees_all)

    async def dump_for_alert(self, alert: AlertRow, last_ns: int | None) -> None:
        """Keep what the process of an alert did before it, and say so; also of one that has ended since."""
        await self._own.of_alert(alert, last_ns, self._recorder_for)

    def _recorder_for(self, pid: int, ended: bool) -> FlightRecorder:
        return self._any_recorder() if ended else self.recorder_of(pid)

    async def dump_for_signal(self) -> None:
        """Keep all that is there, where alerts keep theirs, and say so."""
        if self._recorder is None:
            log.warning("not_dumped", extra={"straced": {"reason": "no calls are recorded"}})
        else:
            await self._own.of_all(self._recorder)

    def keep_within(self) -> None:
        """Let go of dumps that have become too old."""
        if self._config.enabled:
            self._own.keep_within()

    def hurry(self) -> None:
        """Have dumps that are being written fail now: the service is to end."""
        if self._recorder is not None:
            self._recorder.hurry()

    async def close(self) -> None:
        """End it; dumps stay."""
        if self._work is not None:
            await asyncio.gather(self._work, return_exceptions=True)
        await self._let_go()

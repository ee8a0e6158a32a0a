"""Dumps that the service takes by itself, on alerts and on a signal: each has its file, or it is said why not."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from straced.config.schema import DAY, RecordConfig
from straced.errors import InvalidArgument, StracedError
from straced.faults import faults
from straced.linux import procfs
from straced.linux.dump_budget import DumpFolder
from straced.linux.output_file import OutputFile
from straced.model.alerts import AlertRow
from straced.model.owner import Owner
from straced.service.flight_rights import choose_for
from straced.text.units import count_of, format_ns
from straced.tracers.ebpf.flight import FlightRecorder
from straced.tracers.ebpf.flight_file import Dumped

log = logging.getLogger("straced.service")
_HEAD_BYTES = 1 << 16
"""Of a dump, beside its records."""
RecorderFor = Callable[[int, bool], FlightRecorder]
"""The recorder that has a process, or had it until it ended; it raises where there is none."""


class OwnDumps:
    """A folder of dumps, within a budget of bytes and days.

    Args:
        folder: where they are.
        say: keeps an event.
    """

    def __init__(self, folder: Path, say: Callable[..., None]) -> None:
        self._folder = DumpFolder(folder, 0, 0, alone=True)
        self._say = say
        self._turn = asyncio.Lock()
        """One is taken at a time: else two have the same name, and the same room."""

    def configure(self, config: RecordConfig) -> None:
        """Keep within this budget from now on."""
        self._folder.max_bytes, self._folder.max_days = config.max_bytes, config.keep / DAY

    async def of_alert(self, alert: AlertRow, last_ns: int | None, recorder_for: RecorderFor) -> None:
        """Keep what the process of an alert did before this moment, and say so; also of one that has ended since."""
        assert alert.pid is not None
        asked_ns, pid = time.monotonic_ns(), alert.pid

        async def take() -> tuple[Dumped, Path]:
            ended = _has_ended(alert)
            recorder = recorder_for(pid, ended)

            async def write(file: OutputFile) -> Dumped:
                dumped = await recorder.dump_chosen(
                    file.fd,
                    pid,
                    choose_for(None, pid),
                    last_ns=last_ns,
                    asked_ns=asked_ns,
                    most_bytes=self._folder.max_bytes,
                    sees_all=True,
                    reason=f"alert {alert.kind}",
                )
                if ended and not dumped.calls:
                    raise InvalidArgument("it has ended, and no record of it is left")
                return dumped

            return await self._written(
                alert.kind, pid, min(recorder.kept_bytes + _HEAD_BYTES, self._folder.max_bytes), write
            )

        await self._take(f"{pid} ({alert.comm})", take, alert.owner)

    async def of_all(self, recorder: FlightRecorder) -> None:
        """Keep all that is there, and say so."""

        async def take() -> tuple[Dumped, Path]:
            most = recorder.kept_bytes + _HEAD_BYTES
            return await self._written(
                "signal", os.getpid(), most, lambda file: recorder.dump(file.fd, reason="signal")
            )

        await self._take("all", take, None)

    async def _take(self, who: str, take: Callable[[], Awaitable[tuple[Dumped, Path]]], owner: Owner | None) -> None:
        try:
            async with self._turn:
                dumped, path = await take()
        except (StracedError, OSError) as error:
            why = error.reason if isinstance(error, StracedError) else str(error)
            self._say("dump_failed", f"no dump of {who}: {why}", owner=owner)
        except Exception as error:
            faults.tell("dump_failed", error)
            self._say("dump_failed", f"no dump of {who}: internal fault: {type(error).__name__}", owner=owner)
        else:
            text = f"the last {format_ns(dumped.span_ns)} of {who} are in {path}"
            data = {"bytes": dumped.bytes, "calls": dumped.calls, "span_ns": dumped.span_ns}
            self._say("dump_taken", text, owner=owner, **data)

    async def _written(
        self, what: str, pid: int, most: int, write: Callable[[OutputFile], Awaitable[Dumped]]
    ) -> tuple[Dumped, Path]:
        path = self._folder.new(what, pid, most)
        with OutputFile(path, make_directories=True) as file:
            dumped = await write(file)
        self._folder.keep_within(self._folder.max_bytes)  # rings may have filled since they were asked
        return dumped, path

    def keep_within(self) -> None:
        """Let go of dumps that have become too old."""
        try:
            gone = self._folder.keep_within(self._folder.max_bytes)
        except OSError as error:
            log.warning("dumps_kept", extra={"straced": {"why": str(error)}})
            return
        if gone:
            self._say(
                "dumps_dropped",
                f"{count_of(len(gone), 'dump has', 'dumps have')} made way: the budget of bytes and days",
                dumps=len(gone),
            )


def _has_ended(alert: AlertRow) -> bool:
    """Whether the process of an alert has.

    Raises:
        InvalidArgument: its number is another's by now, so that records cannot be told apart.
    """
    assert alert.pid is not None
    try:
        if procfs.stat(alert.pid).start_ticks == alert.start_ticks:
            return False
    except procfs.Gone:
        return True
    raise InvalidArgument("it has ended, and another process has its number")

"""Has a worker write history into the directory of ``[export]``: when the service starts, and after each hour."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
import zlib
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable
from pathlib import Path

import msgspec

from straced.concurrency import children
from straced.concurrency.shielding import carry
from straced.config.schema import ExportConfig
from straced.model.owner import NOBODY
from straced.store.export_worker import ExportAnswer, ExportRequest
from straced.store.hourly_export import GRACE_S, own_host

log = logging.getLogger("straced.service")
LIMIT_S = 3600.0
AFTER_S = GRACE_S + 30
SPREAD_S = 300
"""The hosts of a fleet do not all write at the same moment."""
WORKER = (sys.executable, "-P", "-m", "straced.store.export_worker")
PIPED = {"stdin": PIPE, "stdout": PIPE, "stderr": DEVNULL, "start_new_session": True}
Say = Callable[..., None]


class HourlyExporter:
    """Starts a worker when it is time, one at a time.

    Args:
        config: where to write; nowhere without a directory.
        database: where history is now.
        say: keeps an event.
    """

    def __init__(self, config: ExportConfig, database: Callable[[], Path], say: Say) -> None:
        self._config = config
        self._database = database
        self._say = say
        self._task: asyncio.Task[None] | None = None
        self._done_hour = -1
        self._failed = ""

    @property
    def host(self) -> str:
        """Under which name."""
        return self._config.host or own_host()

    def configure(self, config: ExportConfig) -> None:
        """Write elsewhere from now on."""
        if config != self._config:
            self._config, self._done_hour, self._failed = config, -1, ""

    def look(self) -> None:
        """Start a worker if an hour has closed since the last one; called each tick."""
        if not self._config.directory or self._task is not None:
            return
        late_s = AFTER_S + zlib.crc32(self.host.encode()) % SPREAD_S
        hour = int((time.time() - late_s) // 3600)
        if hour != self._done_hour:
            self._done_hour = hour
            self._task = asyncio.create_task(self._run(self._config))
            self._task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("export_failed", exc_info=error)

    async def _run(self, config: ExportConfig) -> None:
        request = ExportRequest(str(self._database()), config.directory, self.host, int(config.keep), os.getpid())
        answer = await self._ask(request)
        if answer.error:
            log.warning("export_failed", extra={"straced": {"why": answer.error, "hint": answer.hint}})
            if answer.error != self._failed:
                self._say("export_failed", f"history is not exported: {answer.error}", owner=NOBODY, hint=answer.hint)
        elif self._failed:
            self._say("export_resumed", f"history is exported again: {answer.hours} hours made up for", owner=NOBODY)
        self._failed = answer.error
        figures = {name: getattr(answer, name) for name in ("hours", "files", "bytes", "removed")}
        log.info("exported", extra={"straced": figures})

    async def _ask(self, request: ExportRequest) -> ExportAnswer:
        try:
            process = await children.start(WORKER, PIPED)
        except OSError as error:
            return ExportAnswer(error=f"the worker does not start: {error.strerror}")
        try:
            async with asyncio.timeout(LIMIT_S):
                out, _err = await process.communicate(msgspec.json.encode(request))
            return msgspec.json.decode(out, type=ExportAnswer)
        except TimeoutError:
            return ExportAnswer(error=f"it took longer than {LIMIT_S / 60:.0f} min and was ended")
        except msgspec.DecodeError:
            return ExportAnswer(error=f"the worker ended with {process.returncode}")
        finally:
            if process.returncode is None:
                await carry(children.end(process))

    async def close(self) -> None:
        """End the worker; whole files are all that it leaves."""
        task = self._task
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

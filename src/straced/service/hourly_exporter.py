"""Has a worker write history into the directory of ``[export]``: when the service starts, after each hour, and again
soon where an hour could not be written.

Nothing is queued: what is due is what history has and the directory has not, however long that was so.
"""

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
from straced.text.units import count_of

log = logging.getLogger("straced.service")
LIMIT_S = 3600.0
AFTER_S = GRACE_S + 30
SPREAD_S = 300
"""The hosts of a fleet do not all write at the same moment."""
AGAIN_S = (60.0, 900.0)
"""So soon after a run that left hours waiting the next one begins: at first, and, twice as long each time, at most."""
WORKER = (sys.executable, "-P", "-m", "straced.store.export_worker")
PIPED = {"stdin": PIPE, "stdout": PIPE, "stderr": DEVNULL, "start_new_session": True}
Say = Callable[..., None]


class HourlyExporter:
    """Starts a worker when it is time, one at a time.

    Args:
        config: where to write; nowhere without a directory.
        database: where history is now.
        say: keeps an event.
        again_s: seconds until what was left waiting is tried again, at first and at most.
    """

    def __init__(
        self,
        config: ExportConfig,
        database: Callable[[], Path],
        say: Say,
        again_s: tuple[float, float] = AGAIN_S,
    ) -> None:
        self._config = config
        self._database = database
        self._say = say
        self._first_s, self._most_s = again_s
        self._task: asyncio.Task[None] | None = None
        self._start_over()

    def _start_over(self) -> None:
        self._done_hour = -1
        self._again_s = self._first_s
        self._again_at: float | None = None
        self.error = ""
        """Why the last run failed."""
        self.waiting: int | None = None
        """Hours that are over and not written, as of the last run; ``None``: not known."""

    @property
    def host(self) -> str:
        """Under which name."""
        return self._config.host or own_host()

    @property
    def state(self) -> str:
        """``off``, ``ok``, ``behind`` (hours are to be written) or ``failed``."""
        if not self._config.directory:
            return "off"
        if self.error:
            return "failed"
        return "ok" if self.waiting == 0 else "behind"

    def configure(self, config: ExportConfig) -> None:
        """Write elsewhere from now on."""
        if config != self._config:
            self._config = config
            self._start_over()

    def look(self) -> None:
        """Start a worker if an hour has closed since the last one, or it left some; called each tick."""
        if not self._config.directory or self._task is not None:
            return
        late_s = AFTER_S + zlib.crc32(self.host.encode()) % SPREAD_S
        hour = int((time.time() - late_s) // 3600)
        again = self._again_at is not None and time.monotonic() >= self._again_at
        if again or hour != self._done_hour:
            self._done_hour, self._again_at = hour, None
            self._task = asyncio.create_task(self._run(self._config))
            self._task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("export_failed", exc_info=error)

    async def _run(self, config: ExportConfig) -> None:
        request = ExportRequest(str(self._database()), config.directory, self.host, int(config.keep), os.getpid())
        answer = await self._ask(request)
        if config != self._config:
            return  # of a directory that is not ours any more
        figures = {name: getattr(answer, name) for name in ("hours", "files", "bytes", "removed", "waiting")}
        if answer.error or answer.waiting:
            self._again_at = time.monotonic() + self._again_s
            figures["again_in_s"] = self._again_s
            self._again_s = min(self._most_s, 2 * self._again_s)
        else:
            self._again_s = self._first_s
        if answer.error:
            log.warning("export_failed", extra={"straced": {"why": answer.error, "hint": answer.hint, **figures}})
            if answer.error != self.error:
                self._say("export_failed", f"history is not exported: {answer.error}", owner=NOBODY, hint=answer.hint)
        else:
            log.info("exported", extra={"straced": figures})
            if self.error:
                text = f"history is exported again: {count_of(answer.hours, 'hour')} made up for"
                self._say("export_resumed", text, owner=NOBODY)
        self.error, self.waiting = answer.error, answer.waiting

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

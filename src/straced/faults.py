"""Faults of our own in one line each, the same one at most once a minute: nobody fills the log by provoking them."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from pathlib import Path
from typing import Any

log = logging.getLogger("straced.service")
REST_S = 60.0
MAX_KINDS = 200


class Faults:
    """What was told already, and how often it has happened since."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], tuple[float, int]] = {}

    def tell(self, what: str, error: BaseException, **fields: object) -> None:
        """Log ``error`` with the place where it was raised, unless that was done a moment ago."""
        place = _place(error)
        key = (what, place)
        now = time.monotonic()
        at, count = self._told.get(key, (now - REST_S, 0))
        if now - at < REST_S:
            self._told[key] = (at, count + 1)
            return
        if key not in self._told and len(self._told) >= MAX_KINDS:
            self._told.pop(next(iter(self._told)))
        self._told[key] = (now, 0)
        again = {"unsaid": count} if count else {}
        log.error(
            what, extra={"straced": {**fields, "error": f"{type(error).__name__}: {error}", "at": place, **again}}
        )

    def of_loop(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """As the loop's exception handler."""
        error = context.get("exception") or RuntimeError(context.get("message", "?"))
        self.tell("loop_fault", error, why=context.get("message", ""))


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__, limit=-1)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"


faults = Faults()
"""Of this process."""

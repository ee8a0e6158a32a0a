"""Traces that are being started: one of a kind and target at a time, and a failure is no exception."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any

from straced import gating
from straced.concurrency.shielding import Signal, Undo, attempt
from straced.errors import AttachError, StracedError, resources
from straced.linux import procfs
from straced.manager import log_events
from straced.manager.last_errors import LastErrors

OTHERS_S = 6.0
"""How long an attach waits for those of ancestors that have begun, when somebody has its target."""


class PendingStarts:
    """What is under way.

    Args:
        errors: is told why a start failed.
        refused: told of a target that is not traced, so that a gate does not hold it up.
    """

    def __init__(self, errors: LastErrors, refused: Callable[[int], None]) -> None:
        self._errors = errors
        self._refused = refused
        self._under_way: dict[tuple[str, int], Signal] = {}

    async def alone(
        self, kind: str, pid: int, start: Callable[[], Coroutine[Any, Any, bool]], undo: Undo[bool]
    ) -> bool:
        """Run ``start`` while nobody else starts the same; a failure becomes False, a log line and a typed error."""
        with gating.asking(pid, gating.TRACE if kind == "full" else gating.COUNTS):
            return await attempt(self._alone(kind, pid, start), undo)

    async def _alone(self, kind: str, pid: int, start: Callable[[], Coroutine[Any, Any, bool]]) -> bool:
        key = kind, pid
        while (other := self._under_way.get(key)) is not None:
            await other.wait()
        turn = self._under_way[key] = Signal()
        try:
            with resources(pid):
                done = await start()
        except (StracedError, OSError) as trouble:
            error = trouble if isinstance(trouble, StracedError) else AttachError(str(trouble), pid=pid)
            self._errors[pid] = error
            log_events.refusal(kind, pid, error)
            self._refused(pid)
            return False
        else:
            self._errors.pop(pid, None)
            return done
        finally:
            del self._under_way[key]
            turn.happened()

    async def of_ancestors(self, pid: int) -> None:
        """An ancestor that is being attached to at the same time may take this one in; nobody else's trace does."""
        until = time.monotonic() + OTHERS_S
        above = procfs.ancestors(pid)
        for (_kind, other), turn in list(self._under_way.items()):
            if other in above and (left := until - time.monotonic()) > 0:
                await turn.wait(left)

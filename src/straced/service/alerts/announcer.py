"""An alert on its way: to the sinks, to the log, and to what it starts; a stuck process is explained first."""

from __future__ import annotations

import asyncio
import logging

from straced.faults import faults
from straced.model.alerts import AlertRow
from straced.model.tick import Tick
from straced.service.alerts.reactions import Reactions
from straced.service.alerts.tracker import AlertBook
from straced.service.alerts.why_verdict import verdict_on
from straced.service.collect.call_counter import start_of
from straced.service.sinks.fanout import Fanout

log = logging.getLogger("straced.service")


class AlertAnnouncer:
    """Hands alerts on.

    Args:
        book: has them.
        fanout: where they go.
        reactions: what they start.
        tracer: what ``why`` may count with.
    """

    def __init__(self, book: AlertBook, fanout: Fanout, reactions: Reactions, tracer: str = "auto") -> None:
        self._tracer = tracer
        self._book = book
        self._fanout = fanout
        self._reactions = reactions
        self._explaining: asyncio.Task[None] | None = None

    def announce(self, alert: AlertRow, tick: Tick) -> None:
        """Hand an alert on that opened, changed or closed at this tick."""
        self._fanout.alert(alert)
        if alert.opened_s == alert.updated_s == tick.epoch_s and alert.closed_s is None:
            log.warning("alert", extra={"straced": {"kind": alert.kind, "text": alert.text}})
            self._reactions.look_back(alert)
            if alert.kind == "stuck" and alert.pid is not None and self._explaining is None:
                self._explaining = asyncio.create_task(self._explain(alert))
            else:
                self._reactions.act(alert)

    async def _explain(self, alert: AlertRow) -> None:
        """Add the verdict of ``why`` to an alert, before anything is done that stirs the process; one at a time."""
        try:
            assert alert.pid is not None
            if start_of(alert.pid) == alert.start_ticks:
                changed = self._book.explain(alert, await verdict_on(_meant(alert), alert.owner, self._tracer))
                if changed is not None:
                    self._fanout.alert(changed)
                    alert = changed
        except Exception as error:
            faults.tell("not_explained", error)
        finally:
            self._explaining = None
        self._reactions.act(alert)  # whoever is to be called is called, whatever has become of the process

    def stop(self) -> None:
        """Explain nothing more."""
        if self._explaining is not None:
            self._explaining.cancel()


def _meant(alert: AlertRow) -> int:
    """The thread that an alert is about, else its process."""
    tid = alert.data.get("tid")
    return tid if isinstance(tid, int) else alert.pid or 0

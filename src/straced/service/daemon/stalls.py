"""When the loop stood still: how long, and for whom. It costs no wake-up: the selector sees each round of the loop."""

from __future__ import annotations

import selectors
import time
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

from straced.faults import faults

LIMIT_S = 1.0
REST_S = 10.0
"""Between two reports."""
Result = TypeVar("Result")
Report = Callable[[float, str], None]


class Stalls:
    """The rounds of the loop, and which step of which work took longest in each."""

    def __init__(self) -> None:
        self.report: Report | None = None
        """Is told how long the loop stood still, and what was done."""
        self.began = 0.0
        """When the loop was last woken up; 0: never yet."""
        self._longest = (0.0, "", 0.0)
        self._told = -REST_S

    def step(self, what: str, seconds: float) -> None:
        """A step of some work, between two awaits, took so long."""
        if self._longest[2] != self.began or seconds > self._longest[0]:
            self._longest = (seconds, what, self.began)

    def round_ends(self, now: float) -> None:
        """The loop has done what there was, which took longer than ``LIMIT_S``, and is about to sleep."""
        if self.began and now - self._told >= REST_S:
            self._told = now
            self._tell(now - self.began)

    def _tell(self, took_s: float) -> None:
        seconds, what, of = self._longest
        known = of == self.began and seconds > took_s / 2
        if self.report is not None:
            try:
                self.report(took_s, what if known else "many small things")
            except Exception as error:
                faults.tell("report_failed", error)


stalls = Stalls()
"""Of the loop of this process."""


class WatchedSelector(selectors.DefaultSelector):
    """A selector that tells :data:`stalls` of each round."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        now = time.monotonic()
        if now - stalls.began >= LIMIT_S:
            stalls.round_ends(now)
        events = super().select(timeout)
        stalls.began = time.monotonic()
        return events


@types.coroutine
def timed(what: Callable[[], str], work: Coroutine[Any, Any, Result]) -> Generator[Any, Any, Result]:
    """Await ``work``, and note how long each of its steps holds the loop; ``what`` says what it is, if it is asked."""
    value: Any = None
    error: BaseException | None = None
    while True:
        began = time.monotonic()
        try:
            waits_for = work.send(value) if error is None else work.throw(error)
        except StopIteration as end:
            result: Result = end.value
            return result
        finally:
            seconds = time.monotonic() - began
            if seconds > LIMIT_S / 4:
                stalls.step(what(), seconds)
        value = error = None
        try:
            value = yield waits_for
        except BaseException as raised:
            error = raised

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
Report = Callable[[float, float, str], None]


class Stalls:
    """The rounds of the loop, and which step of which work took longest in each."""

    def __init__(self) -> None:
        self.report: Report | None = None
        """Is told how long the loop stood still, the CPU time of that, and what was done."""
        self._began: float | None = None
        self._cpu = 0.0
        self._longest: tuple[float, str] = (0.0, "")
        self._told = -REST_S

    def step(self, what: str, seconds: float) -> None:
        """A step of some work, between two awaits, took so long."""
        if seconds > self._longest[0]:
            self._longest = (seconds, what)

    def round_begins(self) -> None:
        """The loop has been woken up."""
        self._began, self._cpu = time.monotonic(), time.thread_time()

    def round_ends(self) -> None:
        """It has done what there was, and is about to sleep."""
        now, (seconds, what), self._longest = time.monotonic(), self._longest, (0.0, "")
        if self._began is None or now - self._began < LIMIT_S or now - self._told < REST_S:
            return
        self._told = now
        took_s = now - self._began
        if self.report is not None:
            try:
                self.report(
                    took_s, time.thread_time() - self._cpu, what if seconds > took_s / 2 else "many small things"
                )
            except Exception as error:
                faults.tell("report_failed", error)


stalls = Stalls()
"""Of the loop of this process."""


class WatchedSelector(selectors.DefaultSelector):
    """A selector that tells :data:`stalls` of each round."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        stalls.round_ends()
        try:
            return super().select(timeout)
        finally:
            stalls.round_begins()


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

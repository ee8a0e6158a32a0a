"""Work that ends when somebody presses Ctrl-C, however soon after its start that is."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from straced.concurrency import interrupts

SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
Result = TypeVar("Result")


class StopRequests:
    """SIGINT, SIGTERM and SIGHUP of a program: the first sets :attr:`event`, the second :attr:`again`.

    Args:
        loop: hears of them.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.event = asyncio.Event()
        """Somebody wants the work to end."""
        self.again = asyncio.Event()
        """Somebody does not want to wait for the end either."""
        self._times = 0
        self._reader_is_waited_for = False
        for number in SIGNALS:
            with contextlib.suppress(ValueError, RuntimeError):
                loop.add_signal_handler(number, self._heard, number)

    def leave_a_standing_reader(self) -> None:
        """From now on the work may wait for somebody who reads its output: then the third request ends the program."""
        self._reader_is_waited_for = True

    def _heard(self, number: int) -> None:
        self._times += 1
        (self.again if self.event.is_set() else self.event).set()
        if not self._reader_is_waited_for:
            return
        if self._times == 2:
            print("straced: waiting for the reader of the trace; once more leaves it", file=sys.stderr, flush=True)
        elif self._times > 2:
            os._exit(128 + number)  # a thread is in a write that nothing else ends; the target was let go of before


def cancelled_by_ctrl_c(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine as ``asyncio.run`` does: Ctrl-C cancels it, and is raised when it has cleaned up.

    Raised at any point of the loop instead, it would leave threads that nobody waits for, and work half done.
    """
    with interrupts.left_to_asyncio():
        return asyncio.run(work)


def run(work: Callable[[StopRequests], Coroutine[Any, Any, Result]]) -> Result:
    """Run a coroutine as ``asyncio.run`` does; requests to stop wait until its loop can hear of them.

    Args:
        work: makes it, given the requests.
    """

    async def begin() -> Result:
        requests = StopRequests(asyncio.get_running_loop())
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        try:
            return await work(requests)
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)

    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        return asyncio.run(begin())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

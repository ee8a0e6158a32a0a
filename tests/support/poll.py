"""Wait for a condition, never for a time."""

from __future__ import annotations

import asyncio
import inspect
import os
import select
import subprocess
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from tests.support.pace import PACE

T = TypeVar("T")
HANG_S = 20.0
"""What never comes has not come by then: a bound that is promised to nobody, so no stall of a machine may reach it."""
Description = str | Callable[[], str]
"""What is waited for; a function is asked when it has not come, so that it can show what there is instead."""


def until(condition: Callable[[], T], seconds: float = HANG_S, what: Description = "", pause_s: float = 0.002) -> T:
    """Poll until ``condition()`` is true and return it; fail the test after ``seconds``."""
    seconds *= PACE
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(_failure(seconds, what or repr(condition)))
        time.sleep(pause_s)


def ended(process: subprocess.Popen[Any], seconds: float = HANG_S) -> int:
    """Wait for a child of this process and return its status, at once: ``Popen.wait`` looks every 50 ms."""
    pidfd = os.pidfd_open(process.pid)
    try:
        end = select.poll()
        end.register(pidfd, select.POLLIN)
        end.poll(seconds * PACE * 1000)
    finally:
        os.close(pidfd)
    return process.wait(0)


async def auntil(
    condition: Callable[[], T | Awaitable[T]],
    seconds: float = HANG_S,
    what: Description = "",
    pause: Callable[[], Awaitable[object]] = lambda: asyncio.sleep(0.002),
) -> T:
    """The same, while the event loop runs on; the condition may be a coroutine."""
    seconds *= PACE
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(_failure(seconds, what or repr(condition)))
        await pause()


def _failure(seconds: float, what: Description) -> str:
    return f"not within {seconds} s: {what() if callable(what) else what}"

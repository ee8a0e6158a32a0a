"""One thread of the process in which all engines are loaded, one after the other.

A load takes 11 MB for a moment: libbpf reads what the kernel says of its types, and copies it. The C library gives each
thread an arena of its own, and keeps what was freed at the end of one for the next time, 12 MB here (glibc's dynamic
M_TRIM_THRESHOLD). Loaded in whatever thread is free, a process ends up with as many times that as there are threads.
"""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from straced.concurrency import interrupts

Result = TypeVar("Result")


_NAME = "straced-load"


def _one_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, _NAME)  # started with the first load


_loader = _one_thread()


def _renew() -> None:
    """Begin anew: a forked child has not got the thread."""
    global _loader
    _loader = _one_thread()


os.register_at_fork(after_in_child=_renew)


async def load(function: Callable[[], Result]) -> Result:
    """Call a function that loads, beside the event loop, when it is its turn.

    Raises:
        RuntimeError: there is no room for another thread.
    """
    return await asyncio.wrap_future(_submit(function))


def load_and_wait(function: Callable[[], Result]) -> Result:
    """The same for a caller without an event loop, or that may stand still for as long as a load takes.

    Raises:
        OSError: EAGAIN: there is no room for another thread; else whatever the function raises.
    """
    if threading.current_thread().name.startswith(_NAME):
        return function()
    try:
        work = _submit(function)
    except RuntimeError as error:
        raise OSError(errno.EAGAIN, str(error)) from error
    return work.result()


def _submit(function: Callable[[], Result]) -> Future[Result]:
    try:
        with (
            interrupts.held()
        ):  # a thread that is started, and not yet known to its executor, would never be told to end
            return _loader.submit(function)
    except RuntimeError:
        _renew()  # without its thread the old one keeps the work, and would load for nobody when it gets one
        raise

"""Ctrl-C for a program that imports as it goes: KeyboardInterrupt, but not in the middle of an import.

Raised there it may be lost: the import machinery cleans up in callbacks, from which nothing can be raised.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_AGAIN_S = 0.01
_IMPORTING = "<frozen importlib"


def install() -> None:
    """Handle SIGINT so, where nobody has decided on something else. For programs: libraries leave handlers alone."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupted)


def is_default(handler: object) -> bool:
    """Whether a handler of SIGINT is Python's own, or that of :func:`install`."""
    return handler is signal.default_int_handler or handler is _interrupted


@contextlib.contextmanager
def left_to_asyncio() -> Iterator[None]:
    """Python's own handler, for a loop that begins in the block: only in place of that one does it set its own."""
    in_main_thread = threading.current_thread() is threading.main_thread()  # no other hears of it
    if not in_main_thread or signal.getsignal(signal.SIGINT) is not _interrupted:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, _interrupted)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Ctrl-C waits until the block is over: what would be left half done has none in it."""
    if threading.current_thread() is not threading.main_thread():  # none is ever raised there
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def let_die() -> None:
    """All is done: from here on Ctrl-C ends the interpreter, which has its own modules to take down."""
    if signal.getsignal(signal.SIGALRM) is _again:
        signal.setitimer(signal.ITIMER_REAL, 0)  # an interpreter that ends takes its handlers away, and would die of it
    if is_default(signal.getsignal(signal.SIGINT)):
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _interrupted(number: int, frame: FrameType | None) -> None:
    if not _is_importing(frame):
        signal.default_int_handler(number, frame)
    # Again in a moment. By a timer of the kernel: whoever is interrupted may hold a lock that a thread would need.
    signal.signal(signal.SIGALRM, _again)
    signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)


def _again(number: int, frame: FrameType | None) -> None:
    """To this thread, and as a signal: it waits while SIGINT is blocked."""
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith(_IMPORTING):
            return True
        frame = frame.f_back
    return False

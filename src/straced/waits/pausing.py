"""Pauses and long loops that end when nobody waits for the answer any more."""

from __future__ import annotations

import threading
import time
from contextvars import ContextVar

_given_up: ContextVar[threading.Event | None] = ContextVar("given_up", default=None)


class GivenUp(Exception):
    """Whoever asked was cancelled."""


def heed(given_up: threading.Event) -> None:
    """From here on, in this context, a pause or :func:`go_on` ends with GivenUp once the event is set."""
    _given_up.set(given_up)


def go_on() -> None:
    """Return at once.

    Raises:
        GivenUp: nobody waits for the answer any more.
    """
    event = _given_up.get()
    if event is not None and event.is_set():
        raise GivenUp


def pause(seconds: float) -> None:
    """Sleep.

    Raises:
        GivenUp: nobody waits for the answer any more.
    """
    event = _given_up.get()
    if event is None:
        time.sleep(seconds)
    elif event.wait(seconds):
        raise GivenUp

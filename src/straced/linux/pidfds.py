"""Processes held by pidfd: whether they have ended, and their end, verified. A reused pid is never signalled."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterable


def has_ended(pidfd: int) -> bool:
    """A pidfd is readable once its process has ended, reaped or not (pidfd_open(2))."""
    return bool(_poll([pidfd], 0))


def is_reaped(pidfd: int) -> bool:
    """Whether a process has ended and was waited for: then its pid may be another one's. Signal 0 only asks."""
    try:
        signal.pidfd_send_signal(pidfd, 0)
    except ProcessLookupError:
        return True
    except OSError:  # it is another user's, and lives
        return False
    return False


def end(pidfds: dict[int, int], others: Iterable[int], sig: int, timeout_s: float) -> list[int]:
    """Signal processes, wait for them together, and tell who still lives.

    Args:
        pidfds: those that are held, by pid; this takes no further descriptor.
        others: those that nobody holds yet. Where there are descriptors for some only, one lot after the other.
        sig: the signal.
        timeout_s: how long each lot may take.
    """
    waiting = set(others) - pidfds.keys()
    held = _hold(waiting)
    try:
        left = _end({**pidfds, **held}, sig, timeout_s)
    finally:
        _release(held)
    while waiting and (held := _hold(waiting)):
        try:
            left += _end(held, sig, timeout_s)
        finally:
            _release(held)
    return left + list(waiting)


def _hold(pids: set[int]) -> dict[int, int]:
    """Take as many out of ``pids`` as can be held; those that are gone already are taken out too."""
    held: dict[int, int] = {}
    for pid in list(pids):
        try:
            held[pid] = os.pidfd_open(pid)
        except ProcessLookupError:
            pass
        except OSError:
            break
        pids.discard(pid)
    return held


def _release(held: dict[int, int]) -> None:
    for fd in held.values():
        os.close(fd)


def _poll(fds: list[int], timeout_ms: int) -> set[int]:
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return {fd for fd, _events in poll.poll(timeout_ms)}


def _end(pidfds: dict[int, int], sig: int, timeout_s: float) -> list[int]:
    for fd in pidfds.values():
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(fd, sig)
    left = dict(pidfds)
    deadline = time.monotonic() + timeout_s
    while left:
        ready = _poll(list(left.values()), max(0, int((deadline - time.monotonic()) * 1000)))
        left = {pid: fd for pid, fd in left.items() if fd not in ready}
        if not ready:
            break
    return list(left)

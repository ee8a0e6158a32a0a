"""Whether a thread goes before others on its CPU, and whether any may here."""

from __future__ import annotations

import contextlib
import os
import resource
import threading


def has_priority(task: int) -> bool:
    """Whether a thread has real-time priority; 0: this one."""
    return os.sched_getscheduler(task) & ~os.SCHED_RESET_ON_FORK == os.SCHED_RR


def may_have_priority() -> bool:
    """Whether a thread gets it here, and is not ended for it."""
    found: list[bool] = []

    def ask() -> None:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        found.append(has_priority(0))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    return found[0] and resource.getrlimit(resource.RLIMIT_RTTIME)[0] == resource.RLIM_INFINITY

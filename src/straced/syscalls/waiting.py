"""Calls in which a program waits for work: how long they last says nothing of how it does."""

from __future__ import annotations

WAITS_FOR_WORK = frozenset(
    {
        "accept",
        "accept4",
        "clock_nanosleep",
        "epoll_pwait",
        "epoll_pwait2",
        "epoll_wait",
        "io_getevents",
        "nanosleep",
        "pause",
        "poll",
        "ppoll",
        "pselect6",
        "rt_sigsuspend",
        "rt_sigtimedwait",
        "select",
        "wait4",
        "waitid",
    }
)
"""Calls in which a program waits for work, or for its children: being in one of them is no trouble."""

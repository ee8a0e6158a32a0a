"""Which records of a flight recorder a user may have: of processes that are theirs, since those became theirs.

A process is looked at after the records were held as they are. What it did since its last execve was done by the
program that is seen then, and is its user's if that is; what came before that execve may have been somebody else's,
and so may what another process did that had the number before. Whoever sees all has the whole tree.
"""

from __future__ import annotations

import os
import time

from straced.errors import NoSuchProcess, NotPermitted
from straced.linux import credentials, procfs
from straced.linux.credentials import Peer
from straced.tracers.ebpf import flight_choice
from straced.tracers.ebpf.flight_choice import Choice, Choose, DumpWindow

_TICK_NS = 10**9 // os.sysconf("SC_CLK_TCK")


def choose_for(peer: Peer | None, pid: int) -> Choose:
    """What decides it in a dump.

    Args:
        peer: who asks; ``None`` for whoever may see all.
        pid: the process that is meant, with all below it.
    """

    def choose(window: DumpWindow) -> Choice:
        living = procfs.descendants(pid)
        if peer is None or peer.is_root:
            return flight_choice.of_tree(pid, window, living)
        credentials.require(peer, pid)
        return {each: since for each in (pid, *living) if (since := _since(peer, each, window)) is not None}

    return choose


def _since(peer: Peer, pid: int, window: DumpWindow) -> int | None:
    """From when on a process is theirs; ``None`` where it is not, or ever had more rights than they have."""
    if window.callers.get(pid) != (peer.uid, peer.gid):
        return None
    try:
        credentials.require(peer, pid)
        started_ns = procfs.stat(pid).start_ticks * _TICK_NS - _asleep_ns()
    except (NoSuchProcess, NotPermitted, procfs.Gone):
        return None
    began_ns = window.execs.get(pid, 0)
    if began_ns < started_ns:
        began_ns = started_ns + _TICK_NS  # no time of a start is told more finely
    return max(began_ns, window.ends.get(pid, 0), window.lost_ns)


def _asleep_ns() -> int:
    """How far the clock of process start times is ahead of that of records: for how long the machine was suspended."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()

"""While something is tried: the tick goes on, root and another user are answered, and memory stays what it was."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

from tests.security.hostile import BYSTANDER, Pinger
from tests.service.daemon import Daemon

SOAK = bool(os.environ.get("STRACED_SOAK"))
WAIT_S = 0.5 if SOAK else 2.0
"""The longest that anybody may wait."""
MEMORY_BYTES = 200 * 10**6
STOP_S = 3.0
TICKS = 5
HOLDS_S = 2.0 if SOAK else 0.5
"""For how long after it all of that has to hold."""


def rss(pid: int) -> int:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak(pid: int) -> int:
    """The most that it ever had."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


@contextlib.contextmanager
def others_are_served(daemon: Daemon, *, for_s: float = HOLDS_S) -> Iterator[None]:
    """Fail unless all of that holds during the block, and for a while after it."""
    assert daemon.process is not None
    pid = daemon.process.pid
    ticks = min(TICKS, math.ceil(for_s / 0.4))
    asking = {"root": 0, "another user": BYSTANDER}
    pingers = {who: Pinger(uid, daemon.socket, ticks, WAIT_S) for who, uid in asking.items()}
    try:
        yield
        time.sleep(for_s)  # no wait for something: the time for which it has to hold
    finally:
        told = {who: pinger.told() for who, pinger in pingers.items()}
        print(told, "peak", peak(pid))
        print(*(line for line in daemon.log.read_text().splitlines() if "stood_still" in line), sep="\n")
    for who, found in told.items():
        assert found["refused"] == 0, (who, found)
        assert found["worst"] <= WAIT_S + 2 * found["stolen"], (who, found)
        assert found["ticks"] >= ticks, (who, found)
    assert peak(pid) <= MEMORY_BYTES, peak(pid)


def ends_in_time(daemon: Daemon) -> None:
    """SIGTERM ends it, and nothing unseemly is in its log."""
    assert daemon.stop() <= STOP_S
    assert "Traceback" not in daemon.log.read_text()
    assert not daemon.socket.exists()

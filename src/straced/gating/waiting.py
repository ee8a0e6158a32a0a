"""Whether a gate has come to its wait: before that a tracer would count what the gate itself does."""

from __future__ import annotations

import os
import time

from straced.gating import protocol
from straced.linux import procfs

START_S = 10.0
"""How long a gate may take to come to its wait, on a crowded machine: what is older and does not wait is none."""


def is_ready(pid: int) -> bool:
    """Whether the gate waits."""
    try:
        stat = procfs.stat(pid)
    except procfs.Gone:
        return False
    return stat.comm == protocol.COMM and stat.state == "S"


async def wait_ready(pid: int) -> bool:
    """Wait until the gate waits; False when it has opened, gone or does not get there in time."""
    import asyncio

    while not is_ready(pid):
        if not protocol.may_wait(pid) or _age_s(pid) > START_S:
            return False
        await asyncio.sleep(0.0005)
    return True


def _age_s(pid: int) -> float:
    """Since the fork of a process; infinite once it is gone."""
    try:
        began = procfs.stat(pid).start_ticks
    except procfs.Gone:
        return float("inf")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - began / os.sysconf("SC_CLK_TCK")

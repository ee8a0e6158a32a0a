"""Whether the OOM killer ended a command: its parent sees a SIGKILL only, or a shell's status 137."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

from straced.linux import cgroups
from straced.linux.procfs import Gone

SLACK_NS = 500_000_000
"""The clock of the kernel log is another one."""
_KILLS = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


class MemoryWatch:
    """Remembers what the cgroups of a command have counted, and compares at its end.

    Made once the command runs: that does not make its start any slower, and nobody runs out of memory that soon.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._started_ns = time.monotonic_ns()
        self._before = {path: _count(path) for path in _counters(pid)}

    def words(self, status: int) -> str:
        """What to say about the end of the command; ``""`` unless the OOM killer was in it."""
        if status == -signal.SIGKILL:
            from straced.waits.limits import oom

            kill = oom.kill_of(self._pid)
            if kill is not None and kill.monotonic_ns > self._started_ns - SLACK_NS:
                return f"the OOM killer ended the command: {oom.cause(kill)}"
        elif status != 128 + signal.SIGKILL:
            return ""
        for path, before in self._before.items():
            if (more := _count(path) - before) > 0:
                who = "the command" if status == -signal.SIGKILL else "a process of the command"
                return f"the OOM killer likely ended {who}: {path} counts {more} more than at its start"
        return ""


def _counters(pid: int) -> list[str]:
    """The files that count the kills in the groups of a process."""
    try:
        places = cgroups.upwards(pid, "memory")
    except (Gone, OSError):
        return []
    return [f"{place.folder}/{'memory.events' if place.v2 else 'memory.oom_control'}" for place in places]


def _count(path: str) -> int:
    """The kills that a file counts; 0 where it is gone."""
    try:
        found = _KILLS.search(Path(path).read_text())
    except OSError:
        return 0
    return int(found[1]) if found else 0

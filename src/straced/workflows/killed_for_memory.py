"""Whether the OOM killer ended a command: its parent sees a SIGKILL only, or a shell's status 137."""

from __future__ import annotations

import signal
import time

SLACK_NS = 500_000_000
"""The clock of the kernel log is another one."""


class MemoryWatch:
    """Remembers what the cgroups of a command have counted, and compares at its end.

    Made once the command runs: that does not make its start any slower, and nobody runs out of memory that soon.
    """

    def __init__(self, pid: int) -> None:
        from straced.waits.facts.proc import ProcReader
        from straced.waits.limits import oom

        self._pid = pid
        self._started_ns = time.monotonic_ns()
        self._before = oom.kills_counted(ProcReader(), pid)

    def words(self, status: int) -> str:
        """What to say about the end of the command; ``""`` unless the OOM killer was in it."""
        from straced.waits.limits import oom

        if status == -signal.SIGKILL:
            kill = oom.kill_of(self._pid)
            if kill is not None and kill.monotonic_ns > self._started_ns - SLACK_NS:
                return f"the OOM killer ended the command: {oom.cause(kill)}"
        elif status != 128 + signal.SIGKILL:
            return ""
        for path, before in self._before.items():
            if more := oom.count(path) - before:
                who = "the command" if status == -signal.SIGKILL else "a process of the command"
                return f"the OOM killer likely ended {who}: {path} counts {more} more than at its start"
        return ""

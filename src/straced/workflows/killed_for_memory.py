"""Whether the OOM killer ended a command, or a process that it started: a parent sees a SIGKILL only, a shell less.

The kernel log names who was killed, where it may be read: one of the command's is who was seen below it, or was in its
memory cgroup. Else there are the counters: who was killed is counted in its own group (``memory.events``, or
``memory.oom_control`` of version 1). In a group that the command shares with straced, and so with others, it is said
only of a command that ended by SIGKILL, or with a shell's word for that.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from straced.linux import cgroups, procfs
from straced.linux.cgroups import GroupPlace
from straced.linux.procfs import Gone

if TYPE_CHECKING:
    from straced.waits.limits.oom import OomKill

SLACK_NS = 500_000_000
"""The clock of the kernel log is another one."""
FIRST_PAUSE_S, LONGEST_PAUSE_S, COST_SHARE = 0.01, 1.0, 0.01
"""From one look to the next; and what looking may take of a CPU."""
_FRESH_NS = SLACK_NS + 2 * 10**9
"""Somebody who was killed this long after he was seen is the same: pids are not given anew that soon."""
_MOST_SEEN = 20_000
_MOST_GROUPS = 1000
"""Groups below that of the command which are looked at."""
_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)
_KILLS = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


class MemoryWatch:
    """Remembers what the cgroup of a command has counted and whom it has started, and compares at its end.

    Made once the command runs: that does not make its start any slower, and nobody runs out of memory that soon.

    Args:
        pid: the command.
        log: the kernel log.
    """

    def __init__(self, pid: int, log: str = "/dev/kmsg") -> None:
        self._pid = pid
        self._log = log
        self._started_ns = time.monotonic_ns()
        self._shared = _group("self")
        self._groups: dict[GroupPlace | None, None] = {}
        self._before: dict[str, int] = {}
        self._seen: dict[int, int] = {}
        self._note_group()

    async def keep_looking(self) -> None:
        """Look now and again, until cancelled."""
        pause_s = FIRST_PAUSE_S
        while True:
            await asyncio.sleep(pause_s)
            began = time.perf_counter()
            self.look()
            pause_s = max(min(2 * pause_s, LONGEST_PAUSE_S), (time.perf_counter() - began) / COST_SHARE)

    def look(self) -> None:
        """Note the group that the command is in, and all who live of what it has started."""
        self._note_group()
        now_ns = time.monotonic_ns()
        for pid in procfs.descendants(self._pid):
            self._seen.pop(pid, None)
            self._seen[pid] = now_ns
        for pid in list(self._seen)[: max(0, len(self._seen) - _MOST_SEEN)]:
            del self._seen[pid]

    def _note_group(self) -> None:
        place = _group(self._pid)
        if place not in self._groups:
            self._groups[place] = None
            self._before |= dict(_counts(place))

    def words(self, status: int) -> str:
        """What to say about the end of the command; ``""`` unless the OOM killer was in it.

        Args:
            status: its exit code, or minus its signal.
        """
        from straced.waits.limits import oom

        kills = [kill for kill in oom.kills(self._log).values() if kill.monotonic_ns > self._started_ns - SLACK_NS]
        for kill in kills:
            if kill.pid == self._pid and status == -signal.SIGKILL:
                return f"the OOM killer ended the command: {oom.cause(kill)}"
        for kill in kills:
            if self._has_seen(kill):
                return f"the OOM killer ended a process of the command, {kill.pid} ({kill.comm}): {oom.cause(kill)}"
        for kill in kills:
            if self._is_in_it(kill, status):
                group = f"its cgroup {kill.task_group}"
                return f"the OOM killer ended process {kill.pid} ({kill.comm}) of {group}: {oom.cause(kill)}"
        return self._counted(status)

    def _has_seen(self, kill: OomKill) -> bool:
        seen_ns = self._seen.get(kill.pid)
        return seen_ns is not None and abs(kill.monotonic_ns - seen_ns) < _FRESH_NS

    def _is_in_it(self, kill: OomKill, status: int) -> bool:
        """Whether somebody was killed in a group that the command was in, or below it."""
        for place in self._groups:
            if place is None or not f"{kill.task_group}/".startswith(f"{place.group}/"):
                continue
            if status in _KILLED or place != self._shared or kill.task_group != place.group:
                return True
        return False

    def _counted(self, status: int) -> str:
        """What the counters alone say: how many, and nobody's name."""
        for place in filter(None, self._groups):
            for path, now in _counts(place):
                folder, more = os.path.dirname(path), now - self._before.get(path, 0)
                shared = self._shared is not None and folder == self._shared.folder
                if more > 0 and (status in _KILLED or not shared):
                    alone = status == -signal.SIGKILL and folder == place.folder
                    who = "the command" if alone else "a process of the command"
                    return f"the OOM killer likely ended {who}: {path} counts {more} more than at its start"
        return ""


def _group(pid: int | str) -> GroupPlace | None:
    """The memory cgroup of a process; ``None`` for the root, which is everybody's, and where it cannot be known."""
    try:
        return next(iter(cgroups.upwards(pid, "memory")), None)
    except (Gone, OSError):
        return None


def _counts(place: GroupPlace | None) -> Iterator[tuple[str, int]]:
    """The files that count kills, of a group and of those below it, with their counts."""
    if place is None:
        return
    for folder, _, files in itertools.islice(os.walk(place.folder), _MOST_GROUPS):
        name = "memory.events" if place.v2 else "memory.oom_control"
        if name in files:
            yield f"{folder}/{name}", _count(f"{folder}/{name}")


def _count(path: str) -> int:
    """The kills that a file counts; 0 where it is gone."""
    try:
        found = _KILLS.search(Path(path).read_text())
    except OSError:
        return 0
    return int(found[1]) if found else 0

"""What the OOM killer did: the kernel log names the process, where it may be read; else the counters of its cgroup.

Only records of the kernel itself count: whoever may write into the log could name any pid there.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator

from msgspec import Struct

from straced.linux import cgroups, procfs
from straced.text.sanitize import scrub_bytes
from straced.text.units import count_of, format_bytes, format_ns
from straced.waits.facts.proc import ProcReader
from straced.waits.limits.groups import counters, groups_of, read
from straced.waits.limits.window import HostWindow
from straced.waits.model import Limit

KMSG = "/dev/kmsg"
_FILE = {True: "memory.events", False: "memory.oom_control"}
"""Where either version of cgroups counts kills."""
_INITIAL_PID_NS = "pid:[4026531836]"
_MOST_RECORDS = 100_000
_SLACK_NS = 500_000_000
"""The log has its own clock, and start times are in ticks."""
_TICK_NS = 10**9 // os.sysconf("SC_CLK_TCK")
_KILLED = re.compile(
    rb"(?:(Memory cgroup out)|Out) of memory\b.*: Killed process (\d+) \((.*)\) total-vm:\d+kB, anon-rss:(\d+)kB"
)
_CONSTRAINT = re.compile(
    rb"oom-kill:constraint=\w+,.*?,(?:oom_memcg=(.*?)|global_oom),task_memcg=(.*),task=.*,pid=(\d+),uid=\d+"
)


class OomKill(Struct, frozen=True, kw_only=True):
    """A record of the kernel log."""

    pid: int
    monotonic_ns: int
    anon_bytes: int
    group: str = ""
    """The memory cgroup that had reached its limit, where that was logged."""
    comm: str = ""
    """The name of the process."""
    task_group: str = ""
    """Its own memory cgroup, as the kernel has it: also below the one that had reached its limit."""
    of_group: bool = False
    """A memory cgroup had reached its limit, not the machine."""

    @property
    def boottime_ns(self) -> int:
        """On the clock of start times, which goes on in a suspend; a little late."""
        ahead_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()
        return self.monotonic_ns + ahead_ns + _SLACK_NS


def kill_of(pid: int) -> OomKill | None:
    """The last time that the OOM killer ended a process of this pid; ``None`` also where the log may not be read."""
    return kills().get(pid)


def kills(log: str = KMSG) -> dict[int, OomKill]:
    """The last kill of each pid that the kernel log has; empty where it may not be read."""
    try:
        if os.readlink(f"{procfs.ROOT}/self/ns/pid") != _INITIAL_PID_NS:
            return {}  # the log has the pids of the machine
        fd = os.open(log, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return {}
    try:
        return kills_in(_records(fd))
    finally:
        os.close(fd)


def _records(fd: int) -> Iterator[bytes]:
    """The records that a descriptor of the log gives, one a read."""
    for _ in range(_MOST_RECORDS):
        try:
            record = os.read(fd, 8192)
        except BrokenPipeError:  # overwritten while we read: the next one is there
            continue
        except OSError:
            return
        if not record:
            return
        yield record


def kills_in(records: Iterable[bytes]) -> dict[int, OomKill]:
    """The last kill of each pid in records of the log; those that a program wrote do not count."""
    found: dict[int, OomKill] = {}
    groups: dict[int, tuple[bytes, bytes]] = {}
    for record in records:
        head, _, text = record.partition(b";")
        fields = head.split(b",")
        if len(fields) < 3 or int(fields[0]) >> 3:
            continue
        line = text.split(b"\n", 1)[0]
        if match := _CONSTRAINT.match(line):
            groups[int(match[3])] = match[1] or b"", match[2]
        elif match := _KILLED.match(line):
            pid = int(match[2])
            group, task_group = groups.pop(pid, (b"", b""))
            found[pid] = OomKill(
                pid=pid,
                monotonic_ns=int(fields[2]) * 1000,
                anon_bytes=int(match[4]) << 10,
                group=scrub_bytes(group),
                comm=scrub_bytes(match[3]),
                task_group=os.fsdecode(task_group),
                of_group=bool(match[1]),
            )
    return found


def sentence(kill: OomKill) -> str:
    """``the OOM killer ended it 3.1 s ago: ...``, without a full stop."""
    return f"the OOM killer ended it {format_ns(max(0, time.monotonic_ns() - kill.monotonic_ns))} ago: {cause(kill)}"


def cause(kill: OomKill) -> str:
    """What there was no more of, and how much of it the process had."""
    whose = "the machine had no memory left"
    if kill.of_group:
        whose = (
            f"its cgroup {kill.group} {_limit(kill.group)}" if kill.group else "its cgroup had reached its memory limit"
        )
    return f"{whose}, and it had {format_bytes(kill.anon_bytes)}"


def _limit(group: str) -> str:
    for hierarchy in cgroups.hierarchies():
        file = "memory.limit_in_bytes" if "memory" in hierarchy.controllers else "memory.max"
        path = f"{cgroups.folder(group, hierarchy)}/{file}"
        if (word := read(path).strip()).isdecimal():
            return f"may have {format_bytes(int(word))} ({path})"
    return "had reached its memory limit"


def words_of(pid: int, since_ns: int) -> str:
    """:func:`sentence` about a process that was there at ``since_ns``; ``""`` if nothing says that this was its end."""
    kill = kill_of(pid)
    return sentence(kill) if kill is not None and kill.monotonic_ns >= since_ns - _SLACK_NS else ""


def words_of_nobody(pid: int) -> str:
    """What the log knows of a pid that nobody has; others may have had it since."""
    kill = kill_of(pid)
    return sentence(kill).replace("ended it", f"ended a process {pid}") if kill is not None else ""


def limits(window: HostWindow, proc: ProcReader, pid: int) -> Iterator[Limit]:
    """Of a process that has ended, whether the OOM killer ended it; of others, whether it was in their cgroups."""
    facts = proc.stat(pid)
    if facts.state in "ZX":
        kill = proc.cached("oom kills", 0, kills).get(pid) if proc.root == procfs.ROOT else None
        if kill is not None and kill.boottime_ns >= facts.start_ticks * _TICK_NS:
            yield Limit(pid=pid, kind="oom_kill", path=KMSG, text=sentence(kill), acted=True)
            return
    for group in groups_of(proc, pid, "memory"):
        file = _FILE[group.v2]
        ended, now = count(group.path(file)), window.added(group, file, "oom_kill") or 0
        if ended:
            more = f", {now} of them in the last {format_ns(window.window_ns)}" if now else ""
            processes = count_of(ended, "process")
            text = f"the OOM killer has ended {processes} of its cgroup {group.name}{more}"
            yield Limit(pid=pid, kind="oom_kill", path=group.path(file), text=text, acted=bool(now))


def count(path: str) -> int:
    """The OOM kills that a file counts; 0 where it is gone."""
    return counters(read(path)).get("oom_kill", 0)

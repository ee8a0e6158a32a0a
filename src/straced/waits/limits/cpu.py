"""The CPU quota of a control group, and why a task that is ready to run gets no CPU."""

from __future__ import annotations

from straced.text.units import format_ns
from straced.waits.facts.proc import ProcReader
from straced.waits.limits.groups import CgroupFolder, groups_of
from straced.waits.limits.window import HostWindow
from straced.waits.model import Limit

_WORTH_SAYING = 0.1
_BUSY = 0.7
"""From here on CPUs are said to be used by others: a tick counts as busy or not, and the looks at it are few."""


def quota(window: HostWindow, proc: ProcReader, pid: int, starved: float) -> Limit | None:
    """The quota that was used up in the window, of the process's own group or of one above it.

    It held the process back if that wanted to run: ``starved`` is the part of the window that a task of it was ready
    to and did not, 0 to 1. Else others of the group used it up.
    """
    held = [found for group in groups_of(proc, pid, "cpu") if (found := _throttled(window, group)) is not None]
    if not held:
        return None
    throttled, periods, group = max(held, key=lambda each: each[0])
    text = f"the CPU quota of its cgroup {group.name}{_figures(group)} was used up in {throttled} of {periods} periods"
    acted = throttled >= periods * _WORTH_SAYING and starved >= _WORTH_SAYING
    return Limit(pid=pid, kind="cpu_quota", path=group.path("cpu.stat"), text=text, acted=acted)


def _throttled(window: HostWindow, group: CgroupFolder) -> tuple[int, int, CgroupFolder] | None:
    throttled = window.added(group, "cpu.stat", "nr_throttled")
    periods = window.added(group, "cpu.stat", "nr_periods")
    return (throttled, max(periods or 0, throttled), group) if throttled else None


def _figures(group: CgroupFolder) -> str:
    if group.v2:
        words = group.text("cpu.max").split()
        amounts = [int(word) if word.isdecimal() else None for word in words[:2]]
    else:
        amounts = [group.number("cpu.cfs_quota_us"), group.number("cpu.cfs_period_us")]
    if len(amounts) != 2 or None in amounts:
        return ""
    used, period = (format_ns((amount or 0) * 1000) for amount in amounts)
    return f" ({used} in each {period})"


def who_has_the_cpus(window: HostWindow, proc: ProcReader, pid: int) -> str:
    """What keeps a task of this process from the CPUs when no quota does: others, or nobody that is seen."""
    share = window.busy_share(_allowed(proc, pid))
    if share is None:
        return ""
    return "others use them" if share >= _BUSY else f"though they were idle {100 * (1 - share):.0f} % of it"


def _allowed(proc: ProcReader, pid: int) -> list[int]:
    """The CPUs that a process may use: ``Cpus_allowed_list`` of proc_pid_status(5), ``0-3,8``."""
    found: list[int] = []
    for part in proc.status(pid).get("Cpus_allowed_list", "").split(","):
        first, _, last = part.strip().partition("-")
        if first.isdecimal():
            found += range(int(first), int(last or first) + 1)
    return found

"""The processes that straced itself has started to trace: never targets."""

from __future__ import annotations

import weakref
from typing import Protocol

from straced.linux import procfs
from straced.tracers.strace.guard_client import GuardClient


class HelperOwner(Protocol):
    """Who started helpers, by a guard."""

    guard: GuardClient

    @property
    def process_pids(self) -> list[int]:
        """All processes of this owner: the straces, the guard, and what only waits to be a strace."""
        ...


_owners: weakref.WeakSet[HelperOwner] = weakref.WeakSet()


def note(owner: HelperOwner) -> None:
    """Count the processes of an owner among the helpers, for as long as it lives."""
    _owners.add(owner)


def own_helpers(*, idle: bool = True) -> frozenset[int]:
    """Pids of all guards and straces of this process, and of what only waits to be a strace: never targets.

    Args:
        idle: with those that wait. Such a one becomes another program under the same pid.
    """
    found: set[int] = set()
    for owner in list(_owners):
        found.update(owner.process_pids)
        if not idle:
            found.discard(owner.guard.spare or 0)
    return frozenset(found)


def is_own_helper(pid: int) -> bool:
    """Whether a guard of this process started it, or it is one."""
    guards = {owner.guard.pid for owner in list(_owners)} - {None}
    return bool(guards) and not guards.isdisjoint((pid, *procfs.ancestors(pid)))

"""To whom what a process did may be told.

Where the tree is counted for one user, the kernel has seen to it: what stands in that session was wholly theirs, from
its execve on, and what was not stands in another session, for root. Elsewhere (the tree of a daemon of root's, say) a
count is a user's when the process was theirs at both ends of the interval, they had called the execve that its program
began with, and none ever gave it rights.
"""

from __future__ import annotations

import os

import msgspec

from straced.linux import procfs
from straced.linux.credentials import owner_of
from straced.model.owner import Owner
from straced.model.tick import Calls, ProcessSample
from straced.service.collect.counted_calls import CountedCalls, Key
from straced.service.collect.watchlist import Watched
from straced.tracers.base import Rights


class Attribution:
    """Remembers whose each process was, and who has ever had more rights than their user."""

    def __init__(self) -> None:
        self._before: dict[Key, tuple[Owner, tuple[int, int] | None]] = {}
        """Whose a process was at the reading before, and who had called the execve of its program."""
        self._hidden: set[Key] = set()
        self.changed: set[Key] = set()
        """Processes that were their user's as far as they are counted, and somebody else's when they were looked at."""

    def owner(self, sample: ProcessSample, counted: CountedCalls) -> Owner:
        """Whose the counts of a process are, which was its owner's when it was looked at."""
        key, owner = sample.facts.key, sample.owner
        caller = counted.callers.get(key)
        before = self._before.get(key)
        now = self._before[key] = owner, caller
        self._hidden.discard(key)
        self.changed.discard(key)
        if owner.private or sample.calls is None:
            if (
                key not in counted.callers
                and sample.root in counted.users
                and (before is None or not before[0].private)
            ):
                self.changed.add(key)
            return owner
        if key not in counted.callers and counted.users.get(sample.root) == (owner.uid, owner.gid):
            return owner
        if before == now and caller == (owner.uid, owner.gid):
            return owner
        self._hidden.add(key)
        return _hidden(owner)

    def known(self, key: Key, owner: Owner) -> Owner:
        """Whose a process is that was asked about between two readings."""
        return _hidden(owner) if key in self._hidden else owner

    def forget(self, key: Key) -> None:
        """It has ended."""
        self._before.pop(key, None)
        self.changed.discard(key)
        self._hidden.discard(key)


def _hidden(owner: Owner) -> Owner:
    return Owner(owner.uid, owner.gid, private=True)


def user_of(root: Watched) -> Rights | None:
    """For whom a tree is to be counted: the user whose its root is; ``None``: for root, or for the one we serve."""
    if os.geteuid() != 0:
        return None
    try:
        owner = owner_of(root.pid)
    except (procfs.Gone, OSError, KeyError, ValueError):
        return None
    return None if owner.private or owner.uid == 0 else Rights(owner.uid, owner.gid)


def of_tree(
    owner: Owner, ended: tuple[Calls, ...], others: tuple[Calls, ...], user: tuple[int, int] | None
) -> tuple[tuple[Calls, ...], tuple[Calls, ...]]:
    """What the ended descendants of a tree did: what the owner of its root may be told, and what only root may.

    Args:
        owner: of the tree's root.
        ended, others: as they were counted.
        user: user and group for whom the tree is counted.
    """
    if owner.private or user == (owner.uid, owner.gid):
        return ended, others
    return (), (*ended, *others)


def told(sample: ProcessSample) -> ProcessSample:
    """A sample as its owner may have it, who is not root."""
    return msgspec.structs.replace(sample, others=()) if sample.others else sample

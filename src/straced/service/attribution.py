"""To whom what a process did may be told.

Where the tree is counted for one user, the kernel has seen to it: what stands in that session was wholly theirs, from
its execve on, and what was not stands in another session, for root. Elsewhere (the tree of a daemon of root's, say) a
count is a user's when the process was theirs at both ends of the interval, and no execve ever gave it rights.
"""

from __future__ import annotations

import os

import msgspec

from straced import procfs
from straced.service.authorisation import NOBODY, Owner, owner_of
from straced.service.counting import Calls, Counted, Key
from straced.service.samples import ProcessSample
from straced.service.watchlist import Watched
from straced.tracers.base import Rights


class Attribution:
    """Remembers whose each process was, and who has ever had more rights than their user."""

    def __init__(self) -> None:
        self._before: dict[Key, Owner] = {}
        self._elevated: set[Key] = set()

    def owner(self, sample: ProcessSample, counted: Counted) -> Owner:
        """Whose the counts of a process are, which was its owner's when it was looked at."""
        key, owner = sample.facts.key, sample.owner
        user = counted.users.get(sample.root)
        before = self._before.get(key)
        self._before[key] = owner
        if key in counted.elevated:
            self._elevated.add(key)
        if key in self._elevated:
            return msgspec.structs.replace(owner, private=True, capabilities=0)
        if owner.private or sample.calls is None or (user == (owner.uid, owner.gid) and key not in counted.apart):
            return owner
        return owner if before == owner else NOBODY

    def known(self, key: Key, owner: Owner) -> Owner:
        """Whose a process is that was asked about between two readings."""
        return msgspec.structs.replace(owner, private=True, capabilities=0) if key in self._elevated else owner

    def forget(self, key: Key) -> None:
        """It has ended."""
        self._before.pop(key, None)
        self._elevated.discard(key)


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

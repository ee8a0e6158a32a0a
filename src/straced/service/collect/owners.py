"""Whose each watched process is, looked at closely when it may have changed: after an exec, and now and then."""

from __future__ import annotations

from msgspec import Struct

from straced.linux import procfs
from straced.linux.credentials import NOBODY, Owner, owner_of
from straced.model.facts import ProcessFacts

CLOSE_LOOK_TICKS = 30


class _KnownOwner(Struct):
    """An owner, what /proc showed when it was looked at, and for how many ticks that is believed."""

    sign: tuple[tuple[int, int], str, str | None]
    owner: Owner
    ticks_left: int


class OwnerCache:
    """Remembers owners; a cheap look each time tells whether the close one is due.

    A setuid or setgid program, one with file capabilities, and one that drops its rights all change what /proc shows
    as the owner of the process's files, or the name.
    """

    def __init__(self, root: str = procfs.ROOT) -> None:
        self._root = root
        self._known: dict[tuple[int, int], _KnownOwner] = {}

    def of(self, facts: ProcessFacts, shown: tuple[int, int] | None) -> Owner:
        """Whose a process is now; root's alone when that cannot be told.

        Args:
            facts: of this moment.
            shown: user and group that own its files in /proc, as of this moment.
        """
        key = facts.key
        known = self._known.get(key)
        if shown is None:
            return known.owner if known is not None else NOBODY
        sign = (shown, facts.comm, facts.exe)
        if known is not None and known.sign == sign and known.ticks_left > 0:
            known.ticks_left -= 1
            return known.owner
        try:
            owner = owner_of(facts.pid, self._root)
        except (procfs.Gone, OSError, KeyError, ValueError):
            owner = known.owner if known is not None else NOBODY
        early = facts.pid % (CLOSE_LOOK_TICKS // 2)  # so that not all are looked at in one tick
        self._known[key] = _KnownOwner(sign, owner, CLOSE_LOOK_TICKS - early)
        return owner

    def last(self, key: tuple[int, int]) -> Owner:
        """Whose it was when last looked at."""
        known = self._known.get(key)
        return known.owner if known is not None else NOBODY

    def forget(self, key: tuple[int, int]) -> None:
        """It has ended."""
        self._known.pop(key, None)

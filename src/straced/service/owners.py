"""Whose each watched process is, looked at closely when it may have changed: after an exec, and now and then."""

from __future__ import annotations

import os

from straced import procfs
from straced.service.authorisation import NOBODY, Owner, owner_of
from straced.service.facts import ProcessFacts

CLOSE_LOOK_TICKS = 10


class Owners:
    """Remembers owners; a cheap look each time tells whether the close one is due.

    A setuid or setgid program, one with file capabilities, and one that drops its rights all change what /proc shows
    as the owner of the process's files, or the name.
    """

    def __init__(self, root: str = procfs.ROOT) -> None:
        self._root = root
        self._known: dict[tuple[int, int], tuple[tuple[int, int, str, str | None], Owner, int]] = {}

    def of(self, facts: ProcessFacts) -> Owner:
        """Whose a process is now; root's alone when that cannot be told."""
        try:
            shown = os.stat(f"{self._root}/{facts.pid}/fd")
        except OSError:
            known = self._known.get(facts.key)
            return known[1] if known is not None else NOBODY
        sign = (shown.st_uid, shown.st_gid, facts.comm, facts.exe)
        known = self._known.get(facts.key)
        if known is not None and known[0] == sign and known[2] > 0:
            self._known[facts.key] = (sign, known[1], known[2] - 1)
            return known[1]
        try:
            owner = owner_of(facts.pid, self._root)
        except (procfs.Gone, OSError, KeyError, ValueError):
            owner = known[1] if known is not None else NOBODY
        self._known[facts.key] = (sign, owner, CLOSE_LOOK_TICKS)
        return owner

    def last(self, key: tuple[int, int]) -> Owner:
        """Whose it was when last looked at."""
        known = self._known.get(key)
        return known[1] if known is not None else NOBODY

    def forget(self, key: tuple[int, int]) -> None:
        """It has ended."""
        self._known.pop(key, None)

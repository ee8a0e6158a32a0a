"""Whose a process or a row of history is."""

from __future__ import annotations

from msgspec import Struct


class Owner(Struct, frozen=True):
    """Whose a process is, as far as others may see it."""

    uid: int
    gid: int
    private: bool
    """Only root sees it: its ids differ among themselves, it is not dumpable, it holds capabilities, or began with more
    rights than its user has."""
    capabilities: int = 0


NOBODY = Owner(0, 0, True)
"""What is known of a process that could not be read: root's alone."""

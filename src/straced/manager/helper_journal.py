"""What a killed owner leaves behind, written down beforehand: one JSON line a helper.

A helper is known by pid, start time, executable and user together, never by its name or a marker alone: anything
less might be somebody else's process.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec
from msgspec import Struct

from straced.linux import procfs
from straced.linux.kept_file import open_kept
from straced.linux.output_file import OutputFile


class JournalEntry(Struct, frozen=True, kw_only=True):
    """One helper and the owner that it served."""

    boot_id: str
    owner_pid: int
    owner_start: int
    pid: int
    start: int
    exe: str | None
    uid: int | None


class Journal:
    """An append-only file, mode 0600, rewritten by :meth:`compact`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, pid: int) -> None:
        """Write a helper down; one that is gone already is not worth a line."""
        try:
            helper, me = procfs.target(pid), procfs.stat(os.getpid())
        except (procfs.Gone, OSError):
            return
        entry = JournalEntry(
            boot_id=procfs.boot_id(),
            owner_pid=me.pid,
            owner_start=me.start_ticks,
            pid=pid,
            start=helper.start_ticks,
            exe=helper.exe,
            uid=helper.uid,
        )
        with open(open_kept(self.path, os.O_WRONLY | os.O_APPEND, make_directories=True), "ab") as file:
            file.write(msgspec.json.encode(entry) + b"\n")

    def orphans(self) -> dict[int, int]:
        """Helpers whose owner is dead and which still live, as ``{pid: pidfd}``; close the descriptors."""
        found = {}
        for entry in self._entries():
            if _lives(entry.owner_pid, entry.owner_start) or entry.boot_id != procfs.boot_id():
                continue
            try:
                pidfd = os.pidfd_open(entry.pid)
            except OSError:
                continue
            now = None
            with contextlib.suppress(OSError, procfs.Gone):
                now = procfs.target(entry.pid)
            if now is not None and (now.start_ticks, now.exe, now.uid) == (entry.start, entry.exe, entry.uid):
                found[entry.pid] = pidfd
            else:
                os.close(pidfd)
        return found

    def compact(self) -> None:
        """Keep only the lines of helpers that live."""
        kept = [entry for entry in self._entries() if _lives(entry.pid, entry.start)]
        if not self.path.exists():
            return
        with OutputFile(self.path, overwrite=True) as file:
            file.binary.writelines(msgspec.json.encode(entry) + b"\n" for entry in kept)

    def _entries(self) -> list[JournalEntry]:
        entries = []
        try:
            with open(open_kept(self.path, os.O_RDONLY), "rb") as file:  # whom it names is ended: it must be ours
                lines = file.read().split(b"\n")
        except OSError:
            return []
        for line in lines:
            with contextlib.suppress(msgspec.DecodeError, msgspec.ValidationError):  # cut by a kill, or foreign
                entries.append(msgspec.json.decode(line, type=JournalEntry))
        return entries


def _lives(pid: int, start: int) -> bool:
    try:
        stat = procfs.stat(pid)
    except (procfs.Gone, OSError):
        return False
    return stat.start_ticks == start and stat.state not in "ZX"

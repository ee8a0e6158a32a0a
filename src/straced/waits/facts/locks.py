"""Who holds a file lock, and who waits for it: /proc/locks, and the ``lock:`` lines of fdinfo."""

from __future__ import annotations

from msgspec import Struct

from straced.linux import procfs
from straced.linux.procfs import Gone
from straced.waits.facts.proc import ProcReader


class FileLock(Struct, frozen=True, kw_only=True):
    """One line of /proc/locks (proc_locks(5)); ``end`` is ``None`` for "to the end of the file"."""

    number: int
    kind: str
    """``POSIX``, ``FLOCK``, ``OFDLCK`` or ``LEASE``."""
    flag: str
    """``ADVISORY``; for a lease ``ACTIVE``, ``BREAKING`` or ``BREAKER``."""
    mode: str
    """``READ``, ``WRITE`` or ``UNLCK``."""
    pid: int
    """The process that took it; -1 for OFD locks, which belong to no process."""
    device: tuple[int, int]
    inode: int
    start: int
    end: int | None
    depth: int = 0
    """0 for a lock that is held, 1 for one that waits for it, 2 for one that waits for that one."""

    def overlaps(self, other: FileLock) -> bool:
        return (self.end is None or self.end >= other.start) and (other.end is None or other.end >= self.start)

    def conflicts(self, other: FileLock) -> bool:
        return self.overlaps(other) and "WRITE" in (self.mode, other.mode)

    def text(self) -> str:
        span = (
            ""
            if self.start == 0 and self.end is None
            else f" bytes {self.start}-{self.end if self.end is not None else 'EOF'}"
        )
        return f"{self.kind} {self.mode} inode {self.inode}{span}"


def parse(data: bytes) -> list[FileLock]:
    """Parse /proc/locks; lines in a form this does not know are left out."""
    found = []
    for line in data.split(b"\n"):
        number, colon, rest = line.partition(b":")
        if colon and number.strip().isdigit():
            lock = parse_entry(rest, int(number))
            if lock is not None:
                found.append(lock)
    return found


def parse_entry(rest: bytes, number: int = 0) -> FileLock | None:
    """The part after ``1:``, as /proc/locks and fdinfo both have it."""
    arrow = rest.find(b"->")
    words = rest[arrow + 2 :].split() if arrow >= 0 else rest.split()
    try:
        kind, flag, mode, pid, place, start, end = (word.decode("ascii") for word in words)
        major, minor, inode = place.split(":")
        return FileLock(
            number=number,
            kind=kind,
            flag=flag,
            mode=mode,
            pid=int(pid),
            device=(int(major, 16), int(minor, 16)),
            inode=int(inode),
            start=int(start),
            end=None if end == "EOF" else int(end),
            depth=0 if arrow < 0 else arrow,
        )
    except (ValueError, UnicodeDecodeError):
        return None


class Locks:
    """The lock table of one look."""

    def __init__(self, proc: ProcReader) -> None:
        try:
            self.all = parse(procfs.read("locks", proc.root))
        except (Gone, OSError):
            self.all = []

    def blocked_by(self, waiter: FileLock) -> list[FileLock]:
        """The held locks that a waiting one waits for.

        The kernel lists a waiter under the first that is in its way, or under another waiter; all that conflict are.
        """
        family = ("FLOCK",) if waiter.kind == "FLOCK" else ("POSIX", "OFDLCK")
        return [
            lock
            for lock in self.on(waiter.inode, waiter.device)
            if lock.depth == 0 and lock.kind in family and lock.conflicts(waiter)
            if not (lock.kind == waiter.kind == "POSIX" and lock.pid == waiter.pid)
        ]

    def waiting(self, pid: int) -> list[FileLock]:
        """The locks that a process waits for; OFD waits carry no pid and are found by their file."""
        return [lock for lock in self.all if lock.depth and lock.pid == pid]

    def on(self, inode: int, device: tuple[int, int] | None) -> list[FileLock]:
        """All locks, held and awaited, on a file."""
        return [lock for lock in self.all if lock.inode == inode and device in (None, lock.device)]

"""What a descriptor is, and who else has the same thing open."""

from __future__ import annotations

import os
import re

from msgspec import Struct

from straced.linux import procfs
from straced.linux.procfs import Gone
from straced.text.sanitize import scrub_bytes
from straced.waits.facts.file_systems import mounts
from straced.waits.facts.proc import ProcReader

_NUMBERED = re.compile(rb"(pipe|socket):\[(\d+)\]")
_PIDFD = re.compile(rb"^Pid:\s*(-?\d+)", re.MULTILINE)
O_ACCMODE, O_NONBLOCK = 0o3, 0o4000
UNREADABLE_PATH = "a path that cannot be read"


class Fd(Struct, frozen=True, kw_only=True):
    """An open descriptor of a process, from /proc/PID/fd and fdinfo; reading it touches no file system."""

    number: int
    kind: str
    """``pipe``, ``socket``, ``tty``, ``file``, or the word of an anonymous inode, ``eventpoll``."""
    name: str
    inode: int | None = None
    link: bytes = b""


class FdInfo(Struct, frozen=True, kw_only=True):
    """The lines of /proc/PID/fdinfo/FD that say who may do what (proc_pid_fdinfo(5))."""

    flags: int
    inode: int | None
    mount: int | None
    text: bytes

    @property
    def reads(self) -> bool:
        return self.flags & O_ACCMODE in (os.O_RDONLY, os.O_RDWR)

    @property
    def writes(self) -> bool:
        return self.flags & O_ACCMODE in (os.O_WRONLY, os.O_RDWR)

    @property
    def locks(self) -> list[bytes]:
        """The ``lock:`` lines: locks that this open file description owns (or, for POSIX, this process)."""
        return [line[5:].strip() for line in self.text.split(b"\n") if line.startswith(b"lock:")]


def describe(number: int, link: bytes) -> Fd:
    """Tell the kind of a descriptor from the text of its link."""
    match = _NUMBERED.fullmatch(link)
    if match:
        return Fd(number=number, kind=match[1].decode(), name=link.decode(), inode=int(match[2]), link=link)
    if link.startswith(b"anon_inode:"):
        kind = link[11:].strip(b"[]").decode("ascii", "replace")
        return Fd(number=number, kind=kind, name=kind, link=link)
    terminal = link.startswith((b"/dev/pts/", b"/dev/tty", b"/dev/console"))
    return Fd(number=number, kind="tty" if terminal else "file", name=scrub_bytes(link), link=link)


def get(proc: ProcReader, pid: int, number: int) -> Fd | None:
    """The descriptor ``number`` of a process; ``None`` when refused or closed meanwhile."""
    link = proc.link(pid, f"fd/{number}") if 0 <= number < 2**31 else None
    return describe(number, link) if link is not None else None


def info(proc: ProcReader, pid: int, number: int) -> FdInfo | None:
    """The fdinfo of a descriptor; ``None`` when refused or closed meanwhile."""
    text = proc.optional(pid, f"fdinfo/{number}")
    if text is None:
        return None
    values: dict[bytes, bytes] = {}
    for line in text.split(b"\n"):
        key, colon, value = line.partition(b":")
        if colon and key in (b"flags", b"ino", b"mnt_id"):
            values[key] = value.strip()
    return FdInfo(
        flags=int(values.get(b"flags", b"0"), 8),
        inode=int(values[b"ino"]) if b"ino" in values else None,
        mount=int(values[b"mnt_id"]) if b"mnt_id" in values else None,
        text=text,
    )


def pidfd_target(proc: ProcReader, pid: int, number: int) -> int | None:
    """The process that a pidfd stands for, as this /proc calls it; ``None`` when it has ended or cannot be seen."""
    own = info(proc, pid, number)
    match = _PIDFD.search(own.text) if own else None
    return int(match[1]) if match and int(match[1]) > 0 else None


def listing(proc: ProcReader, pid: int) -> list[Fd] | None:
    """All descriptors of a process; ``None`` when refused."""

    def make() -> list[Fd] | None:
        try:
            numbers = os.listdir(f"{proc.root}/{proc.where(pid, 'fd')}/fd")
        except (FileNotFoundError, ProcessLookupError):
            return []
        except OSError:
            proc.refused.setdefault(pid, set()).add("fd")
            return None
        found = (get(proc, pid, int(number)) for number in numbers)
        return [fd for fd in found if fd is not None]

    return proc.cached("fds", pid, make)


def numbers_of(proc: ProcReader, pid: int, link: bytes) -> list[int]:
    """The descriptors of a process that point at the same pipe or socket."""

    def make() -> dict[bytes, list[int]]:
        found: dict[bytes, list[int]] = {}
        for fd in listing(proc, pid) or ():
            found.setdefault(fd.link, []).append(fd.number)
        return found

    return proc.cached("numbers", pid, make).get(link, [])


class DescriptorHolders:
    """Everybody's descriptors by what they point at; built on first use, one readlink a descriptor."""

    def __init__(self, proc: ProcReader) -> None:
        self._proc = proc
        self._table: dict[bytes, list[tuple[int, int]]] | None = None
        self.hidden: list[int] = []
        """Processes whose descriptors could not be read."""

    @property
    def table(self) -> dict[bytes, list[tuple[int, int]]]:
        if self._table is None:
            self._table = {}
            for pid in procfs.pids(self._proc.root):
                self._add(pid, self._table)
        return self._table

    def _add(self, pid: int, table: dict[bytes, list[tuple[int, int]]]) -> None:
        where = os.fsencode(f"{self._proc.root}/{pid}/fd")
        try:
            names = os.listdir(where)
            if not names:  # a leader that has ended owns nothing any more, its other threads may
                where = os.fsencode(f"{self._proc.root}/{self._proc.where(pid, 'fd')}/fd")
                names = os.listdir(where)
        except (FileNotFoundError, ProcessLookupError):
            return
        except OSError:
            self.hidden.append(pid)
            return
        for name in names:
            try:
                link = os.readlink(where + b"/" + name)
            except OSError:
                continue
            # Paths differ between mount namespaces and roots, their last part does not.
            table.setdefault(link if link[:1] != b"/" else link[link.rfind(b"/") :], []).append((pid, int(name)))

    def of(self, fd: Fd) -> list[tuple[int, int]]:
        """(pid, fd) of all that have this pipe, socket or (by its last path part: check the inode) file open."""
        key = fd.link if fd.link[:1] != b"/" else fd.link[fd.link.rfind(b"/") :]
        return self.table.get(key, [])

    def of_socket(self, inode: int) -> list[tuple[int, int]]:
        return self.table.get(b"socket:[%d]" % inode, [])

    def same_file(self, pid: int, fd: Fd) -> list[tuple[int, int, FdInfo]]:
        """All that have the very same file open, by inode and device, with their fdinfo."""
        own = info(self._proc, pid, fd.number)
        if own is None:
            return []
        device = mount_device(self._proc, pid, own.mount)
        found = []
        for other, number in self.of(fd):
            try:
                other_info = info(self._proc, other, number)
            except Gone:
                continue
            if other_info is None or other_info.inode != own.inode:
                continue
            if other_info.mount == own.mount or mount_device(self._proc, other, other_info.mount) == device:
                found.append((other, number, other_info))
        return found


def mount_device(proc: ProcReader, pid: int, mount: int | None) -> tuple[int, int] | None:
    """(major, minor) of a mount of a process; ``None`` when not known."""
    found = mounts(proc, pid).get(mount) if mount is not None else None
    return found.device if found is not None else None

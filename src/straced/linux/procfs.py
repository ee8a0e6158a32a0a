"""Facts of a process from /proc, each read raising nothing but :class:`Gone` when the process is.

``ROOT`` is a parameter of every function so that tests can show a /proc of their own. Sources: proc(5).
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from straced.model.types import Target
from straced.text.sanitize import CUT, scrub_bytes

ROOT = "/proc"
READ_LIMIT = 64 << 20
"""No file of /proc is read further than this; a service, which reads those of strangers, names less."""
STATUS_LIMIT = 1 << 20
"""Of a status file. A process may have 65,536 groups, which take 720 kB of it."""
CMDLINE_LIMIT = 4096
"""Of a command line, which its process may make as long as it likes."""
PF_KTHREAD = 0x00200000
"""include/linux/sched.h: set in field 9 of /proc/PID/stat for kernel threads."""


class Gone(Exception):
    """The process or thread does not exist (any more)."""


class Stat(Struct, frozen=True):
    """The fields of /proc/PID/stat that straced uses (proc(5))."""

    pid: int
    comm: str
    state: str
    ppid: int
    pgrp: int
    session: int
    flags: int
    utime_ticks: int
    stime_ticks: int
    num_threads: int
    start_ticks: int

    @property
    def is_kernel_thread(self) -> bool:
        return bool(self.flags & PF_KTHREAD)


def read(path: str, root: str = ROOT, *, limit: int = READ_LIMIT) -> bytes:
    """A file below ``root``, or its first ``limit`` bytes.

    Raises:
        Gone: ENOENT or ESRCH.
        OSError: anything else, EACCES for instance.
    """
    try:
        fd = os.open(f"{root}/{path}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            parts = []
            while limit > 0 and (chunk := os.read(fd, min(limit, 65536))):
                parts.append(chunk)
                limit -= len(chunk)
            return b"".join(parts)
        finally:
            os.close(fd)
    except (FileNotFoundError, ProcessLookupError, NotADirectoryError) as error:
        raise Gone(path) from error


def read_small(path: str, root: str = ROOT, size: int = 4096) -> bytes:
    """A file below ``root`` that fits into ``size``, by three system calls: for those who read thousands of them.

    Raises:
        Gone: ENOENT or ESRCH.
        OSError: anything else, EACCES for instance.
    """
    try:
        fd = os.open(f"{root}/{path}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(fd, size)
        finally:
            os.close(fd)
    except (FileNotFoundError, ProcessLookupError, NotADirectoryError) as error:
        raise Gone(path) from error


def stat(pid: int | str, root: str = ROOT) -> Stat:
    """Parse /proc/PID/stat; split at the last ``)``, since a comm may hold anything."""
    return parse_stat(read_small(f"{pid}/stat", root))


def parse_stat(data: bytes) -> Stat:
    """Parse the text of a stat file; a cut one (the process is being torn down) is :class:`Gone`."""
    opening, closing = data.find(b"("), data.rfind(b")")
    fields = data[closing + 2 :].split()
    if opening < 0 or len(fields) < 20:
        raise Gone("stat")
    return Stat(
        pid=int(data[:opening]),
        comm=scrub_bytes(data[opening + 1 : closing]),
        state=fields[0].decode("ascii", "replace"),
        ppid=int(fields[1]),
        pgrp=int(fields[2]),
        session=int(fields[3]),
        flags=int(fields[6]),
        utime_ticks=int(fields[11]),
        stime_ticks=int(fields[12]),
        num_threads=int(fields[17]),
        start_ticks=int(fields[19]),
    )


def status(pid: int | str, root: str = ROOT) -> dict[str, str]:
    """/proc/PID/status as a dict of its lines. A comm cannot forge a line: the kernel escapes newlines."""
    text = read(f"{pid}/status", root, limit=STATUS_LIMIT).decode("utf-8", "backslashreplace")
    pairs = (line.partition(":") for line in text.split("\n"))
    return {key: value.strip() for key, colon, value in pairs if colon}


def status_line(text: bytes, name: bytes) -> bytes:
    """What a line of a status file says, which is far cheaper than to look at all of them.

    Raises:
        KeyError: there is no such line, or the file was cut before its end.
    """
    start = text.find(b"\n" + name + b":") + len(name) + 2
    end = text.find(b"\n", start)
    if start < len(name) + 2 or end < 0:
        raise KeyError(name.decode())
    return text[start:end]


def started(stat: bytes) -> int:
    """The start time in the text of a stat file.

    Raises:
        Gone: it is cut, since the process is being torn down.
    """
    fields = stat[stat.rfind(b")") + 2 :].split(None, 20)
    if len(fields) < 20:
        raise Gone("stat")
    return int(fields[19])


def tracer_pid(pid: int | str, root: str = ROOT) -> int:
    """Who ptraces this task; 0 for nobody. ``pid`` may be ``"PID/task/TID"``."""
    data = read_small(f"{pid}/status", root)  # it stands before all that may be long
    start = data.find(b"\nTracerPid:")
    return int(data[start + 11 : data.find(b"\n", start + 1)]) if start >= 0 else 0


def tasks(pid: int, root: str = ROOT) -> list[int]:
    """The thread ids of a process.

    Raises:
        Gone: no such process.
    """
    try:
        return [int(name) for name in os.listdir(f"{root}/{pid}/task")]
    except (FileNotFoundError, ProcessLookupError, NotADirectoryError) as error:
        raise Gone(str(pid)) from error


def pids(root: str = ROOT) -> Iterator[int]:
    """All processes that are visible here."""
    return (int(name) for name in os.listdir(root) if name.isdecimal())


def children(pid: int, root: str = ROOT) -> list[int]:
    """Direct children, from task/TID/children (CONFIG_PROC_CHILDREN), else from everybody's ppid."""
    found: list[int] = []
    try:
        for tid in tasks(pid, root):
            try:
                found += [int(word) for word in read(f"{pid}/task/{tid}/children", root).split()]
            except Gone:
                if not os.path.exists(f"{root}/{pid}/task/{pid}/children") and os.path.exists(f"{root}/{pid}"):
                    return _children_by_ppid(pid, root)
    except Gone:
        return []
    return found


def _children_by_ppid(pid: int, root: str) -> list[int]:
    found = []
    for other in pids(root):
        try:
            if stat(other, root).ppid == pid:
                found.append(other)
        except Gone:
            continue
    return found


def descendants(pid: int, root: str = ROOT) -> list[int]:
    """All living descendants, parents before children, as they are at this moment."""
    found: list[int] = []
    queue = [pid]
    while queue:
        below = [child for child in children(queue.pop(0), root) if child not in found]
        found += below
        queue += below
    return found


def ancestors(pid: int, root: str = ROOT) -> list[int]:
    """Parent, grandparent, ... up to the first process of this PID namespace."""
    found: list[int] = []
    try:
        parent = stat(pid, root).ppid
        while parent > 0 and parent not in found:
            found.append(parent)
            parent = stat(parent, root).ppid
    except Gone:
        pass
    return found


@functools.cache
def boot_id(root: str = ROOT) -> str:
    """Names this boot: start times are counted from it."""
    try:
        return read("sys/kernel/random/boot_id", root).decode().strip()
    except (Gone, OSError):
        return ""


@functools.cache
def boot_time() -> float:
    """Seconds since the epoch at boot (btime has whole seconds only, hence the two clocks)."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def cmdline(pid: int, root: str = ROOT, *, limit: int = CMDLINE_LIMIT) -> tuple[str, ...]:
    """The command line, scrubbed; empty for zombies and kernel threads. One that is longer is cut, as ``…`` says.

    Neither the bytes that are read nor the characters that are made of them are more than ``limit``.
    """
    return _words(read(f"{pid}/cmdline", root, limit=limit + 1), limit)


@functools.lru_cache(128)
def _words(data: bytes, limit: int) -> tuple[str, ...]:
    """The words of a command line; those of a server's many processes are the same, and kept once."""
    whole = len(data) <= limit
    words: list[str] = []
    left = limit
    for raw in data[:limit].rstrip(b"\0").split(b"\0") if data else ():
        word = scrub_bytes(raw, limit)
        if len(word) > left:
            word, whole = word[:left], False
        words.append(word)
        left -= len(word) + 1
        if left <= 0:
            break
    if not whole and words:
        words[-1] += CUT
    return tuple(words)


def exe(pid: int, root: str = ROOT) -> str | None:
    """The executable, or ``None`` where it may not be read."""
    try:
        return scrub_bytes(os.readlink(os.fsencode(f"{root}/{pid}/exe")))
    except OSError:
        return None


def target(pid: int, root: str = ROOT) -> Target:
    """Who this pid is, now; for the id of a thread, its process.

    Raises:
        Gone: nobody.
    """
    facts = stat(pid, root)
    lines = status(pid, root)
    if (leader := int(lines.get("Tgid", pid))) != pid:
        return target(leader, root)
    words = cmdline(pid, root)
    program = exe(pid, root)
    if stat(pid, root).start_ticks != facts.start_ticks:
        raise Gone(str(pid))  # the pid was reused while it was read
    ticks_per_second = os.sysconf("SC_CLK_TCK")
    return Target(
        pid=pid,
        start_ticks=facts.start_ticks,
        boot_id=boot_id(root),
        start_time=round(boot_time() + facts.start_ticks / ticks_per_second, 2),
        comm=facts.comm,
        exe=program,
        cmdline=words,
        uid=int(lines["Uid"].split()[0]) if "Uid" in lines else None,
    )


def find_executable(name: str, path: str | None = None) -> Path | None:
    """Look a program up on PATH when asked, nothing cached, so that one installed later is noticed."""
    found = which(name, path)
    return Path(found).absolute() if found else None


def which(name: str, path: str | None = None) -> str | None:
    """:func:`find_executable` for those who are in a hurry; a relative entry of PATH gives a relative name."""
    if path is None:
        path = os.environ.get("PATH", os.defpath)
    for folder in path.split(os.pathsep) if path else ():
        found = os.path.join(folder, name)
        if os.access(found, os.X_OK) and not os.path.isdir(found):
            return found
    return None

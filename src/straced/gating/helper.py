"""Where the gate's executable stands that whoever becomes the program's user can execute, and nobody else write.

It comes with the package. A root process starts programs as other users too, who may not be able to enter the directory
of its installation, and ``gate()`` is not told who it will be: then a copy is made where everybody may execute it.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from pathlib import Path

from msgspec import Struct

from straced.linux import procfs

FOLDER = Path(__file__).parent
FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")
CAP_SETUID = 7
WRITERS_S = 1.0
_EVERYBODY = 0o555
_private: dict[bytes, str] = {}
"""Copies of this process alone, where somebody else sits on the name of the one for all."""


class GateExecutable(Struct, frozen=True):
    """An executable gate. ``certain``: for all that a program of ours may be started as."""

    path: str
    certain: bool = True


def find() -> GateExecutable | None:
    """The gate for this machine, or ``None``. Looked up each time: temporary directories are emptied by others."""
    ours = str(FOLDER / f"gate.{os.uname().machine}")
    if not os.path.exists(ours):
        return None
    if _open_to_all(ours):
        return GateExecutable(ours)
    runnable = os.access(ours, os.X_OK) and not _forbids_exec(ours)
    if runnable and not _may_become_others():
        return GateExecutable(ours)
    copy = _copy(Path(ours).read_bytes())
    return GateExecutable(copy) if copy is not None else GateExecutable(ours, certain=False)


def _open_to_all(path: str) -> bool:
    """Whether every user may execute a file, as far as modes tell."""
    try:
        if os.stat(path).st_mode & _EVERYBODY != _EVERYBODY or _forbids_exec(path):
            return False
        return all(os.stat(folder).st_mode & stat.S_IXOTH for folder in Path(os.path.realpath(path)).parents)
    except OSError:
        return False


def _forbids_exec(path: str) -> bool:
    return bool(os.statvfs(path).f_flag & os.ST_NOEXEC)


def _may_become_others() -> bool:
    """Whether this process can start programs as other users."""
    if os.geteuid() == 0:
        return True
    try:
        return bool(int(procfs.status("self")["CapEff"], 16) & 1 << CAP_SETUID)
    except (procfs.Gone, OSError, KeyError, ValueError):
        return False


def _copy(content: bytes) -> str | None:
    """The path of a copy that everybody may execute, made now or before; ``None`` where there is no place for one."""
    import hashlib
    import tempfile

    if (known := _private.get(content)) is not None and _is_intact(known, content):
        return known
    name = f"straced-gate-{os.geteuid()}-{hashlib.sha256(content).hexdigest()[:16]}"
    folders = [folder for folder in dict.fromkeys((tempfile.gettempdir(), *FOLDERS)) if _is_fit(folder)]
    for folder in folders:
        path = os.path.join(folder, name, "gate")
        if _is_intact(path, content) or _make(path, content):
            return path
    for folder in folders:  # each name was taken by somebody else
        path = os.path.join(folder, f"{name}-{os.urandom(8).hex()}", "gate")
        if _make(path, content):
            _private[content] = path
            return path
    return None


def _is_fit(folder: str) -> bool:
    """Whether others can execute what stands below a directory, and can neither replace it nor move it away."""
    me = os.geteuid()
    try:
        real = Path(os.path.realpath(folder))
        if _forbids_exec(folder):
            return False
        for each in (real, *real.parents):
            facts = os.stat(each)
            shared = facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
            if facts.st_uid not in (0, me) or not facts.st_mode & stat.S_IXOTH:
                return False
            if shared and not facts.st_mode & stat.S_ISVTX:
                return False
    except OSError:
        return False
    return True


def _is_intact(path: str, content: bytes) -> bool:
    """Whether a copy is ours, in a directory of ours, writable by nobody else, and whole."""
    me = os.geteuid()
    try:
        folder = os.lstat(os.path.dirname(path))
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        facts = os.fstat(fd)
        return (
            stat.S_ISDIR(folder.st_mode)
            and stat.S_ISREG(facts.st_mode)
            and (folder.st_uid, facts.st_uid) == (me, me)
            and stat.S_IMODE(folder.st_mode) == stat.S_IMODE(facts.st_mode) == 0o755
            and os.read(fd, len(content) + 1) == content
        )
    finally:
        os.close(fd)


def _until_nobody_writes(path: str) -> None:
    """Wait for children that other threads have forked just now: until their execve they hold our descriptors too.

    A file that is open for writing cannot be executed (ETXTBSY), nor leased (fcntl(2)).
    """
    import fcntl

    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + WRITERS_S
        while time.monotonic() < deadline:
            try:
                fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
                return  # closing ends the lease
            except BlockingIOError:
                time.sleep(0.001)
            except OSError:
                return  # there are no leases here
    finally:
        os.close(fd)


def _make(path: str, content: bytes) -> bool:
    """Make a copy, whole before it has its name; True also when another process of ours was quicker."""
    import tempfile

    final = os.path.dirname(path)
    try:
        draft = tempfile.mkdtemp(prefix="straced-gate-", dir=os.path.dirname(final))
    except OSError:
        return False
    made = os.path.join(draft, "gate")
    try:
        fd = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o700)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            os.fchmod(fd, 0o755)
        _until_nobody_writes(made)
        os.chmod(draft, 0o755)
        os.rename(draft, final)  # fails where a directory with something in it stands
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(made)
        with contextlib.suppress(OSError):
            os.rmdir(draft)
    return _is_intact(path, content)

"""Writes to a file system that fsfreeze(8) or a snapshot has frozen: they wait until it is thawed, in state D."""

from __future__ import annotations

import os
from collections.abc import Iterable

from straced.text.sanitize import scrub_bytes
from straced.waits.classify import syscall_args
from straced.waits.facts import fds
from straced.waits.facts.file_systems import Mount, mounts
from straced.waits.facts.memory import FREEZE_WAITS, text
from straced.waits.facts.proc import RawTask
from straced.waits.facts.snapshot import ProcSnapshot
from straced.waits.model import Resource, Wait

_AT_FDCWD = -100 & 0xFFFFFFFF
_BY_DESCRIPTOR = {
    **dict.fromkeys((*syscall_args.WRITES, "fallocate", "ftruncate", "fchmod", "fchown", "ioctl"), 0),
    **dict.fromkeys(("fsetxattr", "fremovexattr"), 0),
    **{name: sink for name, (_, sink) in syscall_args.MOVES.items()},
}
"""Call -> which argument is the descriptor that is written to."""
_BY_PATH: dict[str, tuple[int | None, int]] = {
    **dict.fromkeys(("open", "creat", "unlink", "rename", "mkdir", "rmdir", "truncate", "chmod", "chown"), (None, 0)),
    **dict.fromkeys(("lchown", "setxattr", "lsetxattr", "removexattr", "lremovexattr", "mknod"), (None, 0)),
    **dict.fromkeys(("utime", "utimes"), (None, 0)),
    **dict.fromkeys(("link", "symlink"), (None, 1)),
    **dict.fromkeys(("openat", "openat2", "unlinkat", "renameat", "renameat2", "mkdirat", "mknodat"), (0, 1)),
    **dict.fromkeys(("fchmodat", "fchmodat2", "fchownat", "utimensat", "futimesat"), (0, 1)),
    "linkat": (2, 3),
    "symlinkat": (1, 2),
}
"""Call -> which arguments are the directory, if there is one, and the path."""


def explain(look: ProcSnapshot, raw: RawTask, name: str, call: str) -> Wait | None:
    """The wait, when ``name`` writes and sleeps where only a frozen file system makes it sleep."""
    if raw.state != "D" or not (name in _BY_DESCRIPTOR or name in _BY_PATH) or not _is_held(look, raw):
        return None
    mount = _mount(look, raw, name)
    return _wait(raw, call, mount)


def page_fault(look: ProcSnapshot, raw: RawTask) -> Wait | None:
    """The same for a write to memory that is mapped from a file."""
    return _wait(raw, None, None) if raw.state == "D" and _is_held(look, raw) else None


def _wait(raw: RawTask, call: str | None, mount: Mount | None) -> Wait:
    name = mount.point if mount is not None else "a file system"
    detail = f"{mount.text()} is frozen" if mount is not None else "which file system is frozen cannot be seen"
    return Wait(kind="frozen_fs", state="D", call=call, resource=Resource(kind="mount", name=name), detail=detail)


def _is_held(look: ProcSnapshot, raw: RawTask) -> bool:
    """Of the kernel's per-CPU semaphores a call that writes to a file sleeps on those of a super block only."""
    return (look.proc.wchan(raw.pid, raw.tid) or "").startswith(FREEZE_WAITS) or any(
        function.startswith(FREEZE_WAITS) for function in look.proc.stack(raw.pid, raw.tid)[:1]
    )


def _mount(look: ProcSnapshot, raw: RawTask, name: str) -> Mount | None:
    table = mounts(look.proc, raw.pid)
    if name in _BY_DESCRIPTOR:
        info = fds.info(look.proc, raw.pid, raw.args[_BY_DESCRIPTOR[name]] & 0xFFFFFFFF)
        return table.get(info.mount) if info is not None and info.mount is not None else None
    directory, argument = _BY_PATH[name]
    path = text(look.proc, raw.pid, raw.args[argument])
    if path is None:
        return None
    if not path.startswith(b"/"):
        number = _AT_FDCWD if directory is None else raw.args[directory] & 0xFFFFFFFF
        base = look.proc.link(raw.pid, "cwd" if number == _AT_FDCWD else f"fd/{number}")
        if base is None or not base.startswith(b"/"):
            return None
        path = base + b"/" + path
    return _of_path(table.values(), scrub_bytes(os.path.normpath(path)))


def _of_path(table: Iterable[Mount], path: str) -> Mount | None:
    """The mount that a path is on, as far as its words tell: nothing is looked up in a file system that may hang."""
    below = [mount for mount in table if f"{path}/".startswith(f"{mount.point.rstrip('/')}/")]
    return max(below, key=lambda mount: len(mount.point), default=None)

"""Who holds a file lock. A POSIX lock belongs to a process; flock and OFD locks to an open file description,
which forks share and which may outlive the process that took the lock."""

from __future__ import annotations

from straced.linux.procfs import Gone
from straced.waits.facts import fds
from straced.waits.facts.locks import FileLock, parse_entry
from straced.waits.facts.proc import RawTask
from straced.waits.facts.snapshot import ProcSnapshot
from straced.waits.holders.common import without_awaited_children
from straced.waits.model import HOLDS, LIKELY, ONE_OF, Holder, Wait

_KIND_OF_CALL = {"flock": "FLOCK", "fcntl(F_SETLKW)": "POSIX", "fcntl(F_OFD_SETLKW)": "OFDLCK"}


def lock(look: ProcSnapshot, raw: RawTask, wait: Wait) -> list[Holder]:
    """The holders of the locks that the kernel lists as this waiter's blockers."""
    resource = wait.resource
    if resource is None or (inode := resource.inode or _awaited(look, raw)) is None:
        return []
    fd = fds.get(look.proc, raw.pid, resource.fd) if resource.fd is not None else None
    info = fds.info(look.proc, raw.pid, resource.fd) if resource.fd is not None else None
    device = fds.mount_device(look.proc, raw.pid, info.mount) if info else None
    waiting = _waiting(look, raw, wait, inode, device)
    blockers = {blocker: None for waiter in waiting for blocker in look.locks.blocked_by(waiter)}
    found: dict[int, Holder] = {}
    for blocker in blockers:
        for holder in _holders(look, raw, fd, blocker, raw.pid):
            found.setdefault(holder.pid, holder)
    if len(blockers) > 1 and len(found) > 1 and len(waiting) > 1:
        return [Holder(pid=h.pid, relation=ONE_OF, evidence=h.evidence) for h in found.values()]
    return list(found.values())


def lease(look: ProcSnapshot, raw: RawTask, wait: Wait) -> list[Holder]:
    """The holders of a lease that is being broken (fcntl(2), F_SETLEASE): only when just one is."""
    leases = [held for held in look.locks.all if held.kind == "LEASE" and held.flag == "BREAKING" and held.pid > 0]
    return [Holder(pid=leases[0].pid, relation=LIKELY, evidence=leases[0].text())] if len(leases) == 1 else []


def _awaited(look: ProcSnapshot, raw: RawTask) -> int | None:
    """The file, where fdinfo does not name it (before Linux 5.14): if this process waits for locks of just one."""
    inodes = {entry.inode for entry in look.locks.waiting(raw.pid)}
    return inodes.pop() if len(inodes) == 1 else None


def _waiting(
    look: ProcSnapshot, raw: RawTask, wait: Wait, inode: int, device: tuple[int, int] | None
) -> list[FileLock]:
    """The lines of /proc/locks that are this wait; OFD waits bear no pid and are known by file and kind alone."""
    call = wait.call or ""
    kind = _KIND_OF_CALL.get("flock" if call.startswith("flock") else call)
    return [
        entry
        for entry in look.locks.on(inode, device)
        if entry.depth and (kind is None or entry.kind == kind) and entry.pid in (raw.pid, -1)
    ]


def _holders(look: ProcSnapshot, raw: RawTask, fd: fds.Fd | None, blocker: FileLock, waiter_pid: int) -> list[Holder]:
    taker = f"taken by {blocker.pid}" if blocker.pid > 0 else "of an open file description"
    evidence = f"/proc/locks: {blocker.text()}, {taker}, waiter {waiter_pid}"
    if blocker.kind == "POSIX":
        return [Holder(pid=blocker.pid, relation=HOLDS, evidence=evidence)] if blocker.pid > 0 else []
    sharing = sorted(_with_description(look, raw, fd, blocker))
    if sharing:
        evidence += f"; fdinfo: open in {', '.join(map(str, sharing[:6]))}"
        return [Holder(pid=pid, relation=HOLDS, evidence=evidence) for pid in without_awaited_children(look, sharing)]
    # Nobody that we may look at has it. Whoever took it may have passed it on and ended, its pid may be another's.
    if blocker.pid > 0 and (blocker.pid in look.owners.hidden or (fd is None and _may_hold(look, blocker))):
        return [Holder(pid=blocker.pid, relation=LIKELY, evidence=evidence)]
    return []


def _with_description(look: ProcSnapshot, raw: RawTask, fd: fds.Fd | None, blocker: FileLock) -> set[int]:
    """The processes whose fdinfo shows this very lock."""
    if fd is not None:
        users = look.owners.same_file(raw.pid, fd)
        return {pid for pid, _, info in users if _shows(info, blocker)}
    if blocker.pid <= 0:
        return set()
    for own in fds.listing(look.proc, blocker.pid) or []:
        info = fds.info(look.proc, blocker.pid, own.number)
        if info is not None and _shows(info, blocker):
            return {blocker.pid}
    return set()


def _shows(info: fds.FdInfo, blocker: FileLock) -> bool:
    for line in info.locks:
        entry = parse_entry(line.partition(b":")[2])
        if (
            entry is not None
            and (entry.kind, entry.mode, entry.inode, entry.start, entry.end)
            == (blocker.kind, blocker.mode, blocker.inode, blocker.start, blocker.end)
            and entry.pid == blocker.pid
        ):
            return True
    return False


def _may_hold(look: ProcSnapshot, blocker: FileLock) -> bool:
    """Whether the process that took the lock still lives and hides its descriptors from us."""
    try:
        look.proc.stat(blocker.pid)
    except (Gone, OSError):
        return False
    return fds.listing(look.proc, blocker.pid) is None

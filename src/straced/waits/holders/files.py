"""Who stands at the other end of a pipe, a FIFO or a terminal, and who has the job tokens of a make."""

from __future__ import annotations

import re

from straced.linux import procfs
from straced.linux.procfs import Gone
from straced.linux.terminals import unread_bytes
from straced.waits.classify.file_systems import mount_of
from straced.waits.facts import fds
from straced.waits.facts.proc import RawTask
from straced.waits.facts.snapshot import ProcSnapshot
from straced.waits.holders.common import by_process, everybody_seen, from_pids, other_threads
from straced.waits.model import HOLDS, LIKELY, Holder, Wait

_FUSE_CONNECTION = re.compile(rb"^fuse_connection:\s*(\d+)", re.MULTILINE)
_TTY_INDEX = re.compile(rb"^tty-index:\s*(\d+)", re.MULTILINE)


def pipe(look: ProcSnapshot, raw: RawTask, wait: Wait) -> list[Holder]:
    """The processes with the end that the waiting one needs: writers for a reader, readers for a writer."""
    return _other_end(look, raw, wait, needs_writer=wait.kind == "pipe_read")


def polled_pipe(look: ProcSnapshot, raw: RawTask, wait: Wait) -> list[Holder]:
    """As :func:`pipe`, the direction taken from what it is watched for, and else from the descriptor."""
    resource = wait.resource
    info = fds.info(look.proc, raw.pid, resource.fd) if resource and resource.fd is not None else None
    if resource is None or info is None:
        return []
    needs_writer = info.reads and (resource.wants != "write" or not info.writes)
    return _other_end(look, raw, wait, needs_writer=needs_writer)


def _other_end(look: ProcSnapshot, raw: RawTask, wait: Wait, *, needs_writer: bool) -> list[Holder]:
    if wait.resource is None or wait.resource.fd is None:
        return []
    fd = fds.get(look.proc, raw.pid, wait.resource.fd)
    if fd is None:
        return []
    users, both = _users(look, raw, fd, needs_writer)
    needed = set(users)
    end = "write" if needs_writer else "read"
    others = needed - {raw.pid}
    if others:
        pure = others - both or others
        sure = everybody_seen(look) and raw.pid not in needed and pure == others
        return from_pids(look, pure, f"{fd_name(fd)}: {end} end open in {_list(others)}", sure=sure, numbers=users)
    if raw.pid not in needed:
        return []
    if raw.stat.num_threads > 1:
        return other_threads(look, raw)
    return [Holder(pid=raw.pid, tid=raw.tid, relation=HOLDS, evidence=f"{fd_name(fd)}: {end} end open in itself only")]


def ends(look: ProcSnapshot, raw: RawTask, fd: fds.Fd, needs_writer: bool) -> tuple[set[int], set[int]]:
    """(processes with the end that is needed, those among them that have the other end too)."""
    users, both = _users(look, raw, fd, needs_writer)
    return set(users), both


def _users(
    look: ProcSnapshot, raw: RawTask, fd: fds.Fd, needs_writer: bool
) -> tuple[dict[int, tuple[int, ...]], set[int]]:
    """As :func:`ends`, with the descriptors of that end."""
    readers: list[tuple[int, int]] = []
    writers: list[tuple[int, int]] = []
    if fd.kind == "pipe":
        users = [(pid, number, fds.info(look.proc, pid, number)) for pid, number in look.owners.of(fd)]
    else:
        users = [(pid, number, info) for pid, number, info in look.owners.same_file(raw.pid, fd)]
    for pid, number, info in users:
        if info is not None and info.reads:
            readers.append((pid, number))
        if info is not None and info.writes:
            writers.append((pid, number))
    needed, other = (writers, readers) if needs_writer else (readers, writers)
    return by_process(needed), {pid for pid, _ in needed} & {pid for pid, _ in other}


def fd_name(fd: fds.Fd) -> str:
    return fd.name


def _list(pids: set[int]) -> str:
    shown = sorted(pids)
    return ", ".join(map(str, shown[:6])) + (f" and {len(shown) - 6} more" if len(shown) > 6 else "")


def is_job_server(look: ProcSnapshot, raw: RawTask, number: int) -> bool:
    """Whether a descriptor is the pipe or FIFO of a job server: make has both ends, to take and to give back."""
    if raw.stat.comm not in ("make", "gmake"):
        return False
    fd = fds.get(look.proc, raw.pid, number)
    if fd is None or fd.kind not in ("pipe", "file"):
        return False
    own = [
        fds.info(look.proc, raw.pid, other.number)
        for other in fds.listing(look.proc, raw.pid) or ()
        if other.link == fd.link
    ]
    return any(info and info.reads for info in own) and any(info and info.writes for info in own)


def job_tokens(look: ProcSnapshot, raw: RawTask, wait: Wait) -> list[Holder]:
    """Every running recipe has one token: the children of the makes of this job server that are no makes themselves."""
    fd = fds.get(look.proc, raw.pid, wait.resource.fd) if wait.resource and wait.resource.fd is not None else None
    if fd is None:
        return []
    makes = ends(look, raw, fd, needs_writer=True)[0]
    recipes = {child for make in makes for child in procfs.children(make, look.proc.root) if child not in makes}
    alive = {pid for pid in recipes if _is_alive(look, pid)}
    evidence = f"job server shared by {_list(makes)}; running recipes: {_list(alive)}"
    return [Holder(pid=pid, relation=LIKELY, evidence=evidence) for pid in sorted(alive)]


def _is_alive(look: ProcSnapshot, pid: int) -> bool:
    try:
        return look.proc.stat(pid).state not in "ZX"
    except (Gone, OSError):
        return False


def file_server(look: ProcSnapshot, raw: RawTask, wait: Wait) -> list[Holder]:
    """The process that serves a FUSE file system: newer kernels tell in the fdinfo of /dev/fuse."""
    mount = mount_of(look, raw, wait)
    if mount is None or not mount.is_fuse:
        return []
    found = set()
    for pid, number in look.owners.table.get(b"/fuse", []):
        info = fds.info(look.proc, pid, number)
        match = _FUSE_CONNECTION.search(info.text) if info else None
        if match and int(match[1]) == mount.device[1]:
            found.add(pid)
    evidence = f"/dev/fuse of {_list(found)}: connection {mount.device[1]}"
    return from_pids(look, found - {raw.pid}, evidence, sure=everybody_seen(look))


def terminal(look: ProcSnapshot, raw: RawTask, wait: Wait) -> list[Holder]:
    """The process with the master side of a pseudoterminal that takes no more output; nobody where it was stopped."""
    if wait.resource is None or is_stopped(look, wait):
        return []
    found = {pid for pid, _ in _masters(look, wait.resource.name)}
    evidence = f"{wait.resource.name}: master side"
    return from_pids(look, found, evidence, sure=everybody_seen(look)) if found else []


def is_stopped(look: ProcSnapshot, wait: Wait) -> bool:
    """Whether a pseudoterminal takes no output though all of it has been read: somebody pressed Ctrl-S (termios(3))."""
    masters = _masters(look, wait.resource.name if wait.resource else "")
    return bool(masters) and all(unread_bytes(pid, number) == 0 for pid, number in masters)


def _masters(look: ProcSnapshot, name: str) -> list[tuple[int, int]]:
    """The processes with the master side of a pseudoterminal, and their descriptors of it."""
    if not name.startswith("/dev/pts/"):
        return []
    found = []
    for pid, number in look.owners.table.get(b"/ptmx", []):
        info = fds.info(look.proc, pid, number)
        match = _TTY_INDEX.search(info.text) if info else None
        if match and int(match[1]) == int(name.rpartition("/")[2]):
            found.append((pid, number))
    return found

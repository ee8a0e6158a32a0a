"""Who may see whom: the rule of ptrace(2), kept by the service itself, since it can see more than those who ask.

A user sees a process if all its user and group ids are theirs, it is dumpable, it holds no capability that they lack,
it is in no user namespace but one that they made, and its program did not begin with more rights than they have: what
it drops again does not make it theirs. Root sees all. It is asked anew at each request, after each exec, and for each
row of history: a process that ran a setuid program was somebody else's from then on.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct

from msgspec import Struct

from straced.errors import NoSuchProcess, NotPermitted
from straced.linux import procfs
from straced.linux.exec_rights import began_secure, in_namespace_of_another, shares_user_namespace
from straced.model.owner import Owner

SO_PEERPIDFD = 77
"""include/uapi/asm-generic/socket.h, Linux 6.5."""


class Peer(Struct, frozen=True):
    """The process at the other end of a socket, as the kernel named it when it connected."""

    pid: int
    uid: int
    gid: int
    capabilities: int = 0
    start_ticks: int | None = None

    @property
    def is_root(self) -> bool:
        return self.uid == 0

    def may_see(self, owner: Owner) -> bool:
        """Whether a process (or a row of history) of ``owner`` may be shown."""
        if self.is_root:
            return True
        if (owner.uid, owner.gid) != (self.uid, self.gid):
            return False
        return not owner.private or bool(owner.capabilities and not owner.capabilities & ~self.capabilities)


def owner_of(pid: int, root: str = procfs.ROOT) -> Owner:
    """Whose a process is now.

    Raises:
        Gone: there is none.
    """
    stat = procfs.read_small(f"{pid}/stat", root)
    started, ended = procfs.started(stat), stat[stat.rfind(b")") + 2 :][:1] in (b"Z", b"X")
    try:
        shown = os.stat(f"{root}/{pid}/fd")  # the directory above it always shows the effective user
    except (FileNotFoundError, ProcessLookupError) as error:
        raise procfs.Gone(str(pid)) from error
    text = procfs.read(f"{pid}/status", root, limit=procfs.STATUS_LIMIT)
    uids, gids = procfs.status_line(text, b"Uid").split(), procfs.status_line(text, b"Gid").split()
    uid, gid = int(uids[0]), int(gids[0])
    capabilities = int(procfs.status_line(text, b"CapPrm"), 16)  # a file that was cut before it is nobody's
    # /proc shows as root's what is not dumpable (proc(5)), and a zombie, which has no memory left to be hidden
    dumpable = ended or (shown.st_uid == uid and shown.st_gid == gid)
    secure = not ended and began_secure(pid, root)  # of a zombie nothing is left to be read
    foreign = in_namespace_of_another(pid, uid, root)
    if procfs.started(procfs.read_small(f"{pid}/stat", root)) != started:
        raise procfs.Gone(str(pid))
    theirs = len({*uids}) == len({*gids}) == 1 and dumpable and not secure and not foreign
    return Owner(uid, gid, private=not theirs or capabilities != 0, capabilities=capabilities if theirs else 0)


def require(peer: Peer, pid: int, root: str = procfs.ROOT) -> Owner:
    """Whose a process is, if ``peer`` may see it.

    Raises:
        NoSuchProcess: there is none.
        NotPermitted: it is not theirs; what it is, is not told.
    """
    try:
        owner = owner_of(pid, root)
    except (procfs.Gone, OSError, KeyError) as error:
        raise NoSuchProcess(f"no such process: {pid}", pid=pid) from error
    if not peer.may_see(owner):
        raise NotPermitted(
            f"process {pid} is not yours to see", uid=owner.uid, hint="run it with sudo, or as its owner", pid=pid
        )
    return owner


def peer_of(connection: socket.socket) -> Peer:
    """Who connected: SO_PEERCRED, made certain by SO_PEERPIDFD where the kernel has it.

    Raises:
        NotPermitted: the peer is gone already, so that its capabilities cannot be told.
    """
    pid, uid, gid = _peer_ids(connection)
    capabilities, started = 0, None
    pidfd = None
    with contextlib.suppress(OSError):  # an older kernel, or it is gone: without capabilities it is refused more
        pidfd = connection.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)
    try:
        if pidfd is not None and _pid_of(pidfd) == pid:
            started = procfs.stat(pid).start_ticks
            capabilities = int(procfs.status(pid).get("CapEff", "0"), 16)
            if not shares_user_namespace(pid):
                capabilities = 0  # of a namespace of their own: they are worth nothing outside of it
            if _pid_of(pidfd) != pid:
                capabilities = 0  # ended meanwhile: those may have been a stranger's
    except (procfs.Gone, OSError, ValueError):
        capabilities = 0
    finally:
        if pidfd is not None:
            os.close(pidfd)
    return Peer(pid, uid, gid, capabilities, started)


def peer_uid(connection: socket.socket) -> int:
    """Whose the other end of a connection is, as the kernel says."""
    return _peer_ids(connection)[1]


def _peer_ids(connection: socket.socket) -> tuple[int, int, int]:
    """Pid, user and group of the other end: ``struct ucred``, see unix(7)."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, gid = struct.unpack("3i", raw)
    return pid, uid, gid


def _pid_of(pidfd: int) -> int:
    """The pid that a pidfd holds; -1 when it has ended."""
    for line in procfs.read_small(f"self/fdinfo/{pidfd}").splitlines():
        if line.startswith(b"Pid:"):
            return int(line.split()[1])
    return -1

"""Who stands at the other end of a socket on this machine."""

from __future__ import annotations

from collections.abc import Iterable

from straced.waits.facts.proc import RawTask
from straced.waits.facts.snapshot import ProcSnapshot
from straced.waits.facts.sockets import LISTEN, Namespace, Sock
from straced.waits.holders.common import by_process, everybody_seen, from_pids
from straced.waits.model import Holder, Wait


def peer(look: ProcSnapshot, raw: RawTask, wait: Wait) -> list[Holder]:
    """The processes with the peer of a connected socket, or the receiver of a datagram."""
    sock = _own(look, raw, wait)
    if sock is None:
        return []
    space = look.sockets.namespace(raw.pid)
    if sock.family == "unix":
        return _unix_peer(look, raw, wait, sock, space)
    if sock.remote.endswith(":0"):  # not connected
        address = wait.resource.peer if wait.kind == "socket_write" and wait.resource else None
        return _udp(look, space, sock, address) if address else []
    other = space.other_end(sock)
    if other is not None and other.inode:
        return _owners(look, [other], f"{sock.family} {sock.local} <-> {sock.remote}: peer socket:[{other.inode}]")
    if other is not None:
        waiting = [listening for listening in space.bound(sock.remote) if listening.receive_queue]
        return _owners(look, waiting, f"tcp {sock.remote}: connected, not accepted yet; {_queues(waiting)}")
    return _udp(look, space, sock, sock.remote) if sock.family == "udp" and sock.is_local else []


def listener(look: ProcSnapshot, raw: RawTask, wait: Wait) -> list[Holder]:
    """The processes that listen at the address that is connected to, provided that their queue is full.

    A connection that hangs before a queue with room in it hangs for another reason, a packet filter as a rule.
    """
    address = wait.resource.peer if wait.resource else None
    sock = _own(look, raw, wait)
    if address is None or wait.resource is None:
        return []
    space = look.sockets.namespace(raw.pid)
    if sock is None or sock.family == "unix":
        if wait.resource.kind not in ("unix", "socket"):
            return []
        full = [s for s in _named(look, raw, space, address, sock) if s.state == LISTEN and s.queue_is_full]
        return _owners(look, full, f"unix {address}: {_queues(full)}") if len(full) == 1 else []
    full = [listening for listening in space.bound(address) if listening.queue_is_full] if sock.is_local else []
    return _owners(look, full, f"tcp {address}: {_queues(full)}")


def _own(look: ProcSnapshot, raw: RawTask, wait: Wait) -> Sock | None:
    return look.sockets.get(raw.pid, wait.resource.inode) if wait.resource and wait.resource.inode else None


def _udp(look: ProcSnapshot, space: Namespace, sock: Sock, address: str) -> list[Holder]:
    """The owner of the UDP socket at ``address``, when that is on this host."""
    host = address.rpartition(":")[0]
    if not host.startswith(("127.", "[::1]")) and host != sock.local.rpartition(":")[0]:
        return []
    return _owners(look, space.bound(address, "udp"), f"udp {address}")


def _unix_peer(look: ProcSnapshot, raw: RawTask, wait: Wait, sock: Sock, space: Namespace) -> list[Holder]:
    if sock.peer_inode:
        found = space.unix.get(sock.peer_inode)
        names = f"unix:[{sock.inode}] <-> unix:[{sock.peer_inode}]"
        return _owners(look, [found], names) if found else _pids(look, {sock.peer_inode}, names)
    for other in space.unix.values():
        if other.state == LISTEN and sock.inode in other.pending:
            return _owners(look, [other], f"unix {other.local}: connected, not accepted yet; {_queues([other])}")
    if wait.kind == "socket_write" and wait.resource and wait.resource.peer:
        named = _named(look, raw, space, wait.resource.peer, sock)
        return _owners(look, named, f"unix {wait.resource.peer}: its queue is full") if len(named) == 1 else []
    return []


def _named(look: ProcSnapshot, raw: RawTask, space: Namespace, name: str, like: Sock | None) -> list[Sock]:
    """The sockets bound to a name, as far as the name means the same to both sides.

    A path means what its mount namespace and root make of it, and a relative one is never sure: a server that
    bound one elsewhere has the same name.
    """
    if name.startswith("@"):
        return space.unix_named(name, like.type if like else None)
    if not name.startswith("/"):
        return []
    found = space.unix_named(name, like.type if like else None)
    return [sock for sock in found if all(_same_files(look, raw.pid, pid) for pid in _pids_of(look, sock.inode))]


def _same_files(look: ProcSnapshot, one: int, other: int) -> bool:
    return all(look.proc.link(one, what) == look.proc.link(other, what) for what in ("ns/mnt", "root"))


def _queues(listening: Iterable[Sock]) -> str:
    return ", ".join(f"accept queue {s.receive_queue} of {s.send_queue}" for s in listening)


def _pids_of(look: ProcSnapshot, inode: int) -> set[int]:
    return {pid for pid, _ in look.owners.of_socket(inode)}


def _pids(look: ProcSnapshot, inodes: set[int], evidence: str) -> list[Holder]:
    owners = by_process(owner for inode in inodes for owner in look.owners.of_socket(inode))
    return from_pids(look, owners, evidence, sure=everybody_seen(look), numbers=owners) if owners else []


def _owners(look: ProcSnapshot, socks: Iterable[Sock], evidence: str) -> list[Holder]:
    return _pids(look, {sock.inode for sock in socks if sock.inode}, evidence)

"""Who stands at the other end of a socket on this machine."""

from __future__ import annotations

import socket

from straced.why.holders_common import everybody_seen, from_pids
from straced.why.look import Look
from straced.why.model import Holder, Wait
from straced.why.proc import RawTask
from straced.why.sockets import LISTEN, Sock


def peer(look: Look, raw: RawTask, wait: Wait) -> list[Holder]:
    """The processes with the peer of a connected socket, or the receiver of a datagram."""
    sock = look.sockets.get(wait.resource.inode) if wait.resource and wait.resource.inode else None
    if sock is None:
        return []
    if sock.family == "unix":
        return _unix_peer(look, sock, wait)
    if sock.remote.endswith(":0"):  # not connected
        target = wait.resource.peer if wait.kind == "socket_write" and wait.resource else None
        return _bound(look, sock, target) if target else []
    other = look.sockets.other_end(sock) if _is_local(sock) or sock.family == "tcp" else None
    if other is None:
        return []
    if other.inode:
        return _owners(look, other.inode, f"{sock.family} {sock.local} <-> {sock.remote}: peer socket:[{other.inode}]")
    listener = look.sockets.bound(sock.remote)
    if listener is None:
        return []
    return _owners(look, listener.inode, f"tcp {sock.remote}: connected, but not accepted yet; {_backlog(listener)}")


def listener(look: Look, raw: RawTask, wait: Wait) -> list[Holder]:
    """The process that listens at the address that is connected to."""
    sock = look.sockets.get(wait.resource.inode) if wait.resource and wait.resource.inode else None
    address = wait.resource.peer if wait.resource else None
    if address is None:
        return []
    if sock is None or sock.family == "unix":
        # A socket that was never bound or connected is not in the dumps of every kernel; its address still is.
        served = [other for other in look.sockets.unix_named(address) if sock is None or other.type == sock.type]
        if len(served) != 1 or (wait.resource is not None and wait.resource.kind not in ("unix", "socket")):
            return []
        return _owners(look, served[0].inode, f"unix {address}: {_backlog(served[0])}")
    return _bound(look, sock, address) if _is_local(sock) else []


def _bound(look: Look, sock: Sock, address: str) -> list[Holder]:
    """The owner of the socket that serves ``address``, provided that the address is this machine's."""
    host = address.rpartition(":")[0]
    if not host.startswith(("127.", "[::1]")) and host != sock.local.rpartition(":")[0]:
        return []
    served = look.sockets.bound(address, sock.family)
    if served is None:
        return []
    return _owners(look, served.inode, f"{sock.family} {address}: {_backlog(served)}")


def _is_local(sock: Sock) -> bool:
    """A destination on this machine is loopback, or gets itself as the source address (ip(7), rfc 1122)."""
    host = sock.remote.rpartition(":")[0]
    return not sock.outside or host == sock.local.rpartition(":")[0]


def _unix_peer(look: Look, sock: Sock, wait: Wait) -> list[Holder]:
    if sock.peer_inode:
        return _owners(look, sock.peer_inode, f"unix:[{sock.inode}] <-> unix:[{sock.peer_inode}]")
    for other in look.sockets.unix.values():
        if other.state == LISTEN and sock.inode in other.pending:
            return _owners(look, other.inode, f"unix {other.local}: connected, but not accepted yet; {_backlog(other)}")
    if wait.kind == "socket_write" and wait.resource and wait.resource.peer:
        named = look.sockets.unix_named(wait.resource.peer, sock.type)
        return _owners(look, named[0].inode, f"unix {named[0].local}: queue full") if len(named) == 1 else []
    if wait.kind == "socket_read" and sock.type == socket.SOCK_DGRAM:
        senders = {
            pid for other in look.sockets.unix.values() if other.peer_inode == sock.inode for pid in _pids(look, other)
        }
        return from_pids(look, senders, f"unix {sock.local}: connected senders", sure=False) if senders else []
    return []


def _backlog(listening: Sock) -> str:
    if listening.state != LISTEN:
        return f"{listening.receive_queue} bytes queued"
    return f"accept queue {listening.receive_queue} of {listening.send_queue}"


def _pids(look: Look, sock: Sock) -> set[int]:
    return {pid for pid, _ in look.owners.of_socket(sock.inode)}


def _owners(look: Look, inode: int, evidence: str) -> list[Holder]:
    pids = {pid for pid, _ in look.owners.of_socket(inode)}
    return from_pids(look, pids, evidence, sure=everybody_seen(look)) if pids else []

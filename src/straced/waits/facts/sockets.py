"""Sockets and their peers, from sock_diag(7): what /proc/net cannot tell, the other end of a unix socket, among it."""

from __future__ import annotations

import functools
import socket
import struct
import time

from msgspec import Struct

from straced.linux import procfs
from straced.waits.facts import sock_diag, tcp_times
from straced.waits.facts.memory import unix_name
from straced.waits.facts.proc import ProcReader
from straced.waits.facts.tcp_times import TcpTimes

_UNIX_NAME, _UNIX_PEER, _UNIX_ICONS, _UNIX_RQLEN = 0, 2, 3, 4
_SHOW = 0x01 | 0x04 | 0x08 | 0x10
ESTABLISHED, UNCONNECTED, LISTEN = 1, 7, 10
STATES = {1: "established", 2: "SYN sent", 3: "SYN received", 4: "FIN wait 1", 5: "FIN wait 2", 6: "time wait"} | {
    7: "closed", 8: "close wait", 9: "last ack", 10: "listening", 11: "closing"
}  # fmt: skip


class Sock(Struct, frozen=True, kw_only=True):
    """A socket, as one network namespace shows it."""

    family: str
    """``unix``, ``tcp`` or ``udp``."""
    type: int
    state: int
    inode: int
    """0 for a connection that nobody has accepted yet."""
    local: str = ""
    """The name or ``address:port``; ``""`` for an unnamed unix socket."""
    remote: str = ""
    peer_inode: int | None = None
    """Of a unix socket."""
    pending: tuple[int, ...] = ()
    """Of a listening unix socket: inodes of clients not accepted yet."""
    receive_queue: int = 0
    send_queue: int = 0
    """For a listening socket the two are the accept queue's length and limit."""

    @property
    def queue_is_full(self) -> bool:
        """Whether a listening socket takes no more connections (``sk_acceptq_is_full``)."""
        return self.receive_queue > self.send_queue

    @property
    def is_local(self) -> bool:
        """Whether the destination is this host: loopback, or an address that is its own source (ip(7))."""
        host = self.remote.rpartition(":")[0]
        return is_loopback(host) or host == self.local.rpartition(":")[0]


def is_loopback(host: str) -> bool:
    return host.startswith("127.") or host == "[::1]"


class Namespace:
    """The sockets of one network namespace; each family is dumped on first use."""

    def __init__(self, link: bytes | None, pid: int | None) -> None:
        self.link = link
        self.tcp_times_at_ns = 0
        """When :attr:`tcp_times` was read, CLOCK_MONOTONIC: what it tells has grown by as much since."""
        self._pid = pid

    @functools.cached_property
    def unix(self) -> dict[int, Sock]:
        request = struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, 0xFFFFFFFF, 0, _SHOW, 0xFFFFFFFF, 0xFFFFFFFF)
        return {sock.inode: sock for sock in map(parse_unix, sock_diag.dump(request, self._pid)) if sock is not None}

    @functools.cached_property
    def inet(self) -> list[Sock]:
        found = []
        for name, protocol in (("tcp", socket.IPPROTO_TCP), ("udp", socket.IPPROTO_UDP)):
            for family in (socket.AF_INET, socket.AF_INET6):
                request = struct.pack("=BBBBI", family, protocol, 0, 0, 0xFFFFFFFF) + bytes(48)
                parsed = (parse_inet(data, name) for data in sock_diag.dump(request, self._pid))
                found += [sock for sock in parsed if sock is not None]
        return found

    @functools.cached_property
    def tcp_times(self) -> dict[int, TcpTimes]:
        """inode -> when that TCP connection last moved."""
        self.tcp_times_at_ns = time.monotonic_ns()
        return tcp_times.read(self._pid)

    @functools.cached_property
    def served_ports(self) -> frozenset[str]:
        """The TCP ports that somebody listens on: a connection from one of them came to its owner."""
        return frozenset(sock.local.rpartition(":")[2] for sock in self.inet if sock.state == LISTEN)

    @functools.cached_property
    def inet_by_inode(self) -> dict[int, Sock]:
        return {sock.inode: sock for sock in self.inet if sock.inode}

    @functools.cached_property
    def _by_ends(self) -> dict[tuple[str, str, str], Sock]:
        return {(sock.family, sock.local, sock.remote): sock for sock in self.inet}

    def other_end(self, sock: Sock) -> Sock | None:
        """The socket at the other end of a TCP connection or of a UDP socket that is connected both ways."""
        return self._by_ends.get((sock.family, sock.remote, sock.local))

    def bound(self, address: str, family: str = "tcp") -> list[Sock]:
        """The listening TCP (or unconnected UDP) sockets that serve ``address:port``: several with SO_REUSEPORT."""
        port = address.rpartition(":")[2]
        state = LISTEN if family == "tcp" else UNCONNECTED
        for wanted in (address, f"0.0.0.0:{port}", f"[::]:{port}"):
            found = self._by_local.get((family, state, wanted))
            if found:
                return found
        return []

    @functools.cached_property
    def _by_local(self) -> dict[tuple[str, int, str], list[Sock]]:
        found: dict[tuple[str, int, str], list[Sock]] = {}
        for sock in self.inet:
            if sock.state in (LISTEN, UNCONNECTED):
                found.setdefault((sock.family, sock.state, sock.local), []).append(sock)
        return found

    def unix_named(self, name: str, kind: int | None = None) -> list[Sock]:
        """The unix sockets bound to a name that can be connected or sent to."""
        return [
            sock
            for sock in self.unix.values()
            if sock.local == name and (sock.state == LISTEN or sock.type == socket.SOCK_DGRAM)
            if kind is None or sock.type == kind
        ]


class Sockets:
    """The sockets of our own network namespace, and of others as far as we may enter them."""

    def __init__(self, proc: ProcReader) -> None:
        self._proc = proc
        self._known: dict[bytes | None, Namespace] = {}

    def namespace(self, pid: int) -> Namespace:
        """The network namespace of a process, or ours where its own cannot be read."""
        ours = self._proc.link_self("ns/net")
        theirs = self._proc.link(pid, "ns/net")
        if theirs is None and self._proc.root != procfs.ROOT:
            return self._known.setdefault(None, Namespace(None, -1))  # maybe not the /proc of our sockets
        theirs = theirs or ours
        if theirs not in self._known:
            self._known[theirs] = Namespace(theirs, None if theirs == ours else pid)
        return self._known[theirs]

    def get(self, pid: int, inode: int) -> Sock | None:
        """A socket of a process; ``None`` where its namespace cannot be entered, or for other families."""
        space = self.namespace(pid)
        return space.inet_by_inode.get(inode) or space.unix.get(inode)

    def is_foreign(self, pid: int) -> bool:
        """Whether a process lives in another network namespace than we do."""
        return self.namespace(pid).link not in (None, self._proc.link_self("ns/net"))


def parse_unix(data: bytes) -> Sock | None:
    if len(data) < 16:
        return None
    _, kind, state, _, inode = struct.unpack_from("=BBBBI", data)
    attributes: dict[int, bytes] = {}
    at = 16
    while at + 4 <= len(data):
        length, key = struct.unpack_from("=HH", data, at)
        if length < 4:
            break
        attributes[key] = data[at + 4 : at + length]
        at += (length + 3) & ~3
    pending = attributes.get(_UNIX_ICONS, b"")
    queues = struct.unpack("=II", attributes[_UNIX_RQLEN]) if len(attributes.get(_UNIX_RQLEN, b"")) == 8 else (0, 0)
    peer = attributes.get(_UNIX_PEER)
    return Sock(
        family="unix",
        type=kind,
        state=state,
        inode=inode,
        local=unix_name(attributes.get(_UNIX_NAME, b"")),
        peer_inode=int.from_bytes(peer, "little") if peer else None,
        pending=struct.unpack(f"={len(pending) // 4}I", pending),
        receive_queue=queues[0],
        send_queue=queues[1],
    )


def parse_inet(data: bytes, name: str) -> Sock | None:
    if len(data) < 72:
        return None
    family, state, _, _ = struct.unpack_from("=BBBB", data)
    sport, dport = struct.unpack_from("!HH", data, 4)
    receive, send, _, inode = struct.unpack_from("=IIII", data, 56)
    return Sock(
        family=name,
        type=socket.SOCK_STREAM if name == "tcp" else socket.SOCK_DGRAM,
        state=state,
        inode=inode,
        local=_address(family, data[8:24], sport),
        remote=_address(family, data[24:40], dport),
        receive_queue=receive,
        send_queue=send,
    )


def _address(family: int, raw: bytes, port: int) -> str:
    if family == socket.AF_INET:
        return f"{socket.inet_ntop(socket.AF_INET, raw[:4])}:{port}"
    if raw[:12] == bytes(10) + b"\xff\xff":  # an IPv4 peer of an IPv6 socket: the other end knows it as IPv4
        return f"{socket.inet_ntop(socket.AF_INET, raw[12:])}:{port}"
    return f"[{socket.inet_ntop(socket.AF_INET6, raw)}]:{port}"

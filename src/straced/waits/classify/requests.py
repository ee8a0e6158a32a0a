"""A request that was sent and not answered: the difference between a client that waits and one that rests.

A client is whoever made the connection. A thread that waits for its own connections alone, one of which has not been
answered, waits for that answer. With anything else among what it watches, a listener, a terminal, a signal, it may as
well rest.
"""

from __future__ import annotations

from straced.linux import procfs
from straced.waits.facts.proc import ProcReader, RawTask
from straced.waits.facts.snapshot import ProcSnapshot
from straced.waits.facts.sockets import Namespace, Sock
from straced.waits.facts.tcp_times import TcpTimes
from straced.waits.model import Request, Resource, Wait

_OWN_WAKEUPS = frozenset({"eventfd", "timerfd", "pipe", "unix", "eventpoll"})
"""What an event loop watches beside its connections to be woken by its own timers and threads."""
_DEFAULT_RANGE = (32768, 60999)
"""ip_local_port_range of ip(7)."""


def outstanding(look: ProcSnapshot, raw: RawTask, wait: Wait) -> Request | None:
    """The request whose answer a task waits for; of several the one that has waited longest."""
    asked = _asked(wait)
    if not asked:
        return None
    space = look.sockets.namespace(raw.pid)
    found = []
    for resource in asked:
        sock = space.inet_by_inode.get(resource.inode) if resource.inode is not None else None
        if sock is None or not is_client(look.proc, space, sock):
            return None
        request = _request(space, sock)
        if request is not None and not (_has_helpers(raw, wait) and not request.answered_before):
            found.append(request)
    return max(found, key=lambda request: request.sent_ns or 0, default=None)


def _asked(wait: Wait) -> list[Resource]:
    """The sockets whose data alone can end a wait; none where anything else can."""
    if wait.kind == "socket_read":
        return [wait.resource] if wait.resource is not None and wait.resource.kind in ("tcp", "udp") else []
    if wait.kind != "poll":
        return []
    outside = [resource for resource in wait.watched if not resource.internal]
    inside = [resource for resource in wait.watched if resource.internal]
    if any(resource.kind not in ("tcp", "udp") for resource in outside):
        return []
    return outside if all(resource.kind in _OWN_WAKEUPS for resource in inside) else []


def _has_helpers(raw: RawTask, wait: Wait) -> bool:
    """Whether other threads of the process may give it work: a sender of logs never gets an answer, and rests."""
    return raw.stat.num_threads > 1 and any(resource.internal for resource in wait.watched)


def _request(space: Namespace, sock: Sock) -> Request | None:
    if sock.receive_queue:
        return None  # something came, and was not read yet
    if sock.family == "udp":
        return Request(local=sock.local, peer=sock.remote)
    times = space.tcp_times.get(sock.inode)
    if times is None or not (times.is_unanswered or not times.is_taken):
        return None
    return _of_tcp(sock, times)


def _of_tcp(sock: Sock, times: TcpTimes) -> Request:
    return Request(
        local=sock.local,
        peer=sock.remote,
        sent_ns=times.sent_ms * 10**6,
        taken=times.is_taken,
        answered_before=times.ever_received,
    )


def is_client(proc: ProcReader, space: Namespace, sock: Sock) -> bool:
    """Whether a connected socket is the end that made the connection; False where that cannot be known."""
    if not sock.remote or sock.remote.endswith(":0"):
        return False
    if sock.family == "tcp":
        if space.bound(sock.local):
            return False
        if sock.is_local and space.bound(sock.remote):
            return True
    low, high = _ephemeral(proc)
    return low <= _port(sock.local) <= high and not (sock.family == "tcp" and low <= _port(sock.remote) <= high)


def _port(address: str) -> int:
    return int(address.rpartition(":")[2] or 0)


def _ephemeral(proc: ProcReader) -> tuple[int, int]:
    """The ports that the kernel gives to those who do not care."""

    def make() -> tuple[int, int]:
        try:
            low, high = procfs.read("sys/net/ipv4/ip_local_port_range", proc.root).split()
        except (procfs.Gone, OSError, ValueError):
            return _DEFAULT_RANGE
        return int(low), int(high)

    return proc.cached("ephemeral ports", 0, make)

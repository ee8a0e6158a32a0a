"""Waits on one descriptor: pipes, FIFOs, sockets, terminals, files and their locks."""

from __future__ import annotations

from straced.text.sanitize import scrub_bytes
from straced.waits.classify import syscall_args
from straced.waits.facts import fds, memory
from straced.waits.facts.proc import RawTask
from straced.waits.facts.snapshot import ProcSnapshot
from straced.waits.facts.sockets import LISTEN, STATES, Sock
from straced.waits.model import Resource, Wait

_PIPE_FUNCTIONS = ("pipe_read", "pipe_write", "fifo_pipe_read", "fifo_pipe_write", "anon_pipe_read", "anon_pipe_write")


def explain(look: ProcSnapshot, raw: RawTask, name: str, call: str) -> Wait | None:
    """The wait, when ``name`` works on a descriptor or a path."""
    if name in syscall_args.OPENS:
        return _open(look, raw, name, call)
    if name in syscall_args.LOCKS and (name == "flock" or raw.args[1] in syscall_args.LOCK_COMMANDS):
        return Wait(kind="lock", state=raw.state, call=call, resource=_lock(look, raw))
    if name == "connect":
        return _connect(look, raw, call)
    if name in ("accept", "accept4"):
        return Wait(kind="accept", state=raw.state, call=call, resource=resource_of(look, raw.pid, _fd(raw, 0)))
    if name in syscall_args.READS:
        return _transfer(look, raw, call, _fd(raw, 0), reading=True)
    if name in syscall_args.WRITES:
        return _transfer(look, raw, call, _fd(raw, 0), reading=False)
    if name in syscall_args.MOVES:
        return _move(look, raw, name, call)
    if name in syscall_args.SYNCS:
        return _file(look, raw, call)
    return None


def _fd(raw: RawTask, argument: int) -> int:
    return raw.args[argument] & 0xFFFFFFFF


def resource_of(look: ProcSnapshot, pid: int, number: int) -> Resource:
    """Name a descriptor: its path, the addresses of a socket, or only its number if that is all there is."""
    fd = fds.get(look.proc, pid, number)
    if fd is None:
        return Resource(kind="unknown", name=f"fd {number}", fd=number)
    if fd.kind == "socket" and fd.inode is not None:
        return socket_resource(look, pid, fd.inode, number)
    return Resource(kind=fd.kind, name=fd.name, inode=fd.inode, fd=number)


def socket_resource(look: ProcSnapshot, pid: int, inode: int, number: int) -> Resource:
    """Name a socket by its addresses, from sock_diag."""
    sock = look.sockets.get(pid, inode)
    if sock is None:
        where = " of another network namespace" if look.sockets.is_foreign(pid) else ""
        return Resource(kind="socket", name=f"socket:[{inode}]{where}", inode=inode, fd=number)
    peer = _peer_name(look, pid, sock)
    name = sock.local if sock.family != "unix" else sock.local or peer or f"unix:[{sock.inode}]"
    if sock.state == LISTEN:
        name += " (listening)"
    return Resource(kind=sock.family, name=name, inode=inode, fd=number, peer=peer)


def _peer_name(look: ProcSnapshot, pid: int, sock: Sock) -> str | None:
    if sock.family != "unix":
        return sock.remote if not sock.remote.endswith(":0") else None
    peer = look.sockets.namespace(pid).unix.get(sock.peer_inode) if sock.peer_inode else None
    return peer.local or None if peer else None


def _transfer(look: ProcSnapshot, raw: RawTask, call: str, number: int, reading: bool) -> Wait:
    resource = resource_of(look, raw.pid, number)
    direction = "read" if reading else "write"
    kind = {
        "pipe": f"pipe_{direction}",
        "tty": f"tty_{direction}",
        "unix": f"socket_{direction}",
        "tcp": f"socket_{direction}",
        "udp": f"socket_{direction}",
        "socket": f"socket_{direction}",
        "file": "file_io",
        "unknown": "other",
    }.get(resource.kind, "event_read")
    detail = ""
    if kind == "file_io" and look.proc.wchan(raw.pid, raw.tid) in _PIPE_FUNCTIONS:
        kind = f"pipe_{direction}"
        resource = Resource(kind="fifo", name=resource.name, fd=number)
    elif kind.startswith("socket"):
        detail = _socket_detail(look, raw, resource)
        resource = _destination(look, raw, resource) if not reading and resource.peer is None else resource
    return Wait(kind=kind, state=raw.state, call=call, resource=resource, detail=detail)


def _socket_detail(look: ProcSnapshot, raw: RawTask, resource: Resource) -> str:
    sock = look.sockets.get(raw.pid, resource.inode) if resource.inode else None
    if sock is None or sock.family != "tcp" or sock.state == 1:
        return ""
    return f"its socket: {STATES.get(sock.state, sock.state)}"


def _destination(look: ProcSnapshot, raw: RawTask, resource: Resource) -> Resource:
    """Where an unconnected socket sends: the address in the arguments of sendto(2)."""
    name = look.call_name(raw)
    address = memory.socket_address(look.proc, raw.pid, raw.args[4], raw.args[5]) if name == "sendto" else None
    if address is None:
        return resource
    return Resource(kind=resource.kind, name=address[1], inode=resource.inode, fd=resource.fd, peer=address[1])


def _move(look: ProcSnapshot, raw: RawTask, name: str, call: str) -> Wait:
    source, sink = syscall_args.MOVES[name]
    reading = (look.proc.wchan(raw.pid, raw.tid) or "").endswith(("pipe_read", "splice_pipe_to_pipe", "wait_for_data"))
    return _transfer(look, raw, call, _fd(raw, source if reading else sink), reading)


def _file(look: ProcSnapshot, raw: RawTask, call: str) -> Wait:
    resource = resource_of(look, raw.pid, _fd(raw, 0))
    kind = "file_io" if raw.state == "D" or resource.kind == "file" else "other"
    return Wait(kind=kind, state=raw.state, call=call, resource=resource)


def _open(look: ProcSnapshot, raw: RawTask, name: str, call: str) -> Wait:
    path = memory.text(look.proc, raw.pid, raw.args[syscall_args.OPENS[name]])
    shown = scrub_bytes(path) if path is not None else fds.UNREADABLE_PATH
    kernel = look.proc.wchan(raw.pid, raw.tid) or ""
    if kernel in ("wait_for_partner", "fifo_open"):
        mode = raw.args[syscall_args.OPENS[name] + 1] & fds.O_ACCMODE if name in ("open", "openat") else 0
        other = "reading" if mode == 1 else "writing"
        detail = f"nobody has it open for {other}"
        return Wait(
            kind="fifo_open", state=raw.state, call=call, resource=Resource(kind="fifo", name=shown), detail=detail
        )
    kind = "lease" if "break_lease" in kernel else "file_io"
    return Wait(kind=kind, state=raw.state, call=call, resource=Resource(kind="file", name=shown))


def _connect(look: ProcSnapshot, raw: RawTask, call: str) -> Wait:
    """The address comes from the socket (TCP, already sending SYNs) or from the argument (unix, which has none yet)."""
    resource = resource_of(look, raw.pid, _fd(raw, 0))
    if resource.kind != "tcp" or resource.peer is None:
        address = memory.socket_address(look.proc, raw.pid, raw.args[1], raw.args[2])
        if address is not None:
            name = address[1]
            resource = Resource(kind=resource.kind, name=name, inode=resource.inode, fd=resource.fd, peer=name)
    return Wait(
        kind="connect", state=raw.state, call=call, resource=resource, detail=_socket_detail(look, raw, resource)
    )


def _lock(look: ProcSnapshot, raw: RawTask) -> Resource:
    resource = resource_of(look, raw.pid, _fd(raw, 0))
    info = fds.info(look.proc, raw.pid, _fd(raw, 0))
    inode = info.inode if info else None
    return Resource(kind="lock", name=resource.name, inode=inode, fd=resource.fd)

"""What calls tell of sockets: who made them, what they are bound to, and with whom they are connected."""

from __future__ import annotations

import sys

from msgspec.structs import replace

from straced.records.text.descriptor_effects import O_CLOEXEC, Effect
from straced.records.text.descriptors import Descriptor
from straced.records.text.processes import Process, Processes
from straced.records.text.socket_names import NETLINK, UNIX, UNKNOWN, SocketName, created, end_of, is_wildcard, path_of
from straced.records.values import Record


def _made(record: Record, process: Process, processes: Processes) -> None:
    family, kind, protocol = (each & 0xFFFFFFFF for each in record.args[:3])
    name = created(family, kind, protocol)
    number = processes.number()
    if name is not None:
        name.number = number
    text = name.text() if name is not None else f"socket:[{number}]"
    entry = Descriptor(text, record.end_ns, bool(kind & O_CLOEXEC), name)
    process.files.bind(record.result or 0, entry)


def _address(record: Record) -> bytes | None:
    blob = record.blobs.get(1)
    return None if blob is None or blob.unread or blob.cut else blob.data


def _known(record: Record, process: Process) -> Descriptor | None:
    return process.files.known(record.args[0] & 0xFFFFFFFF, record.start_ns or record.end_ns)


def _renamed(record: Record, process: Process, entry: Descriptor, name: SocketName) -> None:
    process.files.bind(record.args[0] & 0xFFFFFFFF, replace(entry, name=name.text(), socket=name))


def _bound(record: Record, process: Process, processes: Processes) -> None:
    entry, address = _known(record, process), _address(record)
    if entry is None or entry.socket is None or address is None:
        return
    name = entry.socket
    if name.family == UNIX:
        name = replace(name, path=path_of(address))
    elif name.family == NETLINK:
        name = replace(name, local=str(int.from_bytes(address[4:8], sys.byteorder)) if any(address[4:8]) else UNKNOWN)
    else:
        end = end_of(address)
        if not end.endswith(":0"):  # or the kernel has chosen a port, which is not told here
            name = replace(name, local=end or name.local)
    _renamed(record, process, entry, name)


def _connected(record: Record, process: Process, processes: Processes) -> None:
    entry, address = _known(record, process), _address(record)
    if entry is None or entry.socket is None or address is None:
        return
    peer = UNKNOWN if entry.socket.family == UNIX else end_of(address)
    if peer:
        _renamed(record, process, entry, replace(entry.socket, peer=peer))


def _accepted(record: Record, process: Process, processes: Processes) -> None:
    listener, address = _known(record, process), _address(record)
    flags = record.args[3] if len(record.args) > 3 else 0
    number = processes.number()
    entry = Descriptor(f"socket:[{number}]", record.end_ns, bool(flags & O_CLOEXEC))
    if listener is not None and listener.socket is not None:
        name = listener.socket
        peer = UNKNOWN if name.family == UNIX or not address else end_of(address) or UNKNOWN
        entry.socket = replace(name, number=number, peer=peer, local="" if is_wildcard(name.local) else name.local)
        entry.name = entry.socket.text()
    process.files.bind(record.result or 0, entry)


def _told_local(record: Record, process: Process, processes: Processes) -> None:
    """getsockname(2). Port 0 is that of a socket that is not bound."""
    entry, address = _known(record, process), _address(record) or b""
    if entry is not None and entry.socket is not None and entry.socket.family == NETLINK and len(address) >= 8:
        port = str(int.from_bytes(address[4:8], sys.byteorder))
        _renamed(record, process, entry, replace(entry.socket, local=port if port != "0" else entry.socket.local))
        return
    end = end_of(address)
    if entry is not None and entry.socket is not None and end and not end.endswith(":0"):
        _renamed(record, process, entry, replace(entry.socket, local=end))


def _told_peer(record: Record, process: Process, processes: Processes) -> None:
    """getpeername(2)."""
    entry, address = _known(record, process), _address(record)
    if entry is not None and entry.socket is not None and address and (end := end_of(address)):
        _renamed(record, process, entry, replace(entry.socket, peer=end))


SOCKET_EFFECTS: dict[str, Effect] = {
    "socket": _made,
    "bind": _bound,
    "connect": _connected,
    "accept": _accepted,
    "accept4": _accepted,
    "getsockname": _told_local,
    "getpeername": _told_peer,
}

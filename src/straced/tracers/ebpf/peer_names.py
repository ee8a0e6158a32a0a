"""The names of rows whose key says it all: the other ends of sockets, and sockets without one."""

from __future__ import annotations

import socket

from straced.records import names
from straced.records.text.socket_names import INET, INET6, NETLINK, UNIX, created
from straced.tracers.ebpf import detail_wire
from straced.tracers.ebpf.detail_wire import WireFileKey

_OWN = ", own address"


def name_of(key: WireFileKey) -> tuple[str, str] | None:
    """Name a row and say its kind; ``None``: its key does not tell.

    Args:
        key: of the row.
    """
    kind, protocol = key.kind & ((1 << detail_wire.PROTOCOL_SHIFT) - 1), key.kind >> detail_wire.PROTOCOL_SHIFT
    if kind == detail_wire.BY_FAMILY:
        return _of_family(key.port, key.one), "socket"
    if kind < detail_wire.BY_PEER:
        return None
    family, address = _address(key, kind)
    if kind in (detail_wire.BY_CLIENT, detail_wire.BY_CLIENT_6):  # the port of the other end is another one each time
        return f"{names.word_of(protocol)} {names.host_of(family, address)} at port {key.port}", "accepted"
    if kind in (detail_wire.BY_PEER, detail_wire.BY_PEER_6):
        return names.end_of(protocol, family, address, key.port), "socket"
    if not key.port:
        return f"{names.word_of(protocol)}, not connected", "socket"
    return names.end_of(protocol, family, address, key.port) + _OWN, "socket"


def _address(key: WireFileKey, kind: int) -> tuple[int, bytes]:
    whole = bytes(key)[WireFileKey.one.offset :]
    if kind in (detail_wire.BY_PEER, detail_wire.BY_CLIENT, detail_wire.BY_OWN):
        return INET, whole[:4]
    return INET6, whole


def _of_family(family: int, protocol: int) -> str:
    if family == NETLINK:
        known = created(family, socket.SOCK_RAW, protocol)
        return f"netlink {known.peer if known is not None else protocol}"
    if family == UNIX:
        return "unix, not connected"
    try:
        return f"{socket.AddressFamily(family).name.removeprefix('AF_').lower()} socket"
    except ValueError:
        return f"socket of family {family}"

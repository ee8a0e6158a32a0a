"""Socket addresses as strace writes them, from the bytes that a call was given or has filled in."""

from __future__ import annotations

import socket
import struct

from straced.records.text.quoting import quoted
from straced.records.text.socket_names import INET, INET6, NETLINK, UNIX, path_of
from straced.records.text.tables import constants

_FAMILIES = dict(constants("x86_64")["family"])
"""The same on all machines."""


def address_text(data: bytes) -> str | None:
    """The text of a ``struct sockaddr``; ``None`` of one too short to tell its family."""
    if len(data) < 2:
        return None
    family = struct.unpack_from("=H", data)[0]
    name = _FAMILIES.get(family, f"{family:#x} /* AF_??? */")
    known = _KNOWN.get(family)
    rest = known[1](data) if known is not None and len(data) >= known[0] else _unknown(data)
    return f"{{sa_family={name}{rest}}}"


def _unix(data: bytes) -> str:
    path = path_of(data)
    return f", sun_path={path}" if path else ""


def _inet(data: bytes) -> str:
    port, address = struct.unpack_from("!H4s", data, 2)
    return f', sin_port=htons({port}), sin_addr=inet_addr("{socket.inet_ntop(INET, address)}")'


def _inet6(data: bytes) -> str:
    port, flow, address = struct.unpack_from("!HI16s", data, 2)
    scope = struct.unpack_from("=I", data, 24)[0]
    return (
        f", sin6_port=htons({port}), sin6_flowinfo=htonl({flow}), "
        f'inet_pton(AF_INET6, "{socket.inet_ntop(INET6, address)}", &sin6_addr), sin6_scope_id={_scope(scope)}'
    )


def _scope(index: int) -> str:
    """strace asks its own machine for the name of an interface; a record may be of another."""
    return str(index)


def _netlink(data: bytes) -> str:
    pid, groups = struct.unpack_from("=iI", data, 4)
    return f", nl_pid={pid}, nl_groups={groups:08x}"


def _unknown(data: bytes) -> str:
    return f", sa_data={quoted(data[2:])}" if len(data) > 2 else ""


_KNOWN = {UNIX: (2, _unix), INET: (8, _inet), INET6: (28, _inet6), NETLINK: (12, _netlink)}

"""Descriptors that were open at the attach, from what /proc said of them."""

from __future__ import annotations

import re

from straced.records.text.descriptors import Descriptor, deleted, file
from straced.records.text.quoting import quoted
from straced.records.text.socket_names import UNKNOWN
from straced.records.values import OpenDescriptor

_SOCKET = re.compile(rb"socket:\[(\d+)\]")
_DELETED = b" (deleted)"
_ENDS = re.compile(r"(?:(tcp|udp) )?(\S+?)(?: -> (\S+))?(?: [a-z0-9-]+)?")


def descriptor_at_attach(found: OpenDescriptor) -> Descriptor:
    """The name of a descriptor as ``strace -yy`` has it, as far as the tables of the machine told."""
    inode = _SOCKET.fullmatch(found.link)
    if inode is not None:
        return Descriptor(_socket(inode[1].decode(), found.name))
    if found.link.startswith(b"/") and found.link.endswith(_DELETED):
        return deleted(found.link.removesuffix(_DELETED))
    return file(found.link)


def _socket(inode: str, name: str) -> str:
    kind, _, rest = name.partition(" ")
    if kind in ("tcp", "udp") and (match := _ENDS.fullmatch(rest)) is not None:
        protocol = kind.upper() + ("v6" if match[2].startswith("[") else "")
        return f"{protocol}:[{match[2]}->{match[3]}]" if match[3] else f"{protocol}:[{match[2]}]"
    if kind == "unix":
        return f"UNIX:[{inode}]" if rest in ("", "(no name)") else f"UNIX:[{inode},{quoted(rest.encode())}]"
    return f"socket:[{inode}]" if inode else UNKNOWN

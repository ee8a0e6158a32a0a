"""What a descriptor stood for, from what the kernel's programs read of its file (``bpf/details_names.h``)."""

from __future__ import annotations

import socket
import stat
import struct
import sys

from msgspec import Struct

from straced.records.text import descriptors
from straced.records.text.quoting import in_angles, quoted
from straced.records.text.socket_names import INET, INET6, UNIX, created
from straced.records.values import Blob

FILE_DELETED = 1
_FILE = struct.Struct("=IIQQII")
_SOCKET = struct.Struct("=6HIQ16s16s")
_PIPEFS, _ANONYMOUS = 0x50495045, 0x09041934
_LISTENING = 10
SOCKETS = frozenset({"socket", "accepted", "pair"})
_WORDS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6", 132: "sctp", 136: "udplite"}
_WITHOUT_PORTS = (1, 58, 255)
_MAPPED = bytes(10) + b"\xff\xff"


class SubjectName(Struct, frozen=True):
    """A file or a socket."""

    text: str
    """As ``strace -yy`` has it between the angle brackets."""
    path: bytes = b""
    """Of a file, from the root of its process; for pipes and the like what /proc calls them."""
    peer: str = ""
    """Of a socket: its other end, or its own address."""
    kind: str = "file"
    """As :attr:`straced.model.slow.SlowSyscall.kind`."""
    deleted: bool = False


def of_file(blob: Blob) -> SubjectName | None:
    """Read the name of a file; ``None`` of too few bytes.

    Args:
        blob: of the kind FILE.
    """
    if len(blob.data) < _FILE.size:
        return None
    mode, flags, inode, magic, _device, pieces = _FILE.unpack_from(blob.data)
    names = blob.data[_FILE.size :].split(b"\0")[:pieces]
    path = b"/" + b"/".join(reversed(names))
    if blob.cut:
        path = b"..." + path
    kind = _kind(mode, path, magic)
    if magic == _PIPEFS:
        path = b"pipe:[%d]" % inode
    elif magic == _ANONYMOUS:
        path = b"anon_inode:" + names[0] if names else b"anon_inode:"
    elif flags & FILE_DELETED:
        return SubjectName(in_angles(path), path + b" (deleted)", kind=kind, deleted=True)
    return SubjectName(descriptors.file(path).name, path, kind=kind)


def _kind(mode: int, path: bytes, magic: int) -> str:
    if magic == _ANONYMOUS:
        return "anonymous"
    if stat.S_ISFIFO(mode):
        return "pipe"
    if stat.S_ISDIR(mode):
        return "directory"
    if stat.S_ISCHR(mode):
        return "terminal" if path.startswith((b"/dev/pts/", b"/dev/tty", b"/dev/console")) else "device"
    return "file"


def of_socket(blob: Blob) -> SubjectName | None:
    """Read the name of a socket; ``None`` of too few bytes.

    Args:
        blob: of the kind SOCKET.
    """
    if len(blob.data) < _SOCKET.size:
        return None
    family, kind, protocol, state, local_port, peer_port, of_peer, inode, local, peer = _SOCKET.unpack_from(blob.data)
    if family == UNIX:
        path = _unix_path(blob.data[_SOCKET.size :])
        word = "UNIX-STREAM" if kind == 1 else "UNIX"
        text = f"{word}:[{inode},{quoted(path.encode())}]" if path and not of_peer else f"{word}:[{inode}]"
        sort = "pair" if not path else "socket" if of_peer or state == _LISTENING else "accepted"
        return SubjectName(text, b"socket:[%d]" % inode, f"unix {path}" if path else "", sort)
    known = created(family, kind, protocol)
    word = known.protocol if known is not None else "socket"
    if family not in (INET, INET6):
        return SubjectName(f"{word}:[{inode}]", b"socket:[%d]" % inode, "", "socket")
    ends = [_end(family, local, local_port), _end(family, peer, peer_port)]
    connected = peer_port != 0
    name = end_of(protocol, family, *((peer, peer_port) if connected else (local, local_port)))
    if not connected and state == _LISTENING:
        name += " listen"
    text = f"{word}:[{'->'.join(ends if connected else ends[:1])}]"
    return SubjectName(
        text,
        b"socket:[%d]" % inode,
        name if connected or local_port else "",
        "accepted" if connected and of_peer else "socket",
    )


def end_of(protocol: int, family: int, address: bytes, port: int) -> str:
    """Name one end of a connection: ``tcp 10.0.0.7:5432``, ``udp [fe80::1%2]:53``, ``icmp 10.0.0.7``.

    Args:
        protocol: its number, as IPPROTO_TCP.
        family: AF_INET or AF_INET6.
        address: its bytes; where one of a single link has zeros, its interface may stand.
        port: of that end.
    """
    return f"{word_of(protocol)} {host_of(family, address)}" + ("" if protocol in _WITHOUT_PORTS else f":{port}")


def word_of(protocol: int) -> str:
    """How a protocol of the Internet is called."""
    return _WORDS.get(protocol, f"ip({protocol})")


def host_of(family: int, address: bytes) -> str:
    """Name a host: one of IPv4 as such, also where IPv6 stands for it; one of a single link with its interface."""
    if family == INET or address.startswith(_MAPPED):
        return socket.inet_ntop(INET, address[:4] if family == INET else address[12:])
    link = int.from_bytes(address[4:8], sys.byteorder) if _is_of_link(address) else 0
    if not link:
        return f"[{socket.inet_ntop(INET6, address)}]"
    return f"[{socket.inet_ntop(INET6, address[:4] + bytes(4) + address[8:])}%{link}]"


def _is_of_link(address: bytes) -> bool:
    return address[0] == 0xFE and address[1] & 0xC0 == 0x80


def _end(family: int, address: bytes, port: int) -> str:
    """As ``strace -yy`` has it."""
    if family == INET:
        return f"{socket.inet_ntop(family, address[:4])}:{port}"
    if _is_of_link(address):
        address = address[:4] + bytes(4) + address[8:]
    return f"[{socket.inet_ntop(family, address)}]:{port}"


def _unix_path(address: bytes) -> str:
    """The path of a ``struct sockaddr_un``, with ``@`` for an abstract one."""
    path = address[2:]
    if path[:1] == b"\0":
        return "@" + path[1:].decode("utf-8", "backslashreplace") if path[1:] else ""
    return path.split(b"\0")[0].decode("utf-8", "backslashreplace")


def of_address(address: bytes) -> str:
    """A ``struct sockaddr`` that a call was given, as a peer; empty where it is none of the usual families.

    Args:
        address: its bytes.
    """
    family, port = int.from_bytes(address[:2], "little"), int.from_bytes(address[2:4], "big")
    if family == INET and len(address) >= 8:
        return f"{host_of(INET, address[4:8])}:{port}"
    if family == INET6 and len(address) >= 24:
        host = address[8:24]
        if _is_of_link(host) and len(address) >= 28:
            host = host[:4] + address[24:28] + host[8:]
        return f"{host_of(INET6, host)}:{port}"
    if family == UNIX and (path := _unix_path(address)):
        return f"unix {path}"
    return ""

"""The sockets of a process by address, from the tables of its network namespace (proc_pid_net(5))."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Iterator

from straced.linux import procfs
from straced.text.sanitize import scrub_bytes

_STATES = {
    1: "established", 2: "syn-sent", 3: "syn-recv", 4: "fin-wait-1", 5: "fin-wait-2", 6: "time-wait",
    7: "close", 8: "close-wait", 9: "last-ack", 10: "listen", 11: "closing", 12: "new-syn-recv",
}  # fmt: skip
"""include/net/tcp_states.h"""
_INTERNET = (("tcp", "tcp"), ("tcp6", "tcp"), ("udp", "udp"), ("udp6", "udp"))
_LARGEST_BYTES = 8 * 1024 * 1024
"""A table larger than this (some 50,000 sockets) is not read on every refresh: its sockets stay numbers."""


def names(pid: int, inodes: set[int], root: str = procfs.ROOT) -> dict[int, tuple[str, str]]:
    """Kind and name of each of ``inodes`` that a table has: ``tcp 127.0.0.1:80 <- listen``, ``unix /run/x``."""
    found: dict[int, tuple[str, str]] = {}
    for table, kind in _INTERNET:
        for inode, name in _internet(_table(pid, table, root), kind):
            if inode in inodes:
                found[inode] = kind, name
        if len(found) == len(inodes):
            return found
    for inode, name in _unix(_table(pid, "unix", root)):
        if inode in inodes:
            found[inode] = "unix", name
    return found


def _table(pid: int, name: str, root: str) -> list[bytes]:
    try:
        data = procfs.read(f"{pid}/net/{name}", root)
    except (procfs.Gone, OSError):
        return []
    return data.split(b"\n")[1:] if len(data) <= _LARGEST_BYTES else []


def _internet(lines: list[bytes], kind: str) -> Iterator[tuple[int, str]]:
    for line in lines:
        fields = line.split()
        if len(fields) < 10:
            continue
        local, remote, state = _address(fields[1]), _address(fields[2]), int(fields[3], 16)
        if kind == "tcp" and state == 10:
            name = f"{local} listen"
        elif remote.endswith(":0"):
            name = local
        else:
            name = f"{local} -> {remote}" + ("" if state == 1 or kind == "udp" else f" {_STATES.get(state, state)}")
        yield int(fields[9]), name


def _address(field: bytes) -> str:
    """``0100007F:0050`` is 127.0.0.1:80: words of 32 bits in the byte order of the machine."""
    digits, _, port = field.partition(b":")
    raw = bytes.fromhex(digits.decode())
    words = [raw[at : at + 4] for at in range(0, len(raw), 4)]
    packed = b"".join(word[::-1] for word in words) if sys.byteorder == "little" else raw
    address = ipaddress.ip_address(packed)
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return f"{mapped}:{int(port, 16)}" if mapped else f"[{address}]:{int(port, 16)}"
    return f"{address}:{int(port, 16)}"


def _unix(lines: list[bytes]) -> Iterator[tuple[int, str]]:
    for line in lines:
        fields = line.split(maxsplit=7)
        if len(fields) >= 7:
            yield int(fields[6]), scrub_bytes(fields[7]) if len(fields) > 7 else "(no name)"

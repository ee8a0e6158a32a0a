"""What rows are called whose key says it all.

Of `tracers/ebpf/peer_names.py`.
"""

from __future__ import annotations

import socket

import pytest

from straced.tracers.ebpf import detail_wire
from straced.tracers.ebpf.peer_names import name_of

TCP, UDP = socket.IPPROTO_TCP << 8, socket.IPPROTO_UDP << 8
LINK = b"\xfe\x80" + bytes(2) + (7).to_bytes(4, "little") + bytes(7) + b"\1"


def key(kind: int, port: int, address: bytes = b"") -> detail_wire.WireFileKey:
    start = bytes(detail_wire.WireFileKey(kind=kind, port=port))[: detail_wire.WireFileKey.one.offset]
    return detail_wire.WireFileKey.from_buffer_copy(start + address.ljust(16, b"\0"))


@pytest.mark.parametrize(
    ("kind", "port", "address", "name", "sort"),
    [
        (detail_wire.BY_PEER | UDP, 53, bytes((10, 0, 0, 7)), "udp 10.0.0.7:53", "socket"),
        (detail_wire.BY_PEER_6 | TCP, 80, LINK, "tcp [fe80::1%7]:80", "socket"),
        (detail_wire.BY_CLIENT_6 | TCP, 80, bytes(15) + b"\1", "tcp [::1] at port 80", "accepted"),
        (detail_wire.BY_OWN_6 | TCP, 80, b"", "tcp [::]:80, own address", "socket"),
        (detail_wire.BY_OWN | UDP, 0, b"", "udp, not connected", "socket"),
        (detail_wire.BY_PEER | socket.IPPROTO_ICMP << 8, 0, bytes((10, 0, 0, 7)), "icmp 10.0.0.7", "socket"),
        (detail_wire.BY_FAMILY, socket.AF_NETLINK, bytes((9,)), "netlink AUDIT", "socket"),
        (detail_wire.BY_FAMILY, socket.AF_VSOCK, b"", "vsock socket", "socket"),
        (detail_wire.BY_FAMILY, socket.AF_UNIX, b"", "unix, not connected", "socket"),
        (detail_wire.BY_FAMILY, 99, b"", "socket of family 99", "socket"),
    ],
)
def test_a_key_is_a_name(kind: int, port: int, address: bytes, name: str, sort: str) -> None:
    assert name_of(key(kind, port, address)) == (name, sort)


def test_what_only_the_programs_know() -> None:
    assert name_of(key(detail_wire.BY_UNIX, 0, b"hash")) is None

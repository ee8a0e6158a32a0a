"""Options of sockets by level and name, and the value that a program gives or asks for."""

from __future__ import annotations

import struct
from collections.abc import Callable

from straced.records.text import kinds
from straced.records.text.flags import one_of
from straced.records.text.tables import constants
from straced.records.values import Record


def option_words(abi: str) -> Callable[[int, int], tuple[str, str]]:
    """Make what names a level and an option of it."""
    table = constants(abi)
    levels = one_of(table["socket_level"], "SOL_???")
    of_level = {
        1: one_of(table["socket_option"], "SO_???"),
        0: one_of(table["ip_option"], "IP_???"),
        41: one_of(table["ipv6_option"], "IPV6_???"),
        6: one_of(table["tcp_option"], "TCP_???"),
        17: one_of(table["udp_option"], "UDP_???"),
        263: one_of(table["packet_option"], "PACKET_???"),
        270: one_of(table["netlink_option"], "NETLINK_???"),
    }

    def words(level: int, option: int) -> tuple[str, str]:
        level &= 0xFFFFFFFF
        names = of_level.get(level)
        return levels(level), names(option) if names is not None else f"{option & 0xFFFFFFFF:#x}"

    return words


def option_value(record: Record, *, asks: bool) -> str:
    """The value: an int if it is as long as one, or one of the structures known here."""
    level, option = (each & 0xFFFFFFFF for each in record.args[1:3])
    address, blob = record.args[3], record.blobs.get(3)
    if not address or record.result == kinds.FAULT or (asks and kinds.failed(record)):
        return f"{address:#x}" if address else "NULL"
    if not asks and not record.args[4] & 0xFFFFFFFF:  # which is not looked at then
        return f"{address:#x}"
    if blob is None or blob.unread:  # or a key, which is not read
        return '""...' if level == _TCP and not asks and record.args[4] > _INT_BYTES else "[...]"
    shape = _STRUCTURES.get((level, option))
    if shape is not None:
        form, text = shape
        return text.format(*struct.unpack_from(form, blob.data)) if len(blob.data) >= struct.calcsize(form) else "{...}"
    if len(blob.data) == _INT_BYTES and not blob.cut:
        return f"[{struct.unpack_from('=i', blob.data)[0]}]"
    return '""...' if option in _BYTES.get(level, ()) and blob.data else "[...]"


_INT_BYTES, _TCP = 4, 6
_STRUCTURES = {
    (1, 13): ("=ii", "{{l_onoff={}, l_linger={}}}"),  # SO_LINGER
    (1, 17): ("=iII", "{{pid={}, uid={}, gid={}}}"),  # SO_PEERCRED
}
"""By level and option."""
_BYTES = {
    1: frozenset({20, 21, 25, 66, 67}),  # SO_RCVTIMEO and SO_SNDTIMEO, SO_BINDTODEVICE
    6: frozenset({11, 13, 26, 31}),  # TCP_INFO, TCP_CONGESTION, TCP_CC_INFO, TCP_ULP
}
"""Options that strace shows as bytes, by level."""

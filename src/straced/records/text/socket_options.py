"""Options of sockets by level and name, and the value that a program gives or asks for."""

from __future__ import annotations

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
    }

    def words(level: int, option: int) -> tuple[str, str]:
        level &= 0xFFFFFFFF
        names = of_level.get(level)
        return levels(level), names(option) if names is not None else f"{option & 0xFFFFFFFF:#x}"

    return words


def option_value(value: int, record: Record, *, asks: bool) -> str:
    """The value, which is not recorded: most are an int."""
    if not value or record.result == kinds.FAULT or (asks and kinds.failed(record)):
        return f"{value:#x}" if value else "NULL"
    return "[...]"

"""How arguments are printed that are no addresses: numbers and descriptors."""

from __future__ import annotations

from collections.abc import Callable

from straced.records.text.descriptors import DIRECTORY
from straced.records.text.processes import Process
from straced.records.values import Record

Formatter = Callable[[int, Record, Process], str]
Whole = Callable[[Record, Process], list[str]]
"""The texts of all arguments of a call."""
FAULT = -14
"""-EFAULT."""


def failed(record: Record) -> bool:
    """Whether the call has returned an error, or not at all: memory that it was to fill is as it was."""
    return record.result is None or -4096 < record.result < 0


def pointer(value: int, record: Record, process: Process) -> str:
    return f"{value:#x}" if value else "NULL"


def signed(value: int, record: Record, process: Process) -> str:
    value &= 0xFFFFFFFF
    return str(value - 0x100000000 if value & 0x80000000 else value)


def unsigned(value: int, record: Record, process: Process) -> str:
    return str(value & 0xFFFFFFFF)


def size(value: int, record: Record, process: Process) -> str:
    return str(value)


def signed_long(value: int, record: Record, process: Process) -> str:
    return str(value - (1 << 64) if value >> 63 else value)


def hexadecimal(value: int, record: Record, process: Process) -> str:
    return f"{value:#x}" if value else "0"


def hexadecimal_32(value: int, record: Record, process: Process) -> str:
    return hexadecimal(value & 0xFFFFFFFF, record, process)


def identity(value: int, record: Record, process: Process) -> str:
    """A user or a group: -1 leaves it as it is."""
    value &= 0xFFFFFFFF
    return "-1" if value == 0xFFFFFFFF else str(value)


def octal(value: int, record: Record, process: Process) -> str:
    value &= 0xFFFF
    return f"0{value:o}" if value > 0o77 else f"{value:03o}"


def descriptor(value: int, record: Record, process: Process) -> str:
    value &= 0xFFFFFFFF
    if value & 0x80000000:
        value -= 0x100000000
    return process.files.text(value, record.start_ns or record.end_ns)


def directory(value: int, record: Record, process: Process) -> str:
    value &= 0xFFFFFFFF
    return process.directory.text if value == DIRECTORY & 0xFFFFFFFF else descriptor(value, record, process)


def for_value(named: Callable[[int], str]) -> Formatter:
    return lambda value, record, process: named(value)


SIMPLE: dict[str, Formatter] = {
    "pointer": pointer, "int": signed, "pid": signed, "uint": unsigned, "size": size, "long": signed_long,
    "hex": hexadecimal, "hex32": hexadecimal_32, "id": identity, "mode": octal, "fd": descriptor, "dirfd": directory,
}  # fmt: skip
"""Kinds that need nothing but the value, by name."""

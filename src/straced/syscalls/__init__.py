"""Number <-> name of system calls per ABI, and the class a call belongs to.

The tables are generated (scripts/generate_syscalls.py) and loaded on first use, one ABI at a time.
"""

from __future__ import annotations

import functools
import importlib
import platform
from collections.abc import Mapping

from straced.syscalls.classes import category

__all__ = ["ABIS", "category", "names", "native_abi", "number_of", "syscall_name"]

ABIS = ("x86_64", "i386", "x32", "arm64", "arm")


def native_abi() -> str:
    """The ABI of 64-bit programs on this machine: ``x86_64`` or ``arm64``."""
    return {"aarch64": "arm64"}.get(platform.machine(), "x86_64")


@functools.cache
def names(abi: str) -> Mapping[int, str]:
    """All numbers and names of an ABI; empty for one that straced has no table of."""
    if abi not in ABIS:
        return {}
    table: dict[int, str] = importlib.import_module(f"straced.syscalls.tables.{abi}").NAMES
    return table


@functools.cache
def _numbers(abi: str) -> Mapping[str, int]:
    return {name: number for number, name in names(abi).items()}


def syscall_name(number: int, abi: str = "x86_64") -> str:
    """The name of a number; ``syscall_0x3e8``, as strace prints it, when there is none."""
    return names(abi).get(number) or f"syscall_{number:#x}"


def number_of(name: str, abi: str = "x86_64") -> int | None:
    """The number of a name, ``syscall_0x...`` included; ``None`` when the ABI has no such call."""
    found = _numbers(abi).get(name)
    if found is None and name.startswith("syscall_0x"):
        try:
            return int(name[8:], 16)
        except ValueError:
            return None
    return found

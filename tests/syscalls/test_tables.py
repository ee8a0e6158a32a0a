"""Numbers and names of system calls: the tables agree with the package that they are made of, and with the C library.

Of `syscalls/__init__.py`, `syscalls/classes.py`, `syscalls/tables/arm.py`, `syscalls/tables/arm64.py`,
`syscalls/tables/i386.py`, `syscalls/tables/x32.py` and `syscalls/tables/x86_64.py`.
"""

from __future__ import annotations

import ctypes
import os

import pytest
from system_calls import NotSupportedSystemCall, syscalls

from straced.syscalls import ABIS, category, classes, names, native_abi, number_of, syscall_name

PACKAGE = syscalls()


def published(name: str, abi: str) -> int | None:
    """The number that the package has for a name."""
    try:
        return int(PACKAGE.get(name, abi))
    except NotSupportedSystemCall:
        return None


@pytest.mark.parametrize("abi", ABIS)
def test_each_number_leads_to_its_name_and_back(abi: str) -> None:
    table = names(abi)
    assert len(table) > 300
    for number, name in table.items():
        assert syscall_name(number, abi) == name
        assert number_of(name, abi) == number


@pytest.mark.parametrize("abi", ABIS)
def test_names_are_those_that_are_published(abi: str) -> None:
    theirs = {name: number for name in names(abi).values() if (number := published(name, abi)) is not None}
    assert len(theirs) > 300
    assert {name: number_of(name, abi) for name in theirs} == theirs


def test_a_number_does_what_its_name_says() -> None:
    call = ctypes.CDLL(None).syscall
    assert call(number_of("getppid", native_abi())) == os.getppid()
    assert call(number_of("getpid", native_abi())) == os.getpid()


def test_a_number_without_a_name_is_written_as_strace_writes_it() -> None:
    assert syscall_name(1000) == "syscall_0x3e8"
    assert number_of("syscall_0x3e8") == 1000
    assert number_of("nothing") is None
    assert names("sparc") == {}


def test_each_call_that_has_a_class_exists() -> None:
    every = {name for abi in ABIS for name in names(abi).values()}
    assert set(classes._CATEGORIES) - every == set()
    assert {category(name) for name in every} == set(classes.CATEGORIES)

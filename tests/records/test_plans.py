"""What is kept of each call, and sets of calls in strace's words.

Of `records/plans.py` and `records/call_sets.py`.
"""

from __future__ import annotations

import os
import re

import pytest

from straced.errors import InvalidArgument
from straced.records.call_sets import calls_of
from straced.records.plans import BLOCKED, UNKNOWN, plan_in, plan_of
from straced.records.values import BlobKind
from straced.syscalls import names, native_abi
from straced.tracers.ebpf import perf_events
from straced.tracers.ebpf.record_wire import CAPTURES, GIVEN_BYTES, STRUCTURE_BYTES
from straced.tracers.strace.filters import trace_set
from tests.support.needs import unavailable

OTHER_FIELDS = 5
"""Of a format, before those of the call."""
STRING = re.compile(r"field:(?:const )?char \* ?\w+;")


def test_each_call_has_a_plan_that_the_programs_can_keep() -> None:
    for name in names("x86_64").values():
        plan = plan_of(name)
        assert all(each.argument < plan.nargs for each in plan.captures if each.kind != BLOCKED), name
        assert len(plan.captures) <= CAPTURES, name
        assert all(each.bytes <= STRUCTURE_BYTES for each in plan.captures), name
        assert all(each.bytes <= GIVEN_BYTES for each in plan.captures if each.kind is BlobKind.GIVEN), name
        assert sum(each.kind is BlobKind.GIVEN for each in plan.captures) <= 1, name
    assert plan_of("syscall_0x3e8") == UNKNOWN


@pytest.mark.needs("ebpf")
def test_calls_have_as_many_arguments_as_the_kernel_says() -> None:
    """Where it was built to describe its calls (CONFIG_FTRACE_SYSCALLS)."""
    checked = 0
    with perf_events._tracefs() as root:
        for name in names(native_abi()).values():
            try:
                fd = os.open(f"events/syscalls/sys_enter_{name}/format", os.O_RDONLY, dir_fd=root)
            except FileNotFoundError:
                continue
            with open(fd) as file:
                fields = [line for line in file if "\tfield:" in line][OTHER_FIELDS:]
            assert plan_of(name).nargs == len(fields), name
            strings = {place for place, line in enumerate(fields) if STRING.search(line)}
            assert strings >= {each.argument for each in plan_of(name).captures if each.kind is BlobKind.PATH}, name
            checked += 1
    if not checked:
        unavailable("syscall-formats", "the kernel does not describe its calls")
    assert checked > 250


@pytest.mark.parametrize(
    ("words", "inside", "outside"),
    [
        ("openat,read", {"openat", "read"}, {"write"}),
        ("!futex", {"openat", "read"}, {"futex"}),
        ("%file", {"openat", "execve", "statx", "rename"}, {"read", "memfd_create", "futex"}),
        ("%network", {"connect", "sendto"}, {"openat"}),
        ("/^get.*id$", {"getpid", "getppid"}, {"gettimeofday"}),
        ("2", {"open"}, {"read"}),
    ],
)
def test_sets_are_strace_s(words: str, inside: set[str], outside: set[str]) -> None:
    found = calls_of(trace_set(words))
    assert found is not None
    assert inside <= found
    assert not outside & found


def test_all_is_no_set_and_what_only_strace_knows_is_refused() -> None:
    assert calls_of(trace_set("all")) is None
    with pytest.raises(InvalidArgument, match="only strace knows"):
        calls_of(trace_set("%desc"))


def test_what_is_a_path_is_read_as_one() -> None:
    assert [each.kind for each in plan_of("renameat2").captures] == [BlobKind.PATH, BlobKind.PATH]


def test_an_abi_with_other_structures_has_none_read() -> None:
    assert plan_in("newfstatat", "i386").captures == plan_of("openat").captures
    assert plan_in("rt_sigaction", "arm").captures == ()

"""The layout of all that crosses between the kernel programs and Python; it mirrors ``bpf/wire.h``.

:func:`verify` compares it with the BTF of the object that is about to be loaded, so that the two cannot drift apart.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Mapping
from ctypes import c_char, c_int32, c_uint8, c_uint16, c_uint32, c_uint64

from straced.model import histogram
from straced.tracers.ebpf.btf import Types

ROWS = 32768
ROWS_LIMIT = 65536
OWNERS = 16384
PAYERS = 1024
SLOTS = 10
SLOT_CARRY = 4096
KEY_NR_BITS = 28
KEY_NR_MASK = (1 << KEY_NR_BITS) - 1
X32_SYSCALL_BIT = 0x40000000
ABIS = ("", "x86_64", "i386", "x32", "arm64", "arm")

STATE_FREE, STATE_LIVE, STATE_ENDED = range(3)
KIND_SESSION, KIND_PROCESS, KIND_THREAD, KIND_PROGRAM = 1, 2, 3, 4
OWNER_KEEP, OWNER_QUIET, SESSION_FOLLOW, SESSION_PER_THREAD, SESSION_CLOSED = 1, 2, 4, 8, 16
SESSION_ONE_USER, SESSION_LOST_USER, SESSION_STRICT, OWNER_ELEVATED, OWNER_LEFT = 32, 64, 128, 256, 512
SESSION_PROGRAMS, OWNER_PAST = 1024, 2048
EVENTS = {1: "fork", 2: "exec", 3: "exit"}
HOLD, RESUME, FOLD, UNBIAS, WHOAMI, NEW_OWNER, SUM, GIVE_ROW, GIVE_OWNER = 1, 2, 3, 4, 5, 6, 7, 8, 9
TASK_EXISTED = 1
TASK_QUIET = 4


class CounterRow(ctypes.Structure):
    """Counters of one call of one owner."""

    _fields_ = (
        ("calls", c_uint64),
        ("untimed", c_uint64),
        ("wall_ns", c_uint64),
        ("waiting_ns", c_uint64),
        ("restarts", c_uint64),
        ("max_ns", c_uint64),
        ("min_ns", c_uint64),
        ("owner", c_uint32),
        ("key", c_uint32),
        ("next", c_uint32),
        ("extra", c_uint32),
        ("birth_ns", c_uint64),
        ("slots", c_uint64 * SLOTS),
        ("histogram", c_uint32 * histogram.SIZE),
    )


class RowOwner(ctypes.Structure):
    """Who rows belong to: a session, a process, a thread, or the processes of one program that ended."""

    _fields_ = (
        ("state", c_uint32),
        ("kind", c_uint32),
        ("flags", c_uint32),
        ("parent", c_uint32),
        ("session", c_uint32),
        ("head", c_uint32),
        ("rows", c_uint32),
        ("live", c_uint32),
        ("deferred", c_uint32),
        ("pid", c_uint32),
        ("host_pid", c_uint32),
        ("exit_code", c_uint32),
        ("processes", c_uint32),
        ("threads", c_uint32),
        ("uid", c_uint32),
        ("payer", c_uint32),
        ("start_ns", c_uint64),
        ("lost", c_uint64),
        ("capabilities", c_uint64),
        ("gid", c_uint32),
        ("heir", c_uint32),
        ("comm", c_char * 16),
        ("program", c_char * 32),
        ("programs", c_uint32),
        ("sibling", c_uint32),
        ("program_count", c_uint32),
        ("unused", c_uint32),
    )


class OwnerSums(ctypes.Structure):
    """All rows of an owner together."""

    _fields_ = (
        ("calls", c_uint64),
        ("errors", c_uint64),
        ("wall_ns", c_uint64),
        ("waiting_ns", c_uint64),
        ("in_flight", c_uint64),
        ("standing", c_uint64),
    )


class WireEvent(ctypes.Structure):
    """A fork, exec or exit."""

    _fields_ = (
        ("time_ns", c_uint64),
        ("kind", c_uint32),
        ("session", c_uint32),
        ("pid", c_uint32),
        ("tid", c_uint32),
        ("child", c_uint32),
        ("exit_code", c_uint32),
        ("comm", c_char * 16),
    )


class Control(ctypes.Structure):
    """The global state, by mmap."""

    _fields_ = (
        ("epoch", c_uint32),
        ("hold", c_uint32),
        ("folding", c_uint32),
        ("next_row", c_uint32),
        ("next_owner", c_uint32),
        ("listening", c_uint32),
        ("self_level", c_uint32),
        ("self_namespace", c_uint64),
        ("mark_owner", c_uint32),
        ("marked", c_uint32),
        ("whole", c_uint32),
        ("lost_folds", c_uint64),
        ("lost_tasks", c_uint64),
        ("lost_errnos", c_uint64),
        ("lost_events", c_uint64),
        ("shared_owners", c_uint64),
        ("skipped_enters", c_uint64),
        ("skipped_exits", c_uint64),
        ("touched", c_uint8 * ROWS_LIMIT),
        ("rows_of_users", c_uint32),
        ("owners_of_users", c_uint32),
        ("rows_used", c_uint32 * PAYERS),
        ("owners_used", c_uint32 * PAYERS),
        ("payer", c_uint16 * ROWS_LIMIT),
    )


class Limits(ctypes.Structure):
    """The constants of the programs, in .rodata."""

    _fields_ = (
        ("rows_max", c_uint32),
        ("owners_max", c_uint32),
        ("rows_of_user", c_uint32),
        ("rows_of_users", c_uint32),
        ("owners_of_user", c_uint32),
        ("owners_of_users", c_uint32),
    )

    def set(self, rows_max: int, owners_max: int, user_share: float = 1.0) -> None:
        """Before the load; after it they are read-only.

        Args:
            rows_max, owners_max: of all.
            user_share: how much of that one user may have who is not root. Of the rest a half is root's.
        """
        of_users = (1 + user_share) / 2
        self.rows_max, self.owners_max = rows_max, owners_max
        self.rows_of_user, self.owners_of_user = int(rows_max * user_share), int(owners_max * user_share)
        self.rows_of_users, self.owners_of_users = int(rows_max * of_users), int(owners_max * of_users)


class Suspended(ctypes.Structure):
    """An interrupted call."""

    _fields_ = (
        ("row", c_uint32),
        ("key", c_uint32),
        ("wall_ns", c_uint64),
        ("waiting_ns", c_uint64),
        ("ip", c_uint64),
        ("sp", c_uint64),
        ("ret", c_int32),
        ("unused", c_uint32),
    )


class InFlightCall(ctypes.Structure):
    """A call in flight."""

    _fields_ = (("enter_ns", c_uint64), ("waiting_ns", c_uint64), ("key", c_uint32), ("row", c_uint32))


class TaskState(ctypes.Structure):
    """The entry that makes a task a target."""

    _fields_ = (
        ("call", InFlightCall),
        ("off_ns", c_uint64),
        ("marked_ns", c_uint64),
        ("flags", c_uint32),
        ("owner", c_uint32),
        ("process", c_uint32),
        ("counted", c_uint32),
        ("depth", c_uint32),
        ("unused", c_uint32),
        ("suspended", Suspended * 4),
    )


LAYOUTS: dict[str, type[ctypes.Structure]] = {
    "row": CounterRow,
    "owner": RowOwner,
    "sums": OwnerSums,
    "event": WireEvent,
    "control": Control,
    "limits": Limits,
    "call": InFlightCall,
    "suspended": Suspended,
    "task_state": TaskState,
}
ROW = struct.Struct(f"=7Q4IQ{SLOTS}Q")
"""A row without its histogram."""
BUCKETS = tuple(struct.Struct(f"={count}I") for count in range(histogram.SIZE + 1))
"""The first so many buckets of a histogram."""
ROW_BYTES = ctypes.sizeof(CounterRow)
OWNER = struct.Struct("=16I3Q2I16s32s16x")
OWNER_BYTES = OWNER.size
SUMS = struct.Struct("=6Q")


def payer_of(uid: int) -> int:
    """In whose share of rows and owners a user is, as ``bpf/maps.h`` has it."""
    return 1 + uid % (PAYERS - 1) if uid else 0


def verify(types: Types, layouts: Mapping[str, type[ctypes.Structure]] = LAYOUTS) -> list[str]:
    """Compare every structure with the object's BTF.

    Returns:
        One line for each difference; empty when all agree.
    """
    wrong = [
        f"struct {name}: {ctypes.sizeof(layout)} bytes here, {types.size(name)} in the object"
        for name, layout in layouts.items()
        if types.size(name) != ctypes.sizeof(layout)
    ]
    for name, layout in layouts.items():
        theirs = types.offsets(name)
        ours = {field[0]: getattr(layout, field[0]).offset for field in layout._fields_}
        wrong += [
            f"struct {name}.{field}: at {ours.get(field)} here, at {theirs.get(field)} in the object"
            for field in sorted(ours.keys() | theirs.keys())
            if ours.get(field) != theirs.get(field)
        ]
    return wrong

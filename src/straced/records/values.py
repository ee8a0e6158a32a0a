"""A call with its arguments as the kernel saw it, decoded; and what a file of records says of its origin."""

from __future__ import annotations

import enum

from msgspec import Struct

from straced.syscalls import native_abi, syscall_name


class RecordKind(enum.IntEnum):
    """What a record tells; ``bpf/recording.h`` has the same. Readers skip those that they do not know."""

    CALL = 1
    """A call that returned."""
    START = 2
    """A call that was still inside when the recording ended."""
    UNFINISHED = 3
    """A call that will never return: its thread ended in it, or a signal handler left it for good."""
    EXEC = 4
    """An execve has succeeded; its CALL follows, and readers move the blobs there."""
    EXIT = 5
    """A thread has ended; ``result`` is its status as wait(2) has it."""
    LOST = 6
    """``result`` calls or other records found no room on this CPU right before this place."""

    BEFORE = 7
    """A call that was begun before its thread was recorded, and is not among the counted: it has returned since, or has
    no result, and was still inside at the end."""


CALLS = frozenset({RecordKind.CALL, RecordKind.START, RecordKind.UNFINISHED})
"""The kinds of which each stands for one counted call."""
RETURNED = frozenset({RecordKind.CALL, RecordKind.BEFORE})
"""The kinds of calls that may have a result."""


class BlobKind(enum.IntEnum):
    """What was read at the address that an argument is."""

    PATH = 1
    """A string, without its final NUL."""
    ADDRESS_IN = 2
    """A socket address that was given to the call."""
    ADDRESS_OUT = 3
    """A socket address that the call has filled in."""
    BYTES_IN = 4
    """A structure of fixed size that was given to the call: a timespec."""
    BYTES_OUT = 5
    """One that the call has filled in: the two descriptors of a pipe. Not read of a call that failed."""
    WORDS = 6
    """The words of an argv, each ended by NUL."""
    FILE = 7
    """What a descriptor stands for, or what the working directory is (``bpf/details_names.h``)."""
    SOCKET = 8
    """The same of a socket."""
    GIVEN = 9
    """What the call was given where it has filled in something else: read when it began. The length of an address."""


GIVEN_PLACE = 8
"""Added to the index of the argument under which a blob of the kind GIVEN stands."""
MESSAGE_NAME, MESSAGE_CONTROL = 16, 17
"""Under which the address and the control messages of a ``struct msghdr`` stand, which is an argument itself."""


class Blob(Struct, frozen=True):
    """Memory of the target, as it was when the call returned."""

    kind: BlobKind
    data: bytes
    unread: bool = False
    """It could not be read, and ``data`` is empty: not in memory at that moment, or no address at all."""
    cut: bool = False
    """It was longer than what is kept."""


class Record(Struct, frozen=True, gc=False):
    """One record."""

    kind: RecordKind
    sequence: int
    """Counts the records of one CPU, from 0."""
    cpu: int
    """On which it was written; -1 for a START."""
    tid: int
    pid: int
    """The thread group, which users call the process."""
    abi: str
    """As in :data:`straced.syscalls.ABIS`; empty where the record is about no call."""
    number: int
    args: tuple[int, ...] = ()
    """As the registers had them, unsigned: as many as the call has. Empty where they were overwritten by then."""
    start_ns: int | None = None
    """By CLOCK_MONOTONIC. ``None`` where the enter was not seen: a call that seccomp denied."""
    duration_ns: int | None = None
    """From enter to exit; ``None`` of what did not return, or whose enter was not seen."""
    waiting_ns: int | None = None
    """The part of it in which the thread was off the CPU. Like the above, ``None`` where unknown."""
    result: int | None = None
    """What the call returned, -4095 to -1 being an errno; ``None`` of what did not return."""
    end_ns: int = 0
    """When the record was written, by CLOCK_MONOTONIC: records of all CPUs are put in order by it."""
    blobs: dict[int, Blob] = {}
    """What arguments point to, by the index of the argument."""

    @property
    def label(self) -> str:
        """The name under which the counters have it."""
        return label_of(self.number, self.abi)


class OpenDescriptor(Struct, frozen=True):
    """A descriptor that was open at the attach."""

    link: bytes
    """As /proc/PID/fd has it: ``/etc/passwd``, ``pipe:[4711]``, ``socket:[4712]``."""
    name: str = ""
    """Of a socket also what its table says: ``tcp 127.0.0.1:80 listen``."""


class RecordedProcess(Struct, frozen=True, kw_only=True):
    """A process at the attach."""

    pid: int
    parent: int
    comm: bytes
    exe: bytes
    """Empty where it could not be read; so are the following two."""
    argv: tuple[bytes, ...]
    cwd: bytes
    start_ticks: int
    threads: dict[int, bytes]
    """Name (comm) by tid."""
    descriptors: dict[int, OpenDescriptor]


class RecordingFacts(Struct, frozen=True, kw_only=True):
    """Whose records these are; a file begins with it."""

    straced: str
    host: str
    machine: str
    """x86_64 or aarch64."""
    boot_id: str
    epoch_ns: int
    """The time of day at the attach ..."""
    monotonic_ns: int
    """... and CLOCK_MONOTONIC at the same moment."""
    utc_offset_s: int
    pid: int
    """The target."""
    follow: bool
    failed_only: bool = False
    slower_ns: int = 0
    calls: tuple[str, ...] | None = None
    """The names that were asked for; ``None`` for all."""
    since_ns: int | None = None
    """Of a dump: all that ended from this moment on (CLOCK_MONOTONIC) is there, as far as it was recorded; of what
    ended before there is a part at most. ``None`` of a recording that was written down as it came."""
    max_bytes: int | None = None
    """Of the file."""
    max_seconds: float | None = None
    processes: tuple[RecordedProcess, ...] = ()


class CallFates(Struct, frozen=True):
    """What has become of the calls of one name. With its records (CALL, START and UNFINISHED) the others are
    ``counted``."""

    counted: int
    filtered: int = 0
    overwritten: int = 0
    lost: int = 0


class RecordingEnd(Struct, frozen=True, kw_only=True):
    """How it ended; the last part of a file that is whole."""

    ended_ns: int
    """By CLOCK_MONOTONIC."""
    reason: str
    exact: bool
    """The counters missed nothing, so that they tell whether a record is missing."""
    calls: dict[str, CallFates]
    """By :attr:`Record.label`: ``openat``, ``open/i386``."""
    other_lost: int = 0
    """Records of other kinds (EXEC, EXIT) that found no room."""
    meanwhile: int = 0
    """Calls that began while a dump was taken of a recorder that went on. The counters were read before and after;
    where they differ ``counted`` is what the dump accounts for, and lies between the two if it is ``exact``."""
    chosen: bool = False
    """A dump of some of the processes of a recorder, as far as who asked may see them: of them alone there are no sums,
    and ``calls`` is empty."""
    left_out: str = ""
    """Why nothing is there of some processes, or from some moment on: they were not the user's for whom it is."""


NUMBERS = 2048
"""Numbers from the last of these on are told apart in records, and share one label."""
X32_BIT = 0x40000000
"""Part of each number of the x32 ABI."""


def label_of(number: int, abi: str) -> str:
    """The name under which calls of a number are added up."""
    if (number ^ X32_BIT if abi == "x32" else number) >= NUMBERS - 1:
        return f"beyond/{abi}"
    name = syscall_name(number, abi)
    return name if abi == native_abi() else f"{name}/{abi}"

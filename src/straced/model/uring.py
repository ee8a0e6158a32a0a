"""What a process asks of the kernel through io_uring, which is no system call: sums by operation."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

_NAMES = """
nop readv writev fsync read_fixed write_fixed poll_add poll_remove sync_file_range sendmsg recvmsg timeout
timeout_remove accept async_cancel link_timeout connect fallocate openat close files_update statx read write fadvise
madvise send recv openat2 epoll_ctl splice provide_buffers remove_buffers tee shutdown renameat unlinkat mkdirat
symlinkat linkat msg_ring fsetxattr setxattr fgetxattr getxattr socket uring_cmd send_zc sendmsg_zc read_multishot
waitid futex_wait futex_wake futex_waitv fixed_fd_install ftruncate bind listen recv_zc epoll_wait readv_fixed
writev_fixed pipe
"""
"""By code (enum io_uring_op of linux/io_uring.h), up to Linux 6.18."""
OPERATIONS = tuple(_NAMES.split())
"""The same apart."""


class UringUse(Struct, frozen=True, kw_only=True):
    """The requests of one operation. A request is complete with its last completion."""

    name: str
    """``io_uring:read``; ``io_uring:200`` for a code without a name."""
    requests: int
    """Submitted, those that the kernel refused at once and those that wait for others included."""
    completed: int
    """Those whose last completion was seen."""
    errors: int
    """Those of them that failed, by the result of that completion."""
    errno: str | None = None
    """Of the last error; ``ECANCELED`` of a request that was cancelled, ``ETIME`` of a timeout that ran out."""
    silent: int = 0
    """Submitted with IOSQE_CQE_SKIP_SUCCESS and not seen to fail: when, and whether, they ended is not told."""
    unseen: int = 0
    """Those that have ended, or will, without anybody's notice: see :attr:`UringTable.problems`."""
    in_flight: int | None = None
    """Neither completed, silent nor unseen; ``None`` where completions were missed."""
    more: int = 0
    """Completions besides these: of multishot requests that go on, and notifications of zero-copy sends."""
    wall_ns: int = 0
    """Nanoseconds from submission to the last completion, added up over ``completed``."""
    max_ns: int | None = None
    """The longest of these times; ``None`` where nothing is complete."""
    p99_ns: int | None = None
    """What 99 of 100 of these times do not exceed, to the precision of the buckets."""


class UringTable(Struct, frozen=True, kw_only=True):
    """All requests of one session, those with the most time first. They are no system calls, and in no sum of these."""

    rows: tuple[UringUse, ...] | None = ()
    """Each operation once; ``None`` where they cannot be had, and ``problems`` says why."""
    problems: tuple[str, ...] = ()
    """Why the rows are not exact; empty where they are."""
    note: str = ""
    """What keeps programs from using io_uring here; empty where nothing does."""


def name_of(code: int) -> str:
    """The name of an operation."""
    return f"io_uring:{OPERATIONS[code] if code < len(OPERATIONS) else code}"


def table_of(rows: Sequence[UringUse], problems: Sequence[str], note: str = "") -> UringTable:
    """The table of a session."""
    ordered = sorted(rows, key=lambda row: (-row.wall_ns, -row.requests, row.name))
    return UringTable(rows=tuple(ordered), problems=tuple(problems), note=note)

"""What a call that succeeded changes, by its name."""

from __future__ import annotations

from straced.records.text.descriptor_effects import (
    Effect,
    closed,
    closed_range,
    commanded,
    distrusted,
    duplicated,
    opened,
    requested,
    ruled,
)
from straced.records.text.new_descriptors import anonymous, memory_file, pair, pipe_ends, socket_ends
from straced.records.text.socket_effects import SOCKET_EFFECTS
from straced.records.text.task_effects import (
    executed,
    flags_in_memory,
    forked,
    moved,
    moved_by_descriptor,
    unshared,
    uprooted,
)
from straced.records.values import RecordingFacts
from straced.syscalls import names

EFFECTS: dict[str, Effect] = {
    "open": opened(None, 0, 1),
    "creat": opened(None, 0, None),
    "openat": opened(0, 1, 2),
    "openat2": opened(0, 1, None),
    "dup": duplicated,
    "dup2": duplicated,
    "dup3": duplicated,
    "fcntl": commanded,
    "ioctl": requested,
    "close": closed,
    "close_range": closed_range,
    "pipe": pair(0, None, pipe_ends),
    "pipe2": pair(0, 1, pipe_ends),
    "socketpair": pair(3, 1, socket_ends),
    "epoll_create": anonymous("[eventpoll]", None),
    "epoll_create1": anonymous("[eventpoll]", 0),
    "eventfd": anonymous("[eventfd]", None),
    "eventfd2": anonymous("[eventfd]", 1),
    "timerfd_create": anonymous("[timerfd]", 1),
    "signalfd4": anonymous("[signalfd]", 3),
    "inotify_init": anonymous("inotify", None),
    "inotify_init1": anonymous("inotify", 0),
    "memfd_create": memory_file,
    "userfaultfd": anonymous("[userfaultfd]", 0),
    "landlock_create_ruleset": ruled,
    "chdir": moved,
    "fchdir": moved_by_descriptor,
    "unshare": unshared,
    "fork": forked(lambda record: 0),
    "vfork": forked(lambda record: 0),
    "clone": forked(lambda record: record.args[0]),
    "clone3": forked(flags_in_memory),
    "execve": executed,
    "execveat": executed,
    "chroot": uprooted,
    "pivot_root": uprooted,
    "setns": uprooted,
    "io_uring_enter": distrusted,
    **SOCKET_EFFECTS,
}
"""By call."""
EINTR, EIO, ENOSPC, EINPROGRESS, EDQUOT = -4, -5, -28, -115, -122
DESPITE = {"connect": frozenset({EINTR, EINPROGRESS}), "close": frozenset({EINTR, EIO, ENOSPC, EDQUOT})}
"""Errors with which a call has its effect all the same: it goes on without the program, or is done but for an error."""


def is_followed(facts: RecordingFacts) -> bool:
    """Whether a recording holds all calls that change what descriptors stand for."""
    if facts.failed_only or facts.slower_ns:
        return False
    native = names("arm64" if facts.machine == "aarch64" else "x86_64").values()
    return facts.calls is None or {name for name in EFFECTS if name in native} <= set(facts.calls)

"""What a call that succeeded changes, by its name."""

from __future__ import annotations

from straced.records.text.descriptor_effects import (
    Effect,
    closed,
    closed_range,
    commanded,
    duplicated,
    opened,
    requested,
)
from straced.records.text.new_descriptors import anonymous, memory_file, pair, pipe_end, socket_end
from straced.records.text.socket_effects import SOCKET_EFFECTS
from straced.records.text.task_effects import executed, flags_in_memory, forked, moved, moved_by_descriptor, unshared

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
    "pipe": pair(0, None, pipe_end),
    "pipe2": pair(0, 1, pipe_end),
    "socketpair": pair(3, 1, socket_end),
    "epoll_create": anonymous("[eventpoll]", None),
    "epoll_create1": anonymous("[eventpoll]", 0),
    "eventfd": anonymous("[eventfd]", None),
    "eventfd2": anonymous("[eventfd]", 1),
    "timerfd_create": anonymous("[timerfd]", 1),
    "signalfd4": anonymous("[signalfd]", 3),
    "inotify_init": anonymous("inotify", None),
    "inotify_init1": anonymous("inotify", 0),
    "memfd_create": memory_file,
    "chdir": moved,
    "fchdir": moved_by_descriptor,
    "unshare": unshared,
    "fork": forked(lambda record: 0),
    "vfork": forked(lambda record: 0),
    "clone": forked(lambda record: record.args[0]),
    "clone3": forked(flags_in_memory),
    "execve": executed,
    "execveat": executed,
    **SOCKET_EFFECTS,
}
"""By call."""

"""Which arguments of a call are descriptors, and which calls are made to wait, or take relative paths."""

from __future__ import annotations

import functools

from straced.records.plans import STRUCTURED, plan_of
from straced.records.text.calls import SIGNATURES
from straced.records.values import BlobKind
from straced.syscalls.waiting import WAITS_FOR_WORK

MADE_TO_WAIT = WAITS_FOR_WORK | {
    "futex", "futex_wait", "futex_waitv", "io_uring_enter", "mq_timedreceive", "msgrcv", "restart_syscall",
    "semop", "semtimedop",
}  # fmt: skip
"""Calls whose length says what a program waits for, and not that something is slow."""
CLOSING = frozenset({"close", "close_range"})
"""Calls whose descriptor is another file's, or none, when they return."""
MOVING = frozenset(
    {"read", "write", "pread64", "pwrite64", "readv", "writev", "preadv", "pwritev", "preadv2", "pwritev2", "sendto"}
    | {"recvfrom", "sendmsg", "recvmsg", "sendfile", "sendfile64", "splice", "tee", "vmsplice", "copy_file_range"}
)
"""Calls whose result is a number of bytes of a file or a peer."""
OPENING = frozenset({"open", "openat", "openat2", "creat"})
_SENDING = frozenset({"write", "writev", "sendto", "sendmsg", "sendmmsg", "send", "sendfile", "sendfile64"})
_RECEIVING = frozenset({"read", "readv", "recvfrom", "recvmsg", "recvmmsg", "recv"})
_SYNCING = frozenset({"fsync", "fdatasync"})
ENDING = frozenset({"exit", "exit_group"})
_ADDRESS_USES = {"connect": 1, "bind": 2, "sendto": 3, "recvfrom": 4, "poll": 7, "ppoll": 7, "getsockopt": 8}
_MESSAGE_USES = {"sendmsg": 5, "sendmmsg": 5, "recvmsg": 6, "recvmmsg": 6}
"""How calls of sockets tell their peer (``enum address_use`` of ``bpf/details_peers.h``)."""
_FIRST = (
    "openat openat2 fcntl fcntl64 ioctl getsockopt setsockopt getdents getdents64 recvmmsg execveat preadv2 pwritev2"
    " signalfd name_to_handle_at vmsplice fsmount open_tree mq_timedsend mq_timedreceive fchmodat2 mknodat futimesat"
    " cachestat finit_module pidfd_getfd pidfd_send_signal fstat64 fstatat64 ftruncate64 _llseek fstatfs64"
    " fadvise64_64 fspick"
)
_DESCRIPTORS = {**dict.fromkeys(_FIRST.split(), (0,)), "tee": (0, 1), "sendfile64": (0, 1), "move_mount": (0, 2)}
"""Of calls that have no signature, or one for each of their operations."""


def address_use(name: str, abi: str) -> int:
    """How a call tells the kernel's programs which peer it is about; 0: by its descriptor alone.

    Args:
        name: of the call.
        abi: whose; messages are read of those alone whose structures are known.
    """
    return _ADDRESS_USES.get(name, 0) or (_MESSAGE_USES.get(name, 0) if abi in STRUCTURED else 0)


def turn_of(name: str) -> int:
    """Whether a call sends something to a peer (1), takes something from it (2), syncs a file (3), or neither (0).

    Args:
        name: of the call.
    """
    return 1 if name in _SENDING else 2 if name in _RECEIVING else 3 * (name in _SYNCING)


@functools.cache
def descriptors_of(name: str) -> tuple[int, ...]:
    """The arguments of a call that are descriptors, directories that paths are relative to among them.

    Args:
        name: of the call.
    """
    words = SIGNATURES.get(name, "").split(", ")
    return _DESCRIPTORS.get(name) or tuple(place for place, word in enumerate(words) if word in ("fd", "dirfd"))


def is_from_here(name: str) -> bool:
    """Whether a path among its arguments may be relative to the working directory of the process.

    Args:
        name: of the call.
    """
    paths = [capture.argument for capture in plan_of(name).captures if capture.kind is BlobKind.PATH]
    return any(place - 1 not in descriptors_of(name) for place in paths)

"""The kinds of wait, and what each says about its task."""

from __future__ import annotations

KINDS = {
    "running": "runs, or is ready to",
    "pipe_read": "reads an empty pipe or FIFO",
    "pipe_write": "writes a full pipe or FIFO",
    "job_token": "a make that waits for a token of its job server",
    "fifo_open": "opens a FIFO whose other end nobody has opened",
    "socket_read": "waits for data from a socket",
    "socket_write": "waits for room in a socket's queue",
    "connect": "waits for a connection to be accepted or answered",
    "accept": "waits for somebody to connect",
    "lock": "waits for a flock, POSIX or OFD lock",
    "lease": "opens a file that somebody has a lease on",
    "mutex": "waits for a glibc mutex or rwlock whose owner is known",
    "join": "waits for a thread of its own to end",
    "futex": "waits on a futex: condition variable, semaphore, a lock of unknown layout",
    "child": "waits for a child process",
    "vfork": "is suspended until its vfork child executes or ends",
    "sleep": "sleeps for a time it chose",
    "poll": "watches descriptors: poll, select, epoll",
    "tty_read": "reads a terminal: waits for a person",
    "tty_write": "writes to a terminal that does not take it",
    "event_read": "reads an eventfd, timerfd, signalfd, inotify or the like",
    "signal": "waits for a signal",
    "ipc": "waits on a System V or POSIX queue or semaphore",
    "io_uring": "waits for io_uring completions",
    "file_io": "waits for a disk, a network file system or a device",
    "frozen_fs": "writes to a file system that is frozen (fsfreeze)",
    "memory": "waits for memory: a page fault, or the lock of its address space",
    "stopped": "stopped by a signal",
    "traced": "held by its tracer",
    "frozen": "frozen by its cgroup",
    "zombie": "ended, and not yet waited for",
    "dead": "ended",
    "kernel": "a kernel thread",
    "asking": "is the process that asks",
    "hidden": "blocked; what it does may not be read",
    "other": "is in another call",
}
"""Kind -> what it means, for documentation and JSON readers."""

IDLE = frozenset({"accept", "sleep", "tty_read", "event_read", "signal", "poll", "io_uring"})
"""Waits that are nobody's fault: work, a clock or a person is waited for."""

HALTED = frozenset({"stopped", "traced", "frozen"})
"""Not waiting at all: kept from running."""

ENDED = frozenset({"zombie", "dead"})

UNRESOLVED = frozenset(
    {"hidden", "other", "pipe_read", "pipe_write", "socket_read", "socket_write", "connect", "lock", "lease"}
    | {"mutex", "join", "futex", "child", "vfork", "job_token", "traced", "zombie"}
)
"""Waits that somebody must stand behind: a chain that ends in one has not come to its root cause."""

SUSPECT = frozenset(
    {"lock", "lease", "mutex", "pipe_write", "socket_write", "connect", "file_io", "fifo_open", "memory", "frozen_fs"}
)
"""Waits worth a word even in a thread that is not the main one: threads are not built to rest in them."""

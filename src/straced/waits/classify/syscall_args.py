"""Which system call asks for what: the argument that is a descriptor, the direction, the family."""

from __future__ import annotations

READS = frozenset({"read", "readv", "pread64", "preadv", "preadv2", "recvfrom", "recvmsg", "recvmmsg", "tee"})
WRITES = frozenset(["write", "writev", "pwrite64", "pwritev", "pwritev2", "sendto", "sendmsg", "sendmmsg", "vmsplice"])
MOVES = {"splice": (0, 2), "sendfile": (1, 0), "copy_file_range": (0, 2)}
"""Call -> which arguments are the descriptors read from and written to."""
OPENS = {"open": 0, "openat": 1, "openat2": 1, "creat": 0}
"""Call -> which argument is the path."""
SYNCS = frozenset(
    [
        "fsync",
        "fdatasync",
        "sync_file_range",
        "fallocate",
        "ftruncate",
        "ioctl",
        "close",
        "fstat",
        "getdents",
        "getdents64",
    ]
)
LOCKS = frozenset({"flock", "fcntl"})
CHILD = frozenset({"wait4", "waitid", "waitpid"})
SPAWNS = frozenset({"vfork", "clone", "clone3"})
SLEEPS = frozenset({"nanosleep", "clock_nanosleep"})
POLLS = frozenset(["poll", "ppoll", "select", "pselect6", "_newselect", "epoll_wait", "epoll_pwait", "epoll_pwait2"])
FUTEXES = frozenset({"futex", "futex_wait", "futex_waitv"})
SIGNALS = frozenset({"pause", "rt_sigsuspend", "sigsuspend", "rt_sigtimedwait"})
IPC = frozenset(["semop", "semtimedop", "msgrcv", "msgsnd", "mq_timedreceive", "mq_timedsend"])
RINGS = frozenset({"io_uring_enter", "io_getevents", "io_pgetevents"})

LOCK_COMMANDS = {7: "F_SETLKW", 38: "F_OFD_SETLKW"}
"""fcntl(2) commands that can wait."""

RESTARTED = {
    "futex_do_wait": "futex",
    "futex_wait_queue": "futex",
    "__futex_wait": "futex",
    "hrtimer_nanosleep": "nanosleep",
    "do_nanosleep": "nanosleep",
    "poll_schedule_timeout": "poll",
    "do_poll": "poll",
    "do_sys_poll": "poll",
}
"""What restart_syscall(2) went on with, by the kernel function it sleeps in; the arguments still are that call's."""


def label(name: str, args: tuple[int, ...]) -> str:
    """The call as a reader names it: ``fcntl(F_SETLKW)``, ``flock(LOCK_EX)``, ``read(3)``."""
    if name == "fcntl" and args[1] in LOCK_COMMANDS:
        return f"fcntl({LOCK_COMMANDS[args[1]]})"
    if name == "flock":
        return f"flock({'LOCK_SH' if args[1] & 1 else 'LOCK_EX'})"
    if name in READS or name in WRITES or name in SYNCS or name in ("accept", "accept4", "connect"):
        return f"{name}({args[0] & 0xFFFFFFFF})"
    return name

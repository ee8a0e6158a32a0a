"""What each call does with paths and descriptors, as far as a reader of traces cares."""

from __future__ import annotations

READ, WRITE, FD, OPEN, PATH, PATH_AT, DUP, CLOSE, PIPE, SOCKET, PEER, ACCEPT, NEWFD, SYNC, LOCK = range(15)
FORK, EXEC, FUTEX, EXIT, CLOSE_RANGE, TWO_PATHS, TWO_PATHS_AT, SEND_FILE = range(15, 23)
MESSAGES, CHDIR, IDENTITY, POLL = range(23, 27)

_NAMES = {
    READ: "read pread64 readv preadv preadv2 recvfrom recvmsg recv getdents64 getdents",
    WRITE: "write pwrite64 writev pwritev pwritev2 sendto sendmsg send",
    FD: "fstat lseek _llseek ftruncate fchmod fchown fallocate fadvise64 ioctl fstatfs "
    "getsockopt setsockopt shutdown listen getsockname getpeername fgetxattr fsetxattr flistxattr readahead",
    OPEN: "open openat openat2 creat",
    PATH: "stat lstat access readlink statfs mkdir rmdir unlink chmod chown lchown truncate utime utimes mknod "
    "getxattr lgetxattr setxattr lsetxattr listxattr llistxattr removexattr stat64 lstat64 chroot mount umount2 "
    "inotify_add_watch uselib swapon acct",
    PATH_AT: "newfstatat fstatat64 statx faccessat faccessat2 readlinkat mkdirat unlinkat fchmodat fchmodat2 fchownat "
    "utimensat mknodat futimesat name_to_handle_at",
    TWO_PATHS: "rename link symlink",
    TWO_PATHS_AT: "renameat renameat2 linkat symlinkat",
    DUP: "dup dup2 dup3 fcntl fcntl64",
    CLOSE: "close",
    CLOSE_RANGE: "close_range",
    PIPE: "pipe pipe2 socketpair",
    SOCKET: "socket",
    PEER: "connect bind",
    ACCEPT: "accept accept4",
    NEWFD: "epoll_create epoll_create1 eventfd eventfd2 timerfd_create signalfd signalfd4 memfd_create inotify_init "
    "inotify_init1 pidfd_open userfaultfd perf_event_open bpf io_uring_setup fanotify_init",
    SYNC: "fsync fdatasync sync_file_range syncfs msync sync",
    LOCK: "flock",
    FORK: "fork vfork clone clone3",
    EXEC: "execve execveat",
    FUTEX: "futex futex_wait futex_waitv",
    SEND_FILE: "sendfile sendfile64 splice tee copy_file_range",
    MESSAGES: "sendmmsg recvmmsg",
    CHDIR: "chdir fchdir",
    EXIT: "exit exit_group",
    IDENTITY: "getpid tgkill",
    POLL: "poll ppoll select _newselect pselect6 epoll_wait epoll_pwait epoll_pwait2",
}
ROLE_OF = {name: role for role, names in _NAMES.items() for name in names.split()}

_STATUS = frozenset({PATH, PATH_AT})


def heads(role_of: dict[str, int]) -> dict[bytes, tuple[int, str, bool]]:
    """The first bytes of a line's body -> role, name, and whether it is the second half of a call."""
    table: dict[bytes, tuple[int, str, bool]] = {}
    for name, role in role_of.items():
        table[name.encode() + b"("] = (role, name, False)
        table[b"<... " + name.encode()] = (role, name, True)
    return table

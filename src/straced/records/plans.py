"""How many arguments each system call has, and which of them point to something that a record keeps."""

from __future__ import annotations

import functools
import re

from msgspec import Struct
from msgspec.structs import replace

from straced.records.values import BlobKind

MOST_ARGUMENTS = 6
_WITHOUT_POINTERS = """
0: fork getegid geteuid getgid getpgrp getpid getppid gettid getuid inotify_init munlockall pause restart_syscall
   sched_yield setsid sigreturn sync uprobe uretprobe vfork vhangup
1: adjtimex alarm brk close dup epoll_create epoll_create1 eventfd exit exit_group fchdir fdatasync fsync
   get_thread_area getpgid getsid inotify_init1 io_destroy iopl memfd_secret mlockall nice personality pkey_free
   sched_get_priority_max sched_get_priority_min sched_getscheduler set_thread_area set_tid_address setfsgid setfsuid
   setgid setuid shmdt stime syncfs time timer_delete timer_getoverrun umask unshare userfaultfd
2: arch_prctl capget capset clock_adjtime dup2 eventfd2 fanotify_init fchmod flock ftruncate getgroups
   getpriority inotify_rm_watch io_setup io_uring_setup ioprio_get kill landlock_restrict_self listen map_shadow_stack
   mlock mq_notify msgget munlock munmap pidfd_open pkey_alloc process_mrelease
   set_robust_list setgroups setns setpgid setregid setreuid shutdown signal timerfd_create
   tkill ustat
3: bpf close_range dup3 fchown fcntl64 finit_module get_robust_list getdents getdents64 getrandom init_module
   io_cancel io_submit ioperm ioprio_set landlock_create_ruleset lookup_dcookie lseek lsm_list_modules madvise
   membarrier mincore mlock2 modify_ldt mprotect mq_getsetattr mseal msgctl msync open_by_handle_at pidfd_getfd poll
   read readahead readv rt_sigqueueinfo sched_setattr seccomp semget semop set_mempolicy setpriority
   setresgid setresuid shmat shmctl shmget sigaction sigprocmask socket sysfs syslog tgkill timer_create write
   writev
4: cachestat epoll_wait fadvise64 fallocate futex_requeue futex_wake io_uring_register landlock_add_rule listmount
   lsm_get_self_attr lsm_set_self_attr migrate_pages msgsnd pidfd_send_signal pkey_mprotect pread64 ptrace pwrite64
   quotactl_fd reboot rseq rt_tgsigqueueinfo sched_getattr semctl sendfile64 sendmmsg
   set_mempolicy_home_node statmount sync_file_range tee vmsplice
5: _llseek clone futex_waitv get_mempolicy kcmp kexec_file_load kexec_load keyctl
   mremap msgrcv perf_event_open prctl preadv process_madvise pwritev recvmmsg remap_file_pages select
   waitid
6: copy_file_range epoll_pwait epoll_pwait2 futex_wait io_uring_enter ipc mbind mmap mmap2 move_pages preadv2
   process_vm_readv process_vm_writev pwritev2 splice
"""
_WITH_POINTERS = """
accept 3 A1 g2:4; accept4 4 A1 g2:4; access 2 p0; acct 1 p0; add_key 5 p0 p1; bind 3 a1; chdir 1 p0; chmod 2 p0
chown 3 p0; chown32 3 p0; chroot 1 p0; clock_getres 2 o1:16; clock_gettime 2 o1:16
clock_nanosleep 4 g2:16 i2:16 i3:16; clone3 2 i0:88=1; connect 3 a1; creat 2 p0; delete_module 2 p0; epoll_ctl 4 i3:12
execve 3 p0; execveat 5 p1; faccessat 3 p1; faccessat2 4 p1; fanotify_mark 5 p4; fchmodat 3 p1; fchmodat2 4 p1
fchownat 5 p1; fcntl 3 i2:32=fcntl; fgetxattr 4 p1; file_getattr 5 p1; file_setattr 5 p1; flistxattr 3
fremovexattr 2 p1; fsconfig 5 p2; fsetxattr 5 p1; fsmount 3; fsopen 2 p0; fspick 3 p1; fstat 2 o1:56; fstatat64 4 p1
fstatfs 2 o1:88; futex 6 i3:16; futimesat 3 p1; getcwd 2 p0:1; getitimer 2 o1:32; getpeername 3 A1 g2:4
getresgid 3 o0:4 o1:4 o2:4; getresuid 3 o0:4 o1:4 o2:4; getrlimit 2 o1:16; getrusage 2 o1:32; getsockname 3 A1 g2:4
getsockopt 5 o3:16=get o4:4 g4:4; gettimeofday 2 o0:16; getxattr 4 p0 p1; getxattrat 6 p1 p3; inotify_add_watch 3 p1
ioctl 3 i2:16=ioctl; lchown 3 p0; lchown32 3 p0; lgetxattr 4 p0 p1; link 2 p0 p1; linkat 5 p1 p3; listxattr 3 p0
listxattrat 5 p1; llistxattr 3 p0; lremovexattr 2 p0 p1; lsetxattr 5 p0 p1; lstat 2 p0 o1:56; lstat64 2 p0
memfd_create 2 p0; mkdir 2 p0; mkdirat 3 p1; mknod 3 p0; mknodat 4 p1; mount 5 p0 p1 p2; mount_setattr 5 p1
move_mount 5 p1 p3; mq_open 4 p0; mq_unlink 1 p0; name_to_handle_at 5 p1; nanosleep 2 g0:16 i0:16 i1:16
newfstatat 4 p1 o2:56; oldlstat 2 p0; oldstat 2 p0; open 3 p0; open_tree 3 p1; open_tree_attr 5 p1; openat 4 p1
openat2 4 p1 i2:24; pipe 1 o0:8; pipe2 2 o0:8; pivot_root 2 p0 p1; ppoll 5 g2:16 i3:8; prlimit64 4 i2:16 o3:16
pselect6 6 g4:16; quotactl 4 p1; readlink 3 p0; readlinkat 4 p1; recvfrom 6 A4 g5:4; recvmsg 3 m1 g1:16
removexattr 2 p0 p1; removexattrat 4 p1 p3; rename 2 p0 p1; renameat 4 p1 p3; renameat2 5 p1 p3; request_key 4 p0 p1
rmdir 1 p0; rt_sigaction 4 i1:32 o2:32; rt_sigpending 2 o0:8; rt_sigprocmask 4 i1:8 o2:8; rt_sigreturn 0 b0
rt_sigsuspend 2 i0:8; rt_sigtimedwait 4 i0:8 i2:16; sched_getaffinity 3 o2:128=r; sched_getparam 2 o1:4
sched_setaffinity 3 i2:128=1; sendfile 4 g2:8 o2:8; sendmsg 3 m1; sendto 6 a4; setdomainname 2; sethostname 2
setitimer 3 i1:32 o2:32; setrlimit 2 i1:16; setsockopt 5 i3:16=set; setxattr 5 p0 p1; setxattrat 6 p1 p3
sigaltstack 2 i0:24 o1:24; signalfd4 4 i1:8; socketpair 4 o3:8; stat 2 p0 o1:56; stat64 2 p0; statfs 2 p0 o1:88
statfs64 3 p0; statx 5 p1 o4:48; swapoff 1 p0; swapon 2 p0; symlink 2 p0 p1; symlinkat 3 p0 p2; sysinfo 1 o0:112
timer_settime 4 i2:32 o3:32; timerfd_gettime 2 o1:32; timerfd_settime 4 i2:32 o3:32; times 1 o0:32; truncate 2 p0
truncate64 4 p0; umount 1 p0; umount2 2 p0; uname 1 o0:130; unlink 1 p0; unlinkat 3 p1; uselib 1 p0; utime 2 p0
sched_rr_get_interval 2 o1:16; sched_setscheduler 3 i2:4; sched_setparam 2 i1:4; clock_settime 2 i1:16
settimeofday 2 i0:16; timer_gettime 2 o1:32; getcpu 3 o0:4 o1:4; mq_timedsend 5 i4:16; mq_timedreceive 5 i4:16
semtimedop 4 i3:16; signalfd 3 i1:8; io_getevents 5 i4:16
utimensat 4 p1 i2:32; utimes 2 p0; wait4 4 o1:4 o3:32
"""
MESSAGE, BLOCKED = 10, 11
"""Kinds of captures that become blobs of other kinds: a ``struct msghdr`` with what it points to, and the signals that
the thread blocks."""
_KINDS = {
    "p": BlobKind.PATH,
    "a": BlobKind.ADDRESS_IN,
    "A": BlobKind.ADDRESS_OUT,
    "i": BlobKind.BYTES_IN,
    "o": BlobKind.BYTES_OUT,
    "g": BlobKind.GIVEN,
    "m": MESSAGE,
    "b": BLOCKED,
}
FIXED, BY_ARGUMENT, BY_RESULT, BY_INT, BY_REQUEST, BY_COMMAND, BY_OPTION, BY_ASKED_OPTION = 0, 1, 7, 8, *range(16, 20)
"""What says how long a structure is (``bpf/record_structures.h``): 1 and 8 go with the number of an argument."""
_SIZED = {"": FIXED, "r": BY_RESULT, "ioctl": BY_REQUEST, "fcntl": BY_COMMAND, "set": BY_OPTION, "get": BY_ASKED_OPTION}
STRUCTURED = ("x86_64", "arm64")
"""The ABIs whose structures are read, and printed."""


class Capture(Struct, frozen=True):
    """What is read of one argument."""

    argument: int
    kind: int
    """A :class:`BlobKind`, or one of the above."""
    bytes: int = 0
    """Of a structure, at most; of a path 1 where the call fills it in."""
    sized: int = FIXED


class CallPlan(Struct, frozen=True):
    """What a record of one call holds."""

    nargs: int
    captures: tuple[Capture, ...] = ()


UNKNOWN = CallPlan(MOST_ARGUMENTS)


def plan_of(name: str) -> CallPlan:
    """What is kept of a call, by its name in any ABI; all six registers of one that nothing is known of."""
    return _plans().get(name, UNKNOWN)


@functools.cache
def _plans() -> dict[str, CallPlan]:
    found = {}
    for count, names in re.findall(r"(\d): ([^:]*)(?=\n\d:|\n\Z)", _WITHOUT_POINTERS):
        for name in names.split():
            found[name] = CallPlan(int(count))
    for entry in re.split(r"[;\n]", _WITH_POINTERS.strip()):
        name, count, *captures = entry.split()
        found[name] = CallPlan(int(count), tuple(_capture(word) for word in captures))
    return found


def plan_in(name: str, abi: str) -> CallPlan:
    """What is kept of a call in one ABI: no structures of an ABI that has others."""
    plan = plan_of(name)
    if abi not in STRUCTURED:
        kept = (BlobKind.PATH, BlobKind.ADDRESS_IN, BlobKind.ADDRESS_OUT)
        return CallPlan(plan.nargs, tuple(each for each in plan.captures if each.kind in kept))
    if abi == "arm64" and name == "epoll_ctl":  # x86-64 alone packs its structure
        return CallPlan(plan.nargs, tuple(replace(each, bytes=16) for each in plan.captures))
    return plan


def _capture(word: str) -> Capture:
    """One of ``p0``, ``o2:56``, ``o2:128=r``, ``i3:128=4``, and ``o3:128=*4``: as the int says to which 4 points."""
    place, _, size = word[1:].partition(":")
    most, _, by = size.partition("=")
    digits = by.removeprefix("*")
    sized = _SIZED[by] if by in _SIZED else int(digits) + (BY_INT if by.startswith("*") else BY_ARGUMENT)
    return Capture(int(place), _KINDS[word[0]], int(most or 0), sized)

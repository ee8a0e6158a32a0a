"""How many arguments each system call has, and which of them point to something that a record keeps."""

from __future__ import annotations

import functools
import re

from msgspec import Struct

from straced.records.values import BlobKind

MOST_ARGUMENTS = 6
_WITHOUT_POINTERS = """
0: getpid getppid gettid getuid geteuid getgid getegid getpgrp setsid sched_yield pause sync munlockall vhangup fork vfork
   rt_sigreturn sigreturn restart_syscall inotify_init
1: close dup brk exit exit_group fsync fdatasync umask alarm uname epoll_create epoll_create1 eventfd inotify_init1 times
   getpgid getsid setuid setgid setfsuid setfsgid personality sysinfo shmdt mlockall fchdir set_tid_address syncfs unshare
   io_destroy timer_delete timer_getoverrun sched_get_priority_max sched_get_priority_min sched_getscheduler pkey_free iopl time
   adjtimex set_thread_area get_thread_area stime nice
2: fstat fstatfs munmap dup2 listen shutdown kill tkill getrusage getrlimit setrlimit gettimeofday settimeofday setpgid setreuid
   setregid getgroups setgroups rt_sigpending rt_sigsuspend sigaltstack ftruncate mlock munlock msgget capget capset
   clock_settime clock_getres clock_adjtime timer_gettime timerfd_create timerfd_gettime eventfd2 getpriority
   set_robust_list sched_setparam sched_getparam sched_rr_get_interval arch_prctl io_setup memfd_secret pkey_alloc setns flock
   pidfd_open clone3 inotify_rm_watch getitimer fanotify_init process_mrelease io_uring_setup map_shadow_stack signal
   landlock_restrict_self ustat mq_notify
3: read write poll lseek mprotect ioctl readv writev mincore msync madvise socket dup3 fcntl getdents getdents64 fchown fchmod
   setresuid setresgid getresuid getresgid sendmsg recvmsg setitimer semget semop shmget shmat shmctl msgctl syslog
   setpriority sched_setscheduler sched_setaffinity sched_getaffinity readahead tgkill io_submit ioprio_set timer_create
   rt_sigqueueinfo pidfd_getfd mlock2 membarrier finit_module seccomp getrandom bpf close_range
   sched_setattr get_robust_list fcntl64 getcpu ioprio_get sigaction sigprocmask open_by_handle_at landlock_create_ruleset
   init_module modify_ldt sysfs ioperm io_cancel lookup_dcookie set_mempolicy signalfd mq_getsetattr mseal lsm_list_modules
4: rt_sigaction rt_sigprocmask pread64 pwrite64 sendfile ptrace semctl epoll_wait fallocate
   tee signalfd4 vmsplice fadvise64 msgsnd timer_settime timerfd_settime rt_tgsigqueueinfo prlimit64 sendmmsg sync_file_range
   sched_getattr pkey_mprotect reboot rseq pidfd_send_signal rt_sigtimedwait futex_wake cachestat landlock_add_rule
   semtimedop migrate_pages io_uring_register quotactl_fd set_mempolicy_home_node statmount listmount
   sendfile64 futex_requeue
5: select mremap getsockopt setsockopt prctl clone msgrcv waitid io_getevents kexec_load perf_event_open preadv pwritev recvmmsg
   remap_file_pages mq_timedsend mq_timedreceive process_madvise kcmp keyctl get_mempolicy futex_waitv _llseek kexec_file_load
   file_getattr file_setattr open_tree_attr
6: mmap mmap2 futex epoll_pwait epoll_pwait2 pselect6 splice copy_file_range process_vm_readv process_vm_writev
   preadv2 pwritev2 io_uring_enter mbind move_pages futex_wait ipc
"""
_WITH_POINTERS = """
access 2 p0; acct 1 p0; add_key 5 p0 p1; chdir 1 p0; chmod 2 p0; chown 3 p0; chown32 3 p0; chroot 1 p0; creat 2 p0
delete_module 2 p0; execve 3 p0; execveat 5 p1; faccessat 3 p1; faccessat2 4 p1; fanotify_mark 5 p4; fchmodat 3 p1
fchmodat2 4 p1; fchownat 5 p1; fgetxattr 4 p1; flistxattr 3; fremovexattr 2 p1; fsconfig 5 p2; fsetxattr 5 p1; fsmount 3
fsopen 2 p0; fspick 3 p1; futimesat 3 p1; getxattr 4 p0 p1; inotify_add_watch 3 p1; lchown 3 p0; lchown32 3 p0
lgetxattr 4 p0 p1; link 2 p0 p1; linkat 5 p1 p3; listxattr 3 p0; llistxattr 3 p0; lremovexattr 2 p0 p1; lsetxattr 5 p0 p1
lstat 2 p0; lstat64 2 p0; oldlstat 2 p0; memfd_create 2 p0; mkdir 2 p0; mkdirat 3 p1; mknod 3 p0; mknodat 4 p1; mount 5 p0 p1 p2
mount_setattr 5 p1; move_mount 5 p1 p3; mq_open 4 p0; mq_unlink 1 p0; name_to_handle_at 5 p1; newfstatat 4 p1; fstatat64 4 p1
open 3 p0; open_tree 3 p1; openat 4 p1; openat2 4 p1 i2:24; pivot_root 2 p0 p1; quotactl 4 p1; readlink 3 p0; readlinkat 4 p1
removexattr 2 p0 p1; rename 2 p0 p1; renameat 4 p1 p3; renameat2 5 p1 p3; request_key 4 p0 p1; rmdir 1 p0; setdomainname 2
sethostname 2; setxattr 5 p0 p1; stat 2 p0; stat64 2 p0; oldstat 2 p0; statfs 2 p0; statfs64 3 p0; statx 5 p1; swapoff 1 p0
swapon 2 p0; symlink 2 p0 p1; symlinkat 3 p0 p2; truncate 2 p0; truncate64 4 p0; umount2 2 p0; umount 1 p0; unlink 1 p0
unlinkat 3 p1; uselib 1 p0; utime 2 p0; utimensat 4 p1 i2:32; utimes 2 p0
connect 3 a1; bind 3 a1; sendto 6 a4; accept 3 A1; accept4 4 A1; getsockname 3 A1; getpeername 3 A1; recvfrom 6 A4
pipe 1 o0:8; pipe2 2 o0:8; socketpair 4 o3:8; nanosleep 2 i0:16; clock_nanosleep 4 i2:16; ppoll 5 i2:16; getcwd 2 p0:1; epoll_ctl 4 i3:12; wait4 4 o1:4; clock_gettime 2 o1:16
"""
_KINDS = {
    "p": BlobKind.PATH,
    "a": BlobKind.ADDRESS_IN,
    "A": BlobKind.ADDRESS_OUT,
    "i": BlobKind.BYTES_IN,
    "o": BlobKind.BYTES_OUT,
}


class Capture(Struct, frozen=True):
    """What is read of one argument."""

    argument: int
    kind: BlobKind
    bytes: int = 0
    """Of a structure; of a path 1 where the call fills it in."""


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


def _capture(word: str) -> Capture:
    place, _, size = word[1:].partition(":")
    return Capture(int(place), _KINDS[word[0]], int(size or 0))

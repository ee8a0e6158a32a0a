"""The class of a call: what kind of thing it asks for. One class a call, the one a reader would look under."""

from __future__ import annotations

_WAIT = """
poll ppoll select pselect6 _newselect epoll_wait epoll_pwait epoll_pwait2 futex futex_wait futex_waitv wait4
waitid waitpid pause nanosleep clock_nanosleep rt_sigsuspend rt_sigtimedwait sigsuspend io_getevents
io_pgetevents io_uring_enter semop semtimedop msgrcv mq_timedreceive restart_syscall
clock_nanosleep_time64 futex_time64 ppoll_time64 pselect6_time64 rt_sigtimedwait_time64
"""
_NETWORK = """
socket socketpair socketcall bind listen accept accept4 connect getsockname getpeername getsockopt setsockopt
send sendto sendmsg sendmmsg recv recvfrom recvmsg recvmmsg recvmmsg_time64 shutdown
"""
_MEMORY = """
brk mmap mmap2 munmap mremap mprotect pkey_mprotect pkey_alloc pkey_free madvise process_madvise mlock mlock2
munlock mlockall munlockall mincore msync mbind migrate_pages move_pages get_mempolicy set_mempolicy
set_mempolicy_home_node remap_file_pages memfd_create memfd_secret userfaultfd shmget shmat shmdt shmctl mseal
map_shadow_stack process_mrelease
"""
_PROCESS = """
fork vfork clone clone3 execve execveat exit exit_group kill tkill tgkill pidfd_open pidfd_send_signal
pidfd_getfd getpid getppid gettid getpgid getpgrp setpgid getsid setsid getuid geteuid getgid getegid setuid
setgid setreuid setregid setresuid setresgid getresuid getresgid setgroups getgroups setfsuid setfsgid capget
capset prctl arch_prctl set_tid_address set_robust_list get_robust_list rseq sched_yield sched_setaffinity
sched_getaffinity sched_setparam sched_getparam sched_setscheduler sched_getscheduler sched_setattr
sched_getattr getpriority setpriority getrlimit setrlimit prlimit64 getrusage times ptrace unshare setns
process_vm_readv process_vm_writev kcmp seccomp personality rt_sigaction rt_sigprocmask rt_sigreturn
rt_sigpending rt_sigqueueinfo rt_tgsigqueueinfo sigaltstack signalfd signalfd4 sigaction sigprocmask sigreturn
alarm getitimer setitimer modify_ldt set_thread_area get_thread_area futex_wake futex_requeue membarrier
"""
_FILE = """
read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 open openat openat2 creat close
close_range stat fstat lstat newfstatat fstatat64 stat64 lstat64 fstat64 statx statfs fstatfs statfs64 fstatfs64
lseek _llseek access faccessat faccessat2 dup dup2 dup3 pipe pipe2 fcntl fcntl64 flock fsync fdatasync sync
syncfs sync_file_range truncate ftruncate truncate64 ftruncate64 getdents getdents64 getcwd chdir fchdir rename
renameat renameat2 mkdir mkdirat rmdir link linkat unlink unlinkat symlink symlinkat readlink readlinkat chmod
fchmod fchmodat fchmodat2 chown fchown lchown fchownat umask utime utimes utimensat futimesat mknod mknodat
mount umount umount2 move_mount open_tree fsopen fsconfig fsmount fspick mount_setattr chroot pivot_root
sendfile sendfile64 splice tee vmsplice copy_file_range fallocate fadvise64 fadvise64_64 readahead ioctl
inotify_init inotify_init1 inotify_add_watch inotify_rm_watch fanotify_init fanotify_mark epoll_create
epoll_create1 epoll_ctl eventfd eventfd2 timerfd_create timerfd_settime timerfd_gettime setxattr lsetxattr
fsetxattr getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr removexattr lremovexattr fremovexattr
name_to_handle_at open_by_handle_at io_setup io_destroy io_submit io_cancel io_uring_setup io_uring_register
quotactl quotactl_fd swapon swapoff acct cachestat statmount listmount
"""

_CATEGORIES = {
    name: category
    for category, text in (
        ("file", _FILE),
        ("process", _PROCESS),
        ("memory", _MEMORY),
        ("network", _NETWORK),
        ("wait", _WAIT),
    )
    for name in text.split()
}

CATEGORIES = ("file", "network", "memory", "process", "wait", "other")


def category(name: str) -> str:
    """``file``, ``network``, ``memory``, ``process``, ``wait`` or ``other``."""
    return _CATEGORIES.get(name, "other")

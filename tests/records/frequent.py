"""A hundred calls that make up nearly all lines of the traces of shells, servers, compilers and interpreters."""

FREQUENT = tuple(
    """
    read write openat close newfstatat fstat stat lstat statx lseek mmap mprotect munmap brk mremap madvise
    rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack kill tgkill ioctl fcntl pread64 pwrite64 readv writev
    open access   dup dup2  pipe pipe2 poll ppoll  pselect6
     epoll_ctl epoll_wait epoll_pwait
    futex set_robust_list set_tid_address rseq arch_prctl prctl clone clone3  execve exit exit_group wait4
    getpid getppid gettid getuid geteuid getgid getegid getrandom  prlimit64  sysinfo uname umask
    nanosleep clock_nanosleep clock_gettime sched_yield sched_getaffinity
    socket socketpair bind listen connect accept accept4 getsockname getpeername setsockopt getsockopt
    sendto recvfrom sendmsg recvmsg shutdown sendfile
    getdents64 getcwd chdir rename mkdir rmdir unlink unlinkat readlink  chmod  ftruncate fsync fdatasync
    statfs
    """.split()  # noqa: SIM905
)

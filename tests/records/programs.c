/* Programs that make the same system calls each time they run: one an argument. Failures are part of them. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define call(name, ...) syscall(SYS_##name, ##__VA_ARGS__)
#define N(address) ((long)(address))
#ifdef __x86_64__
#define old(before, now) before
#else /* which has only what came in its place */
#define old(before, now) now
#define MAP_32BIT 0
#endif

static char buffer[4096];
static in_addr_t host;
static const struct timespec moment = {0, 1000000};

static void files(void) {
    int fd = open("one", O_RDWR | O_CREAT | O_TRUNC, 0640);
    write(fd, "hello", 5);
    write(fd, "", 0);
    call(write, fd, 0, 0);
    call(write, fd, 8, 5);
    pwrite(fd, "there", 5, 100);
    lseek(fd, 0, SEEK_SET);
    lseek(fd, -1, SEEK_END);
    lseek(fd, 7, SEEK_CUR);
    lseek(fd, 0, 77);
    pread(fd, buffer, 100, 0);
    pread(fd, buffer, 100, 5000);
    read(fd, buffer, sizeof buffer);
    read(fd, buffer, 0);
    read(-1, buffer, 10);
    read(99, buffer, 10);
    write(-5, "x", 1);
    ftruncate(fd, 50);
    ftruncate(fd, -1);
    fsync(fd);
    fdatasync(fd);
    fsync(-1);
    fallocate(fd, 0, 0, 8192);
    fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, 4096);
    posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    posix_fadvise(fd, 0, 100, POSIX_FADV_DONTNEED);
    flock(fd, LOCK_EX | LOCK_NB);
    flock(fd, LOCK_UN);
    call(flock, fd, 0x40);
    fchmod(fd, 0600);
    fchmod(fd, 04755);
    fchown(fd, -1, -1);
    close(fd);
    close(fd);
    close(-1);
    truncate("one", 10);
    truncate("missing", 10);
    unlink("one");
    unlink("one");
}

static void opens(void) {
    int fds[] = {
        open("/etc/passwd", O_RDONLY), open("/etc/passwd", O_RDONLY | O_CLOEXEC | O_NOFOLLOW),
        open("/etc", O_RDONLY | O_DIRECTORY | O_NONBLOCK), open("/etc/", O_PATH),
        open("a", O_WRONLY | O_CREAT | O_EXCL | O_APPEND, 0), open("a", O_RDWR | O_CREAT | O_EXCL, 0666),
        open("a", O_RDWR | O_SYNC), open("a", O_RDWR | O_DSYNC | O_NOCTTY), open("a", O_RDWR | O_DIRECT),
        open("a", O_RDWR | O_LARGEFILE | O_NOATIME | O_ASYNC), open("missing", O_RDONLY), open("", O_RDONLY),
        open(".", O_RDWR | O_TMPFILE, 0600), open("a", 3), open("/dev/null", O_RDWR), open("/dev/zero", O_RDONLY),
        open("/dev/urandom", O_RDONLY), open("/proc/self/status", O_RDONLY),
    };
    old(call(open, "/etc/hostname", O_RDONLY), call(openat, AT_FDCWD, "/etc/hostname", O_RDONLY));
    old(call(open, 0, O_RDONLY), call(openat, AT_FDCWD, 0, O_RDONLY));
    call(openat, -1, "relative", O_RDONLY);
    call(openat, 77, "/etc/hostname", O_RDONLY);
    call(openat, fds[2], "hostname", O_RDONLY | O_NOFOLLOW);
    call(openat, fds[2], "../etc/./hostname", O_RDONLY);
    call(openat, AT_FDCWD, "\033[31m\"\\\001\377\0011<>\t\n", O_RDONLY);
    call(openat, AT_FDCWD, "/etc/hostname", 0x80000000 | O_RDONLY);
    old(call(creat, "b", 0644), call(openat, AT_FDCWD, "b", O_CREAT | O_WRONLY | O_TRUNC, 0644));
    unlink("a");
    unlink("b");
    (void)fds;
}

static void names(void) {
    struct stat st;
    struct statfs sf;
    struct statx sx;
    mkdir("d", 0755);
    mkdir("d", 0);
    call(mkdirat, AT_FDCWD, "d/e", 0700);
    chdir("d");
    getcwd(buffer, sizeof buffer);
    call(getcwd, buffer, 1);
    symlink("e", "link");
    symlinkat("target", AT_FDCWD, "link2");
    readlink("link", buffer, 100);
    readlink("e", buffer, 100);
    readlinkat(AT_FDCWD, "link2", buffer, 3);
    close(old(call(creat, "f", 0600), call(openat, AT_FDCWD, "f", O_CREAT | O_WRONLY | O_TRUNC, 0600)));
    link("f", "g");
    linkat(AT_FDCWD, "f", AT_FDCWD, "h", AT_SYMLINK_FOLLOW);
    linkat(AT_FDCWD, "f", AT_FDCWD, "h", 0);
    rename("g", "i");
    renameat(AT_FDCWD, "i", AT_FDCWD, "j");
    call(renameat2, AT_FDCWD, "j", AT_FDCWD, "h", 1);
    call(renameat2, AT_FDCWD, "j", AT_FDCWD, "h", 2);
    old(call(stat, "f", &st), call(newfstatat, AT_FDCWD, "f", &st, 0));
    old(call(stat, "missing", &st), call(newfstatat, AT_FDCWD, "missing", &st, 0));
    old(call(lstat, "link", &st), call(newfstatat, AT_FDCWD, "link", &st, AT_SYMLINK_NOFOLLOW));
    call(newfstatat, AT_FDCWD, "f", &st, AT_SYMLINK_NOFOLLOW);
    call(newfstatat, AT_FDCWD, "f", &st, 0);
    call(newfstatat, 0, "", &st, AT_EMPTY_PATH);
    call(newfstatat, AT_FDCWD, "f", 0, 0);
    const char *others[] = {"/dev/null", "/dev/zero", "/usr/bin/passwd", "/etc", "link", "missing/x"};
    for (int i = 0; i < 6; i++) {
        call(newfstatat, AT_FDCWD, others[i], &st, 0);
        call(newfstatat, AT_FDCWD, others[i], &st, AT_SYMLINK_NOFOLLOW);
        call(statx, AT_FDCWD, others[i], 0, STATX_ALL, &sx);
    }
    old(call(stat, "f", 8), call(newfstatat, AT_FDCWD, "f", 8, 0));
    old(call(stat, "/dev/null", &st), call(newfstatat, AT_FDCWD, "/dev/null", &st, 0));
    fchmod(0, 010666);
    close(call(memfd_create, "none", 0));
    call(fstat, 0, &st);
    call(fstat, 99, &st);
    call(statx, AT_FDCWD, "f", AT_STATX_SYNC_AS_STAT, STATX_BASIC_STATS, &sx);
    call(statx, AT_FDCWD, "missing", AT_STATX_DONT_SYNC | AT_SYMLINK_NOFOLLOW, STATX_MODE | STATX_SIZE, &sx);
    call(statx, AT_FDCWD, "f", AT_STATX_FORCE_SYNC | AT_NO_AUTOMOUNT, 0xfff, &sx);
    statfs("/proc", &sf);
    statfs("/missing", &sf);
    const char *mounted[] = {"/", "/dev", "/sys", "/dev/pts"};
    for (int i = 0; i < 4; i++)
        statfs(mounted[i], &sf);
    fstatfs(0, &sf);
    access("f", F_OK);
    access("f", R_OK | W_OK);
    access("missing", X_OK);
    call(faccessat, AT_FDCWD, "f", R_OK);
    call(faccessat2, AT_FDCWD, "f", R_OK | X_OK, AT_EACCESS);
    call(faccessat2, AT_FDCWD, "link", F_OK, AT_SYMLINK_NOFOLLOW);
    chmod("f", 0644);
    chmod("missing", 07777);
    call(fchmodat, AT_FDCWD, "f", 0600);
    chown("f", -1, -1);
    lchown("link", -1, -1);
    call(fchownat, AT_FDCWD, "f", -1, -1, AT_SYMLINK_NOFOLLOW);
    call(utimensat, AT_FDCWD, "f", 0, 0);
    call(utimensat, 0, 0, 0, 0);
    umask(022);
    umask(077);
    umask(0);
    unlinkat(AT_FDCWD, "e", AT_REMOVEDIR);
    unlinkat(AT_FDCWD, "e", AT_REMOVEDIR);
    unlinkat(AT_FDCWD, "f", 0);
    unlink("h"), unlink("j"), unlink("link"), unlink("link2");
    chdir("..");
    chdir("missing");
    rmdir("d");
    rmdir("d");
}

static void directories(void) {
    mkdir("list", 0700);
    close(open("list/x", O_CREAT | O_WRONLY, 0600));
    int fd = open("list", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    call(getdents64, fd, buffer, sizeof buffer);
    call(getdents64, fd, buffer, sizeof buffer);
    call(getdents64, 0, buffer, sizeof buffer);
    fchdir(fd);
    close(open("x", O_RDONLY));
    close(fd);
    fchdir(99);
    unlink("x");
    chdir("/");
    open("tmp", O_RDONLY | O_DIRECTORY);
}

static void descriptors(void) {
    int ends[2], other[2];
    int fd = open("/etc/hostname", O_RDONLY);
    int copy = dup(fd);
    dup2(fd, 20);
    dup2(fd, fd);
    dup2(-1, 5);
    dup3(fd, 21, O_CLOEXEC);
    dup3(fd, fd, 0);
    fcntl(fd, F_DUPFD, 30);
    fcntl(fd, F_DUPFD_CLOEXEC, 40);
    fcntl(fd, F_GETFD);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_GETFD);
    fcntl(fd, F_GETFL);
    fcntl(copy, F_SETFL, O_RDONLY | O_NONBLOCK);
    fcntl(copy, F_GETFL);
    fcntl(99, F_GETFL);
    call(fcntl, fd, 9999, 5);
    fcntl(fd, F_SETOWN, getpid());
    fcntl(fd, F_GETOWN);
    fcntl(fd, F_SETSIG, SIGIO);
    struct flock lock = {F_WRLCK, SEEK_SET, 1, 5, 0};
    struct f_owner_ex owner = {F_OWNER_PID, getpid()};
    int locked = open("lock", O_RDWR | O_CREAT, 0600);
    fcntl(locked, F_SETLK, &lock);
    lock.l_type = F_RDLCK;
    fcntl(locked, F_GETLK, &lock);
    fcntl(99, F_GETLK, &lock);
    lock.l_type = F_UNLCK;
    fcntl(locked, F_SETLKW, &lock);
    lock.l_type = 9, lock.l_whence = 7;
    fcntl(locked, F_SETLK, &lock);
    fcntl(locked, F_SETLK, 8);
    lock.l_type = F_WRLCK, lock.l_whence = SEEK_END, lock.l_pid = 0;
    fcntl(locked, F_OFD_SETLK, &lock);
    fcntl(locked, F_OFD_GETLK, &lock);
    fcntl(locked, F_SETOWN_EX, &owner);
    fcntl(locked, F_GETOWN_EX, &owner);
    old(call(pipe, ends), call(pipe2, ends, 0));
    call(pipe2, other, O_CLOEXEC | O_NONBLOCK);
    write(ends[1], "x", 1);
    read(ends[0], buffer, 10);
    read(other[0], buffer, 10);
    fcntl(ends[0], F_GETPIPE_SZ);
    fcntl(ends[0], F_SETPIPE_SZ, 8192);
    call(close_range, 20, 45, 0);
    read(20, buffer, 1);
    close(copy);
    call(pipe2, other, 0x12345);
    old(call(pipe, 0), call(pipe2, 0, 0));
}

static void vectors(void) {
    struct iovec parts[] = {{buffer, 10}, {buffer + 100, 20}};
    int fd = open("v", O_RDWR | O_CREAT | O_TRUNC, 0600);
    writev(fd, parts, 2);
    writev(fd, parts, 0);
    writev(-1, parts, 2);
    lseek(fd, 0, SEEK_SET);
    readv(fd, parts, 2);
    readv(fd, parts, 1);
    preadv(fd, parts, 2, 3);
    pwritev(fd, parts, 1, 9);
    int out = open("w", O_RDWR | O_CREAT | O_TRUNC, 0600);
    off_t at = 0;
    sendfile(out, fd, 0, 10);
    sendfile(out, fd, &at, 10);
    sendfile(out, fd, &at, 10);
    sendfile(out, fd, &at, 100);
    sendfile(out, fd, &at, 100);
    sendfile(out, 99, &at, 10);
    call(copy_file_range, fd, 0, out, 0, 5, 0);
    unlink("v");
    unlink("w");
}

static void memory(void) {
    long page = 4096;
    char *at = mmap(0, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(at, page, PROT_READ);
    mprotect(at, page, PROT_NONE);
    mprotect(at, page, PROT_READ | PROT_WRITE | PROT_EXEC);
    mprotect((char *)1, page, PROT_READ);
    madvise(at, page, MADV_DONTNEED);
    madvise(at, page, MADV_WILLNEED);
    madvise(at, page, 777);
    msync(at, page, MS_SYNC);
    msync(at, page, MS_ASYNC | MS_INVALIDATE);
    mincore(at, page, (unsigned char *)buffer);
    mlock(at, page);
    munlock(at, page);
    char *moved = mremap(at, 4 * page, 8 * page, MREMAP_MAYMOVE);
    mremap(moved, 8 * page, 2 * page, 0);
    munmap(moved, 2 * page);
    munmap((char *)1, page);
    mmap(0, 0, PROT_READ, MAP_SHARED, -1, 0);
    mmap(0, page, PROT_READ, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE | MAP_NORESERVE, -1, 0);
    mmap(0, page, PROT_READ, MAP_PRIVATE | MAP_STACK | MAP_GROWSDOWN | MAP_ANONYMOUS, -1, 0);
    mmap(0, page, PROT_READ, MAP_PRIVATE | MAP_LOCKED | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    mmap(0, page, PROT_READ, MAP_SHARED_VALIDATE, 99, 0);
    int fd = open("/etc/passwd", O_RDONLY);
    mmap(0, page, PROT_READ, MAP_PRIVATE, fd, 0);
    mmap(0, page, PROT_READ, MAP_PRIVATE, fd, page);
    mmap(0, page, PROT_WRITE, MAP_SHARED, fd, 0);
    call(brk, 0);
    call(brk, N(sbrk(0)) + 8192);
    call(memfd_create, "name", 1);
}

static void handler(int number) { (void)number; }

static void signals(void) {
    sigset_t set, old;
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    stack_t stack = {.ss_sp = buffer, .ss_size = 0, .ss_flags = SS_DISABLE};
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN + 3);
    sigprocmask(SIG_BLOCK, &set, &old);
    sigprocmask(SIG_UNBLOCK, &set, 0);
    sigprocmask(SIG_SETMASK, 0, &old);
    call(rt_sigprocmask, 77, &set, 0, 8);
    sigaction(SIGUSR1, &action, 0);
    sigaction(SIGUSR1, 0, &action);
    call(rt_sigaction, 0, 0, &action, 8);
    call(rt_sigaction, SIGKILL, &action, 0, 8);
    struct { long handler, flags, restorer, mask; } raw[] = {{-1, ~0x800, 5, -1}, {1, SA_SIGINFO | SA_NODEFER, 0, 6}, {0}};
    for (int i = 0; i < 3; i++)
        call(rt_sigaction, SIGWINCH, &raw[i], &action, 8);
    call(rt_sigaction, SIGWINCH, 8, 0, 8);
    kill(getpid(), 0);
    kill(getpid(), SIGUSR1);
    kill(-1000000, SIGTERM);
    call(tgkill, getpid(), getpid(), SIGUSR1);
    call(tgkill, getpid(), getpid(), 200);
    call(tkill, getpid(), SIGURG);
    sigaltstack(&stack, 0);
    sigaltstack(0, &stack);
    stack_t other = {.ss_sp = buffer, .ss_size = sizeof buffer}, was;
    sigaltstack(&other, &was);
    other.ss_flags = 77;
    sigaltstack(&other, &was);
    call(rt_sigpending, &set, 8);
    alarm(0);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    read(fd, buffer, 128);
}

static void *threaded(void *argument) {
    (void)argument;
    call(getppid);
    return 0;
}

static void threads(void) {
    pthread_t thread;
    for (int i = 0; i < 3; i++) {
        pthread_create(&thread, 0, threaded, 0);
        pthread_join(thread, 0);
    }
    close(open("/etc/passwd", O_RDONLY));
}

static void children(void) {
    int status;
    struct rusage used;
    int fd = open("/etc/passwd", O_RDONLY);
    int hidden = open("/etc/hostname", O_RDONLY | O_CLOEXEC);
    pid_t pid = fork();
    if (!pid) {
        read(fd, buffer, 1);
        close(fd);
        chdir("/");
        open("etc", O_RDONLY);
        _exit(3);
    }
    call(wait4, pid, &status, 0, &used);
    read(fd, buffer, 1);
    call(wait4, -1, &status, WNOHANG, 0);
    pid = fork();
    if (!pid) {
        kill(getpid(), SIGKILL);
        _exit(0);
    }
    call(wait4, pid, &status, WUNTRACED | WCONTINUED, 0);
    pid = fork();
    if (!pid) {
        char *argv[] = {"true", "x", 0}, *environment[] = {0};
        execve("/missing", argv, environment);
        execve("/proc/self/exe", argv, environment);
        _exit(4);
    }
    call(wait4, pid, 0, 0, 0);
    pid = vfork();
    if (!pid)
        _exit(5);
    siginfo_t info;
    call(waitid, P_PID, pid, &info, WEXITED, 0);
    call(waitid, P_ALL, 0, &info, WEXITED | WSTOPPED | WNOHANG, 0);
    (void)hidden;
}

static void identity(void) {
    int a, b, c;
    getpid(), getppid(), gettid(), getuid(), geteuid(), getgid(), getegid(), getpgrp();
    getsid(0), getpgid(0);
    call(getpgid, -1);
    getresuid((uid_t *)&a, (uid_t *)&b, (uid_t *)&c);
    getresgid((gid_t *)&a, (gid_t *)&b, (gid_t *)&c);
    call(setuid, getuid());
    call(setgid, getgid());
    call(setresuid, -1, -1, -1);
    call(setreuid, -1, -1);
    setpgid(0, 0);
    setsid();
    call(setpgid, 1, 1);
    call(set_tid_address, &a);
    call(set_robust_list, &a, 24);
    call(set_robust_list, &a, 23);
    call(rseq, 0, 32, 0, 0x53053053);
}

static void limits(void) {
    struct rlimit limit;
    struct rusage used;
    struct sysinfo info;
    struct utsname name;
    struct tms spent;
    cpu_set_t cpus;
    call(getrlimit, RLIMIT_NOFILE, &limit);
    call(setrlimit, RLIMIT_CORE, &limit);
    call(prlimit64, 0, RLIMIT_STACK, 0, &limit);
    call(prlimit64, 0, RLIMIT_NOFILE, &limit, 0);
    call(prlimit64, 0, 99, 0, &limit);
    struct rlimit some = {100, 3 << 20}, large = {2048, RLIM_INFINITY};
    call(prlimit64, 0, RLIMIT_MEMLOCK, &some, &limit);
    call(prlimit64, 0, RLIMIT_MEMLOCK, &large, 0);
    call(setrlimit, RLIMIT_CORE, &some);
    call(getrlimit, RLIMIT_CORE, &limit);
    getrusage(RUSAGE_SELF, &used);
    getrusage(RUSAGE_CHILDREN, &used);
    getrusage(55, &used);
    sysinfo(&info);
    uname(&name);
    call(uname, 0);
    times(&spent);
    sched_yield();
    call(sched_getaffinity, 0, sizeof cpus, &cpus);
    call(sched_getaffinity, 0, 8, &cpus);
    call(sched_setaffinity, 0, 8, &cpus);
    call(getpriority, PRIO_PROCESS, 0);
    call(setpriority, PRIO_PROCESS, 0, 0);
    call(sched_getscheduler, 0);
    prctl(PR_SET_NAME, "renamed");
    prctl(PR_GET_DUMPABLE);
    prctl(PR_SET_DUMPABLE, 1);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0);
    prctl(PR_CAPBSET_READ, 5);
    getrandom(buffer, 16, 0);
    getrandom(buffer, 16, GRND_NONBLOCK | GRND_RANDOM);
    getrandom(buffer, 0, 0);
    getrandom(buffer, 1, 0x40);
}

static void clocks(void) {
    struct timespec now, left;
    struct timeval tv;
    struct itimerval timer = {{0, 0}, {100, 0}}, old;
    struct itimerspec spec = {{0, 0}, {100, 0}}, was;
    nanosleep(&moment, 0);
    nanosleep(&moment, &left);
    call(nanosleep, 0, 0);
    struct timespec same = moment;
    nanosleep(&same, &same);
    clock_nanosleep(CLOCK_BOOTTIME, 0, &same, &same);
    clock_nanosleep(CLOCK_MONOTONIC, 0, &moment, &left);
    clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &moment, 0);
    call(clock_nanosleep, 55, 0, &moment, 0);
    call(clock_gettime, CLOCK_BOOTTIME, &now);
    call(clock_gettime, CLOCK_PROCESS_CPUTIME_ID, &now);
    call(clock_gettime, 99, &now);
    call(clock_getres, CLOCK_MONOTONIC, &now);
    call(gettimeofday, &tv, 0);
    setitimer(ITIMER_REAL, &timer, 0);
    setitimer(ITIMER_REAL, &timer, &old);
    getitimer(ITIMER_REAL, &old);
    getitimer(ITIMER_PROF, &old);
    call(getitimer, 7, &old);
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    timerfd_settime(fd, 0, &spec, 0);
    read(fd, buffer, 8); /* before the next: 100 s after the begin of a machine may be now */
    timerfd_settime(fd, TFD_TIMER_ABSTIME, &spec, &was);
    call(timerfd_gettime, fd, &was);
}

static void polling(void) {
    int ends[2];
    pipe2(ends, 0);
    struct pollfd one[] = {{ends[0], POLLIN, 0}, {ends[1], POLLOUT, 0}};
    old(call(poll, one, 1, 1), call(ppoll, one, 1, &moment, 0, 8));
    old(call(poll, one, 2, -1), call(ppoll, one, 2, 0, 0, 8));
    old(call(poll, one, 0, 0), call(ppoll, one, 0, &moment, 0, 8));
    old(call(poll, 0, 1, 0), call(ppoll, 0, 1, &moment, 0, 8));
    call(ppoll, one, 1, &moment, 0, 8);
    call(ppoll, one, 2, 0, 0, 8);
    struct timespec used = moment;
    call(ppoll, one, 1, &used, 0, 8);
    used = moment;
    call(pselect6, 0, 0, 0, 0, &used, 0);
    fd_set set;
    struct timeval tv = {0, 1000};
    FD_ZERO(&set);
    FD_SET(ends[0], &set);
    old(call(select, ends[0] + 1, &set, 0, 0, &tv), select(ends[0] + 1, &set, 0, 0, &tv));
    old(call(select, 0, 0, 0, 0, &tv), select(0, 0, 0, 0, &tv));
    call(pselect6, 0, 0, 0, 0, &moment, 0);
    int efd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {EPOLLIN | EPOLLET, {.u64 = 7}}, got[4];
    epoll_ctl(efd, EPOLL_CTL_ADD, ends[0], &event);
    epoll_ctl(efd, EPOLL_CTL_ADD, ends[0], &event);
    event.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT | EPOLLOUT;
    epoll_ctl(efd, EPOLL_CTL_MOD, ends[0], &event);
    epoll_ctl(efd, 9, ends[0], &event);
    old(call(epoll_wait, efd, got, 4, 0), call(epoll_pwait, efd, got, 4, 0, 0, 8));
    write(ends[1], "x", 1);
    old(call(epoll_wait, efd, got, 4, -1), call(epoll_pwait, efd, got, 4, -1, 0, 8));
    call(epoll_pwait, efd, got, 4, 100, 0, 8);
    old(call(epoll_wait, -1, got, 4, -1), call(epoll_pwait, -1, got, 4, -1, 0, 8));
    epoll_ctl(efd, EPOLL_CTL_DEL, ends[0], 0);
    epoll_create1(0);
    old(call(epoll_create, 10), call(epoll_create1, 1));
    int number = eventfd(3, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
    read(number, buffer, 8);
    eventfd(0, 0);
    int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    inotify_add_watch(watch, "/etc", IN_MODIFY | IN_CREATE | IN_DELETE | IN_ONLYDIR);
    inotify_add_watch(watch, "/missing", IN_ALL_EVENTS);
    inotify_rm_watch(watch, 1);
    read(watch, buffer, 100);
}

static void futexes(void) {
    static int word = 1;
    call(futex, &word, FUTEX_WAKE, 1, 0, 0, 0);
    call(futex, &word, FUTEX_WAKE_PRIVATE, 2147483647, 0, 0, 0);
    call(futex, &word, FUTEX_WAIT, 0, 0, 0, 0);
    call(futex, &word, FUTEX_WAIT_PRIVATE, 1, &moment, 0, 0);
    call(futex, &word, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 0, 0, 0, FUTEX_BITSET_MATCH_ANY);
    call(futex, &word, FUTEX_WAIT_BITSET, 1, &moment, 0, 5);
    call(futex, &word, FUTEX_WAKE_BITSET_PRIVATE, 1, 0, 0, 7);
    call(futex, &word, FUTEX_REQUEUE, 1, 2, &word, 0);
    call(futex, &word, FUTEX_CMP_REQUEUE_PRIVATE, 1, 2, buffer, 1);
    call(futex, &word, FUTEX_UNLOCK_PI_PRIVATE, 0, 0, 0, 0);
    call(futex, 0, FUTEX_WAKE, 1, 0, 0, 0);
}

static void internet(void) {
    struct sockaddr_in address = {AF_INET, 0, {host}, {0}}, peer;
    socklen_t length = sizeof address;
    int one = 1, error;
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct linger linger = {1, 5};
    struct timeval limit = {5, 0};
    setsockopt(server, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(server, IPPROTO_IP, IP_TOS, &one, sizeof one);
    setsockopt(server, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, 8, sizeof one);
    setsockopt(server, IPPROTO_TCP, TCP_FASTOPEN_KEY, "0123456789a-key!", 16);
    socklen_t sizes[] = {4, 8, 16, 4, 200, 64};
    int asked[][2] = {{SOL_SOCKET, SO_TYPE}, {SOL_SOCKET, SO_LINGER}, {SOL_SOCKET, SO_SNDTIMEO}, {IPPROTO_TCP, TCP_NODELAY},
                      {IPPROTO_TCP, TCP_INFO}, {IPPROTO_TCP, TCP_CONGESTION}};
    for (int i = 0; i < 6; i++)
        getsockopt(server, asked[i][0], asked[i][1], buffer, &sizes[i]);
    getsockopt(99, SOL_SOCKET, SO_TYPE, buffer, sizes);
    socklen_t short_of[] = {110, 2, 0};
    for (int i = 0; i < 3; i++)
        getsockname(server, (struct sockaddr *)buffer, &short_of[i]);
    getsockname(99, (struct sockaddr *)buffer, &length);
    call(accept4, server, 0, &length, SOCK_NONBLOCK);
    address.sin_port = htons(2471);
    bind(server, (struct sockaddr *)&address, sizeof address);
    listen(server, 5);
    getsockname(server, (struct sockaddr *)&address, &length);
    getpeername(server, (struct sockaddr *)&peer, &length);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_TCP);
    connect(client, (struct sockaddr *)&address, sizeof address);
    length = sizeof peer;
    int served = accept4(server, (struct sockaddr *)&peer, &length, SOCK_CLOEXEC);
    getsockopt(client, SOL_SOCKET, SO_ERROR, &error, &length);
    length = sizeof peer;
    getsockname(client, (struct sockaddr *)&peer, &length);
    sendto(client, "hello", 5, MSG_NOSIGNAL, 0, 0);
    recvfrom(served, buffer, 100, 0, 0, 0);
    recvfrom(served, buffer, 100, MSG_DONTWAIT | MSG_PEEK, 0, 0);
    shutdown(client, SHUT_WR);
    read(served, buffer, 10);
    shutdown(served, SHUT_RDWR);
    shutdown(99, SHUT_RD);
    close(served), close(client), close(server);
    connect(99, (struct sockaddr *)&address, sizeof address);
    int refused = socket(AF_INET, SOCK_STREAM, IPPROTO_IP);
    address.sin_port = htons(1);
    connect(refused, (struct sockaddr *)&address, sizeof address);
    socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
    socket(999, 1, 0);
}

static void datagrams(void) {
    struct sockaddr_in address = {AF_INET, htons(2472), {host}, {0}}, from;
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(9), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t length = sizeof from;
    struct iovec part = {buffer, 5};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    int a = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
    bind(a, (struct sockaddr *)&address, sizeof address);
    sendto(a, "abc", 3, 0, (struct sockaddr *)&address, sizeof address);
    recvfrom(a, buffer, 100, 0, (struct sockaddr *)&from, &length);
    recvfrom(a, buffer, 100, MSG_DONTWAIT, (struct sockaddr *)&from, &length);
    connect(socket(AF_INET, SOCK_DGRAM, 0), (struct sockaddr *)&address, sizeof address);
    message.msg_name = &address;
    message.msg_namelen = sizeof address;
    sendmsg(a, &message, MSG_NOSIGNAL);
    recvmsg(a, &message, 0);
    recvmsg(a, &message, MSG_DONTWAIT);
    message.msg_namelen = sizeof buffer;
    message.msg_name = buffer;
    sendmsg(99, &message, 0);
    sendto(a, "abc", 3, 0, (struct sockaddr *)&address, sizeof address);
    recvmsg(a, &message, MSG_TRUNC);
    struct msghdr empty = {0};
    sendmsg(99, &empty, MSG_MORE);
    empty.msg_iov = &part, empty.msg_name = buffer, empty.msg_namelen = 1;
    sendmsg(99, &empty, 0);
    int b = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    sendto(b, "abc", 3, MSG_MORE | MSG_CONFIRM, (struct sockaddr *)&six, sizeof six);
    close(a);
}

static void locals(void) {
    int pair[2];
    struct sockaddr_un address = {AF_UNIX, "sock"}, from;
    socklen_t length = sizeof from;
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
    write(pair[0], "x", 1);
    read(pair[1], buffer, 10);
    char room[64];
    struct iovec part = {"abc", 3};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = CMSG_SPACE(8)};
    struct cmsghdr *control = (struct cmsghdr *)room;
    *control = (struct cmsghdr){CMSG_LEN(8), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(control), (int[]){0, 1}, 8);
    sendmsg(pair[0], &message, MSG_NOSIGNAL);
    part.iov_base = buffer;
    message.msg_controllen = sizeof room, message.msg_name = &from, message.msg_namelen = sizeof from;
    recvmsg(pair[1], &message, MSG_CMSG_CLOEXEC);
    struct ucred who = {getpid(), 0, 0};
    *control = (struct cmsghdr){CMSG_LEN(sizeof who), SOL_SOCKET, SCM_CREDENTIALS};
    memcpy(CMSG_DATA(control), &who, sizeof who);
    message.msg_name = 0, message.msg_namelen = 0, message.msg_controllen = CMSG_SPACE(sizeof who);
    sendmsg(pair[0], &message, 0);
    length = sizeof who;
    getsockopt(pair[0], SOL_SOCKET, SO_PEERCRED, &who, &length);
    length = sizeof from;
    socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
    socketpair(AF_INET, SOCK_STREAM, 0, pair);
    int server = socket(AF_UNIX, SOCK_STREAM, 0);
    bind(server, (struct sockaddr *)&address, 7);
    listen(server, 128);
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    connect(client, (struct sockaddr *)&address, 7);
    int served = accept(server, (struct sockaddr *)&from, &length);
    accept(99, 0, 0);
    write(served, "y", 1);
    unlink("sock");
    strcpy(address.sun_path, "missing");
    connect(socket(AF_UNIX, SOCK_DGRAM, 0), (struct sockaddr *)&address, 10);
    struct sockaddr link = {AF_NETLINK, {0}};
    int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
    bind(netlink, &link, 12);
}

static void controls(void) {
    struct termios terminal;
    struct winsize size;
    int number = 1;
    int ends[2];
    pipe2(ends, 0);
    int master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
    ioctl(0, TCGETS, &terminal);
    ioctl(0, TIOCGWINSZ, &size);
    ioctl(master, TIOCGWINSZ, &size);
    ioctl(master, TIOCSWINSZ, &size);
    ioctl(master, TCGETS, &terminal);
    ioctl(master, TCSETS, &terminal);
    struct { unsigned flags[4]; char rest[32]; } raw = {{~0, ~0, ~0, ~0}};
    ioctl(99, TCSETSW, &raw);
    for (int i = 0; i < 32; i += 3) {
        raw.flags[0] = raw.flags[1] = raw.flags[2] = raw.flags[3] = 1u << i;
        ioctl(99, TCSETSF, &raw);
    }
    ioctl(master, TCGETA, &raw);
    ioctl(99, TCGETS, &raw);
    ioctl(master, TIOCGPTN, &number);
    ioctl(master, TIOCGPTN, 8);
    ioctl(master, TIOCSPTLCK, (int[]){0});
    ioctl(master, TIOCGPGRP, &number);
    ioctl(master, TIOCGSID, &number);
    ioctl(master, TIOCMGET, &number);
    ioctl(ends[0], FIONREAD, &number);
    ioctl(ends[0], FIONBIO, &number);
    ioctl(ends[0], FIOCLEX);
    ioctl(ends[0], FIONCLEX);
    ioctl(ends[0], 0xdead, 7);
    ioctl(99, TIOCGPGRP, &number);
}

static const struct { const char *name; void (*run)(void); } programs[] = {
    {"files", files}, {"opens", opens}, {"names", names}, {"directories", directories}, {"descriptors", descriptors},
    {"vectors", vectors}, {"memory", memory}, {"signals", signals}, {"threads", threads}, {"children", children},
    {"identity", identity}, {"limits", limits}, {"clocks", clocks}, {"polling", polling}, {"futexes", futexes},
    {"internet", internet}, {"datagrams", datagrams}, {"locals", locals}, {"controls", controls},
};

/* The second argument is an address of this machine that no other program uses. */
int main(int argc, char **argv) {
    sigset_t none; /* those who start it may have blocked some */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, 0);
    host = inet_addr(argc > 2 ? argv[2] : "127.0.0.1");
    for (size_t i = 0; argc > 1 && i < sizeof programs / sizeof *programs; i++)
        if (!strcmp(programs[i].name, argv[1]))
            programs[i].run();
    return 0;
}

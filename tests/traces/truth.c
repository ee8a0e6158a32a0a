/* truth MODE: system calls whose number is known exactly. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static char *self;
static void getppids(long n) { while (n--) syscall(SYS_getppid); }
static void *work(void *n) { getppids((long)n); return 0; }
static void nothing(int s) { (void)s; }

static void threads(int count, long n)
{
    pthread_t t[64];
    for (int i = 0; i < count; i++) pthread_create(&t[i], 0, work, (void *)n);
    for (int i = 0; i < count; i++) pthread_join(t[i], 0);
}

static void forks(int count, long n, int vforked)
{
    for (int i = 0; i < count; i++) {
        pid_t p = vforked ? vfork() : fork();
        if (!p) { getppids(n); _exit(0); }
        if (!vforked) continue;
        waitpid(p, 0, 0);
    }
    while (!vforked && wait(0) > 0) ;
}

static void *execs(void *n)
{
    execl(self, self, "n", (char *)n, (char *)0);
    return 0;
}

static void alarm_every(long us)
{
    struct itimerval v = { { 0, us }, { 0, us } };
    setitimer(ITIMER_REAL, &v, 0);
}

static void errors(void)
{
    char byte;
    for (int i = 0; i < 1000; i++) {
        syscall(SYS_close, -1);
        syscall(SYS_openat, AT_FDCWD, "/nope/nope", O_RDONLY);
        syscall(SYS_read, -1, &byte, 1);
        syscall(SYS_kill, 0x3ffffff, 0);
    }
}

static void interrupted(void)
{
    struct sigaction a = { .sa_handler = nothing };
    sigaction(SIGALRM, &a, 0);
    for (int i = 0; i < 50; i++) {
        struct timespec t = { 5, 0 };
        alarm_every(0);
        struct itimerval v = { { 0, 3000 }, { 0, 3000 } }; /* again: the first may come before the sleep */
        setitimer(ITIMER_REAL, &v, 0);
        syscall(SYS_nanosleep, &t, 0);
    }
}

static int hits, answer[2];

static void answered_in_the_end(int s)
{
    (void)s;
    if (++hits == 40 && write(answer[1], "x", 1) != 1) _exit(9);
}

static void restarted(void)
{
    struct sigaction a = { .sa_handler = answered_in_the_end, .sa_flags = SA_RESTART };
    char byte;
    if (pipe(answer)) _exit(9);
    sigaction(SIGALRM, &a, 0);
    alarm_every(4000);
    syscall(SYS_read, answer[0], &byte, 1);
    alarm_every(0);
}

static void denied(void)
{
    struct sock_filter f[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog g = { sizeof f / sizeof *f, f };
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &g);
    getppids(100);
}

static void transfers(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    char text[100] = { 0 };
    for (int i = 0; i < 500; i++) if (pwrite(fd, text, 100, 0) + pread(fd, text, 10, 0) != 110) _exit(9);
    fsync(fd);
    close(fd);
}

int main(int argc, char **argv)
{
    const char *mode = argv[1], *more = argc > 2 ? argv[2] : "0";
    self = argv[0];
    if (!strcmp(mode, "n")) getppids(atol(more));
    if (!strcmp(mode, "threads")) threads(8, 2000);
    if (!strcmp(mode, "forks")) forks(8, 1000, 0);
    if (!strcmp(mode, "vforks")) forks(300, 1, 1);
    if (!strcmp(mode, "shorts")) forks(300, 1, 0);
    if (!strcmp(mode, "execs")) for (int i = 0; i < 10; i++) if (!fork()) execs("100"); else wait(0);
    if (!strcmp(mode, "threxec")) { getppids(1000); pthread_t t; pthread_create(&t, 0, execs, "1000"); pause(); }
    if (!strcmp(mode, "errors")) errors();
    if (!strcmp(mode, "interrupted")) interrupted();
    if (!strcmp(mode, "restarted")) restarted();
    if (!strcmp(mode, "unknown")) for (int i = 0; i < 900; i++) syscall(1000 + i % 3);
    if (!strcmp(mode, "denied")) denied();
    if (!strcmp(mode, "transfers")) transfers(more);
    return 0;
}

/* Plain calls of one thread. */
#include "gt.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

static volatile sig_atomic_t alarms;

static void count_alarm(int signal)
{
    (void)signal;
    alarms++;
}

static void every(long microseconds, int flags)
{
    struct sigaction action = {.sa_handler = count_alarm, .sa_flags = flags};
    struct itimerval timer = {{0, microseconds}, {0, microseconds}};

    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
}

static void quiet(void)
{
    struct itimerval none = {0};

    setitimer(ITIMER_REAL, &none, NULL);
}

static int n(int argc, char **argv) /* N getppid */
{
    ready();
    getppids(number(argc, argv, 0, 1000));
    done();
    return 0;
}

static int errs(int argc, char **argv) /* N each of read EBADF, openat ENOENT, close EBADF, kill ESRCH */
{
    long count = number(argc, argv, 0, 1000);
    char byte;

    ready();
    for (long i = 0; i < count; i++) {
        syscall(SYS_read, -1, &byte, 1);
        syscall(SYS_openat, AT_FDCWD, "/nope/nope", O_RDONLY, 0);
        syscall(SYS_close, -1);
        syscall(SYS_kill, 0x3ffffff, 0);
    }
    done();
    return 0;
}

static int eintr(int argc, char **argv) /* N nanosleep, each cut short by a signal */
{
    long count = number(argc, argv, 0, 100);
    struct timespec second = {30, 0};

    ready();
    every(3000, 0);
    for (long i = 0; i < count; i++)
        syscall(SYS_nanosleep, &second, NULL);
    quiet();
    done();
    return 0;
}

static int sarestart(int argc, char **argv) /* 1 read, restarted by about N signals */
{
    long count = number(argc, argv, 0, 100);
    int ends[2];
    char byte;

    if (pipe(ends))
        die("pipe");
    ready();
    every(2000, SA_RESTART);
    pid_t child = fork();
    if (child == 0) {
        struct timespec pause = {0, 2000000};
        for (long i = 0; i < count; i++)
            nanosleep(&pause, NULL);
        _exit(write(ends[1], "x", 1) != 1);
    }
    syscall(SYS_read, ends[0], &byte, 1);
    quiet();
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    say("alarms %d\n", (int)alarms);
    done();
    return 0;
}

static int io(int argc, char **argv) /* N read, N write */
{
    long count = number(argc, argv, 0, 2000);
    int zero = open("/dev/zero", O_RDONLY), null = open("/dev/null", O_WRONLY);
    char block[64];

    ready();
    for (long i = 0; i < count; i++) {
        syscall(SYS_read, zero, block, sizeof block);
        syscall(SYS_write, null, block, sizeof block);
    }
    done();
    return 0;
}

static int unk(int argc, char **argv) /* N calls of numbers that no kernel has */
{
    long count = number(argc, argv, 0, 900);

    ready();
    for (long i = 0; i < count; i++)
        syscall(1000 + i % 3);
    done();
    return 0;
}

static int bigwrite(int argc, char **argv) /* one write of N bytes that strace prints as one long line */
{
    long size = number(argc, argv, 0, 70000);
    char *block = malloc(size);
    int null = open("/dev/null", O_WRONLY);

    memset(block, 'x', size);
    ready();
    syscall(SYS_write, null, block, size);
    done();
    return 0;
}

const struct mode calls_modes[] = {
    {"n", n}, {"errs", errs}, {"eintr", eintr}, {"sarestart", sarestart},
    {"io", io}, {"unk", unk}, {"bigwrite", bigwrite}, {0},
};

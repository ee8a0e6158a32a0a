/* Processes that make processes. */
#include "gt.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

static pid_t child_that_calls(long count)
{
    pid_t child = fork();

    if (child < 0)
        die("fork");
    if (child == 0) {
        getppids(count);
        _exit(0);
    }
    return child;
}

static int nforks(int argc, char **argv) /* T children after the go, each N getppid */
{
    long children = number(argc, argv, 0, 8), count = number(argc, argv, 1, 2000);

    ready();
    for (long i = 0; i < children; i++)
        child_that_calls(count);
    for (long i = 0; i < children; i++)
        wait(NULL);
    done();
    return 0;
}

static int nvfork(int argc, char **argv) /* N vfork children, each one getppid */
{
    long count = number(argc, argv, 0, 300);

    ready();
    for (long i = 0; i < count; i++) {
        pid_t child = vfork();
        if (child == 0) {
            syscall(SYS_getppid);
            _exit(0);
        }
        waitpid(child, NULL, 0);
    }
    done();
    return 0;
}

static int nshort(int argc, char **argv) /* N children one after the other, each one getppid */
{
    long count = number(argc, argv, 0, 300);

    ready();
    for (long i = 0; i < count; i++)
        waitpid(child_that_calls(1), NULL, 0);
    done();
    return 0;
}

static int family(int argc, char **argv) /* T children before "ready"; after the go each N getppid, so does the parent */
{
    long children = number(argc, argv, 0, 3), count = number(argc, argv, 1, 500);
    int gate[2];
    char byte;

    if (pipe(gate))
        die("pipe");
    for (long i = 0; i < children; i++) {
        pid_t child = fork();
        if (child == 0) {
            close(gate[1]);
            if (read(gate[0], &byte, 1) == 0)
                getppids(count);
            _exit(0);
        }
        say("child %d\n", (int)child);
    }
    ready();
    close(gate[1]);
    getppids(count);
    for (long i = 0; i < children; i++)
        wait(NULL);
    done();
    return 0;
}

static int vforkslow(int argc, char **argv) /* a parent in state D while its vfork child sleeps S seconds */
{
    struct timespec nap = {number(argc, argv, 0, 4), 0};

    ready();
    pid_t child = vfork();
    if (child == 0) {
        syscall(SYS_nanosleep, &nap, NULL);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    for (;;) {
        (*ticks)++;
        usleep(200);
    }
}

static int storm(int argc, char **argv) /* vfork children without an end */
{
    (void)argc, (void)argv;
    ready();
    for (;;) {
        pid_t child = vfork();
        if (child == 0)
            _exit(0);
        waitpid(child, NULL, 0);
        (*ticks)++;
    }
}

static int forkloop(int argc, char **argv) /* N forks, one at a time; the counter tells how far it came */
{
    long count = number(argc, argv, 0, 10000);

    ready();
    for (long i = 0; i < count; i++) {
        waitpid(child_that_calls(0), NULL, 0);
        (*ticks)++;
    }
    done();
    return 0;
}

static int zombie(int argc, char **argv) /* a child that ended and is not waited for */
{
    (void)argc, (void)argv;
    pid_t child = fork();
    siginfo_t info;

    if (child == 0)
        _exit(0);
    waitid(P_PID, child, &info, WEXITED | WNOWAIT);
    say("child %d\n", (int)child);
    ready();
    done();
    return 0;
}

const struct mode process_modes[] = {
    {"nforks", nforks}, {"nvfork", nvfork}, {"nshort", nshort}, {"family", family}, {"vforkslow", vforkslow},
    {"storm", storm}, {"forkloop", forkloop}, {"zombie", zombie}, {0},
};

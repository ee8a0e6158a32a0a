/* New images: in a chain, from a thread that is not the leader, of another program. */
#include "gt.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

extern char **environ;

static void again(const char *mode, long first, long second)
{
    char one[24], two[24];
    char *argv[] = {self, (char *)mode, one, two, NULL};

    snprintf(one, sizeof one, "%ld", first);
    snprintf(two, sizeof two, "%ld", second);
    syscall(SYS_execve, "/proc/self/exe", argv, environ);
    die("execve");
}

static int chain(int argc, char **argv) /* the rest of nexec: K more images */
{
    long left = number(argc, argv, 0, 0), count = number(argc, argv, 1, 100);

    getppids(count);
    if (left > 0)
        again("chain", left - 1, count);
    done();
    return 0;
}

static int nexec(int argc, char **argv) /* K execve; before each and after the last N getppid */
{
    ready();
    return chain(argc, argv);
}

static int after_threxec(int argc, char **argv)
{
    getppids(number(argc, argv, 0, 2000));
    done();
    return 0;
}

static void *exec_body(void *count)
{
    getppids((long)(intptr_t)count);
    again("after-threxec", (long)(intptr_t)count, 0);
    return NULL;
}

static int threxec(int argc, char **argv) /* a thread: N getppid, execve; the new image: N getppid */
{
    pthread_t thread;

    ready();
    if (pthread_create(&thread, NULL, exec_body, (void *)(intptr_t)number(argc, argv, 0, 2000)))
        die("pthread_create");
    pthread_join(thread, NULL);
    return 1;
}

static int execute(int argc, char **argv) /* after the go: execvp of the arguments */
{
    (void)argc;
    ready();
    execvp(argv[0], argv);
    die(argv[0]);
    return 1;
}

const struct mode exec_modes[] = {
    {"nexec", nexec}, {"chain", chain}, {"threxec", threxec}, {"after-threxec", after_threxec}, {"exec", execute}, {0},
};

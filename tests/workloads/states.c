/* Programs in a given state: running, idle, blocked, filtered, with a hostile name. */
#include "gt.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

static _Noreturn void tick_for_ever(void)
{
    for (;;) {
        (*ticks)++;
        usleep(200);
    }
}

static int tick(int argc, char **argv) /* the counter rises, some thousand times a second */
{
    (void)argc, (void)argv;
    ready();
    tick_for_ever();
}

static _Noreturn int spin(int argc, char **argv) /* getppid as fast as it goes; with N: N times between two "lap" lines */
{
    long lap = number(argc, argv, 0, 0);

    ready();
    for (long i = 1;; i++) {
        syscall(SYS_getppid);
        (*ticks)++;
        if (lap && i % lap == 0) {
            say("lap\n");
            hear();
        }
    }
}

static _Noreturn int compute(int argc, char **argv) /* the counter rises without a single call */
{
    (void)argc, (void)argv;
    ready();
    for (;;)
        (*ticks)++;
}

static _Noreturn int idle(int argc, char **argv) /* pause(2) until a signal */
{
    (void)argc, (void)argv;
    ready();
    for (;;)
        syscall(SYS_ppoll, NULL, 0, NULL, NULL, 0);
}

static int leave(int argc, char **argv) /* after the go: exit with N */
{
    ready();
    return number(argc, argv, 0, 7);
}

static int nodump(int argc, char **argv) /* not dumpable: only root may trace it */
{
    (void)argc, (void)argv;
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    ready();
    tick_for_ever();
}

static _Noreturn int esc(int argc, char **argv) /* a name and paths that attack a terminal and forge lines of a trace */
{
    prctl(PR_SET_NAME, argc ? argv[0] : "\033[31mX\n+++\a) R", 0, 0, 0);
    ready();
    for (;;) {
        open("/nope/\033]0;owned\a\n+++ exited with 0 +++\nread(0) = 0", O_RDONLY);
        (*ticks)++;
        usleep(500);
    }
}

static void filter(unsigned number, unsigned verdict)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, verdict),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};

    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        die("seccomp");
}

static int seccerrno(int argc, char **argv) /* N getppid that a seccomp filter answers with EPERM */
{
    filter(SYS_getppid, SECCOMP_RET_ERRNO | EPERM);
    ready();
    getppids(number(argc, argv, 0, 100));
    done();
    return 0;
}

static int secckill(int argc, char **argv) /* its own filter kills it, by SIGSYS, at the first getppid */
{
    (void)argc, (void)argv;
    filter(SYS_getppid, SECCOMP_RET_KILL_PROCESS);
    ready();
    getppids(1);
    return 0;
}

static int noptrace(int argc, char **argv) /* run a command for which ptrace(2) fails with EPERM, as in a container */
{
    (void)argc;
    filter(SYS_ptrace, SECCOMP_RET_ERRNO | EPERM);
    execvp(argv[0], argv);
    die(argv[0]);
    return 127;
}

static int status(int argc, char **argv) /* says which signals are blocked or ignored, which fds are open, the argv */
{
    char line[128], list[256] = "";
    FILE *file = fopen("/proc/self/status", "re");

    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, "SigBlk", 6) || !strncmp(line, "SigIgn", 6) || !strncmp(line, "TracerPid", 9))
            strncat(list, line, sizeof list - strlen(list) - 1);
    for (char *at = list; *at; at++)
        if (*at == '\n' || *at == '\t')
            *at = ' ';
    if (file)
        fclose(file);
    printf("%sfds", list);
    for (int fd = 0; fd < 256; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            printf(" %d", fd);
    printf(" args %d%s%s pgrp %d sid %d pid %d ppid %d\n", argc, argc ? " " : "", argc ? argv[0] : "",
           (int)getpgrp(), (int)getsid(0), (int)getpid(), (int)getppid());
    return 0;
}

const struct mode state_modes[] = {
    {"tick", tick}, {"spin", spin}, {"compute", compute}, {"pause", idle}, {"leave", leave}, {"nodump", nodump},
    {"esc", esc}, {"seccerrno", seccerrno}, {"secckill", secckill}, {"noptrace", noptrace},
    {"status", status}, {0},
};

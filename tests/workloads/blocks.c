/* "block CALL": sit in one blocking call, and say how it returned. */
#include "gt.h"
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>

static const struct timespec minute = {60, 0};
static int pair[2];

static long in_epoll_wait(void) { struct epoll_event event; return epoll_wait(epoll_create1(0), &event, 1, 60000); }
static long in_poll(void) { struct pollfd item = {pair[0], POLLIN, 0}; return poll(&item, 1, 60000); }
static long in_select(void) { fd_set set; FD_ZERO(&set); FD_SET(pair[0], &set); return select(pair[0] + 1, &set, 0, 0, &(struct timeval){60, 0}); }
static long in_futex(void) { static int word; return syscall(SYS_futex, &word, FUTEX_WAIT, 0, &minute, NULL, 0); }
static long in_read(void) { char byte; return read(pair[0], &byte, 1); }
static long in_recv(void) { char byte; return recv(pair[0], &byte, 1, 0); }
static long in_pause(void) { return pause(); }
static long in_nanosleep(void) { return nanosleep(&minute, NULL); }

static long in_recv_timeout(void)
{
    char byte;
    struct timeval limit = {60, 0};

    setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return recv(pair[0], &byte, 1, 0);
}

static long in_accept(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un nobody = {.sun_family = AF_UNIX};

    bind(fd, (struct sockaddr *)&nobody, sizeof(sa_family_t));
    listen(fd, 1);
    return accept(fd, NULL, NULL);
}

static long in_semop(void)
{
    int id = semget(IPC_PRIVATE, 1, 0600);
    struct sembuf down = {0, -1, 0};

    say("sem %d\n", id);
    return semop(id, &down, 1);
}

static long in_semtimedop(void)
{
    int id = semget(IPC_PRIVATE, 1, 0600);
    struct sembuf down = {0, -1, 0};

    say("sem %d\n", id);
    return semtimedop(id, &down, 1, &minute);
}

static long in_msgrcv(void)
{
    int id = msgget(IPC_PRIVATE, 0600);
    struct { long type; char text[8]; } message;

    say("msg %d\n", id);
    return msgrcv(id, &message, sizeof message.text, 0, 0);
}

static long in_sigwaitinfo(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return sigwaitinfo(&set, NULL);
}

static long in_sigtimedwait(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return sigtimedwait(&set, NULL, &minute);
}

static const struct { const char *name; long (*body)(void); } blocks[] = {
    {"epoll_wait", in_epoll_wait}, {"poll", in_poll}, {"select", in_select}, {"futex", in_futex}, {"read", in_read},
    {"recv", in_recv}, {"pause", in_pause}, {"nanosleep", in_nanosleep}, {"recv_timeout", in_recv_timeout},
    {"accept", in_accept}, {"semop", in_semop}, {"semtimedop", in_semtimedop}, {"msgrcv", in_msgrcv},
    {"sigwaitinfo", in_sigwaitinfo}, {"sigtimedwait", in_sigtimedwait},
};

static int block(int argc, char **argv) /* CALL; System V objects are named, so that the test can remove them */
{
    if (argc < 1 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
        return 2;
    ready();
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        if (!strcmp(blocks[i].name, argv[0])) {
            errno = 0;
            long result = blocks[i].body();
            say("returned %ld %s\n", result, errno == EINTR ? "EINTR" : errno ? strerror(errno) : "ok");
        }
    done();
    return 0;
}

const struct mode block_modes[] = {{"block", block}, {0}};

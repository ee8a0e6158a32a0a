#include "gt.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

static uint64_t no_ticks;
static int channel = -1;
volatile uint64_t *ticks = &no_ticks;
char *self;

void die(const char *what)
{
    dprintf(2, "gt: %s: %s\n", what, strerror(errno));
    _exit(99);
}

void say(const char *format, ...)
{
    char line[512];
    va_list arguments;

    va_start(arguments, format);
    int size = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (channel >= 0 && send(channel, line, size, MSG_NOSIGNAL) != size)
        _exit(98);
}

int hear(void)
{
    char byte;
    ssize_t size;

    if (channel < 0)
        return 0;
    while ((size = recv(channel, &byte, 1, 0)) < 0 && errno == EINTR)
        ;
    return size == 1 ? byte : -1;
}

void ready(void)
{
    say("ready %d\n", (int)getpid());
    if (hear() < 0)
        _exit(97);
}

void done(void)
{
    say("done\n");
    hear();
}

long number(int argc, char **argv, int index, long fallback)
{
    return index < argc ? atol(argv[index]) : fallback;
}

void getppids(long count)
{
    for (long i = 0; i < count; i++)
        syscall(SYS_getppid);
}

void start_thread(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    pthread_attr_t attributes;

    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 64 * 1024);
    while ((errno = pthread_create(&thread, &attributes, body, argument)) == EAGAIN)
        usleep(1000);
    if (errno)
        die("pthread_create");
}

static void map_ticks(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0)
        die(path);
    ticks = mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (ticks == MAP_FAILED)
        die("mmap");
    close(fd);
}

int main(int argc, char **argv)
{
    static const struct mode *const tables[] = {
        calls_modes, process_modes, thread_modes, exec_modes, state_modes, block_modes, abi_modes,
        ring_modes,
    };

    self = argv[0];
    if (getenv("GT_FD"))
        channel = atoi(getenv("GT_FD"));
    if (getenv("GT_TICKS"))
        map_ticks(getenv("GT_TICKS"));
    for (size_t t = 0; argc > 1 && t < sizeof tables / sizeof *tables; t++)
        for (const struct mode *mode = tables[t]; mode->name; mode++)
            if (!strcmp(mode->name, argv[1]))
                return mode->run(argc - 2, argv + 2);
    dprintf(2, "gt: no such mode\n");
    return 2;
}

/* Threads: many, short-lived, replacing each other, outliving their leader. */
#include "gt.h"
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

static pthread_barrier_t barrier;
static pthread_mutex_t start = PTHREAD_MUTEX_INITIALIZER;
static long calls, burst;

static void *call(void *unused)
{
    getppids(calls);
    return unused;
}

static void run_threads(long count, void *(*body)(void *))
{
    pthread_t *threads = calloc(count, sizeof *threads);

    for (long i = 0; i < count; i++)
        if (pthread_create(&threads[i], NULL, body, NULL))
            die("pthread_create");
    for (long i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    free(threads);
}

static int nthreads(int argc, char **argv) /* T threads after the go, each N getppid */
{
    calls = number(argc, argv, 1, 2000);
    ready();
    run_threads(number(argc, argv, 0, 8), call);
    done();
    return 0;
}

static void *paced_body(void *unused)
{
    struct timespec next;

    clock_gettime(CLOCK_MONOTONIC, &next);
    for (long left = calls; left > 0; left -= burst) {
        long now = left < burst ? left : burst;

        getppids(now);
        __atomic_fetch_add(ticks, now, __ATOMIC_RELAXED);
        next.tv_nsec += 1000000;
        if (next.tv_nsec >= 1000000000)
            next.tv_sec++, next.tv_nsec -= 1000000000;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
    return unused;
}

static int paced(int argc, char **argv) /* T threads after the go, each N getppid, B in each millisecond; what is late is made up for */
{
    calls = number(argc, argv, 1, 250000);
    burst = number(argc, argv, 2, 250);
    ready();
    run_threads(number(argc, argv, 0, 4), paced_body);
    done();
    return 0;
}

static int nthrshort(int argc, char **argv) /* N threads one after the other, each one getppid */
{
    calls = 1;
    ready();
    for (long i = number(argc, argv, 0, 300); i > 0; i--)
        run_threads(1, call);
    done();
    return 0;
}

static void *wait_and_call(void *unused)
{
    pthread_barrier_wait(&barrier);
    pthread_mutex_lock(&start);
    pthread_mutex_unlock(&start);
    getppids(calls);
    pthread_barrier_wait(&barrier);
    return unused;
}

static int pool(int argc, char **argv) /* T threads that exist before "ready"; after the go each N getppid, the leader none */
{
    long count = number(argc, argv, 0, 7);

    calls = number(argc, argv, 1, 500);
    pthread_barrier_init(&barrier, NULL, count + 1);
    pthread_mutex_lock(&start);
    for (long i = 0; i < count; i++)
        start_thread(wait_and_call, NULL);
    pthread_barrier_wait(&barrier);
    ready();
    pthread_mutex_unlock(&start);
    pthread_barrier_wait(&barrier);
    done();
    return 0;
}

static void *busy_body(void *unused)
{
    for (;;) {
        syscall(SYS_getppid);
        (*ticks)++;
        usleep(20000);
    }
    return unused;
}

static int busy(int argc, char **argv) /* T threads that call something 50 times a second each */
{
    for (long i = number(argc, argv, 0, 300); i > 0; i--)
        start_thread(busy_body, NULL);
    ready();
    busy_body(NULL);
    return 0;
}

static void *idle_body(void *unused)
{
    for (;;)
        pause();
    return unused;
}

static _Noreturn int threads(int argc, char **argv) /* T idle threads; the leader ticks */
{
    for (long i = number(argc, argv, 0, 100); i > 0; i--)
        start_thread(idle_body, NULL);
    ready();
    for (;;) {
        (*ticks)++;
        usleep(500);
    }
}

static int grow(int argc, char **argv) /* T idle threads, one after the other, after the go */
{
    ready();
    for (long i = number(argc, argv, 0, 100); i > 0; i--)
        start_thread(idle_body, NULL);
    done();
    return 0;
}

static void *relay_body(void *argument)
{
    (*ticks)++;
    usleep(300);
    start_thread(relay_body, argument);
    return NULL;
}

static int relay(int argc, char **argv) /* T lineages of threads: each starts the next and ends */
{
    for (long i = number(argc, argv, 0, 4); i > 0; i--)
        start_thread(relay_body, NULL);
    ready();
    done();
    return 0;
}

static void *tick_body(void *unused)
{
    for (;;) {
        (*ticks)++;
        syscall(SYS_getppid);
        usleep(500);
    }
    return unused;
}

static void *announce_body(void *unused)
{
    ready();
    return tick_body(unused);
}

static int ldead(int argc, char **argv) /* the leader has exited, a thread goes on */
{
    (void)argc, (void)argv;
    start_thread(announce_body, NULL);
    syscall(SYS_exit, 0);
    return 0;
}

const struct mode thread_modes[] = {
    {"nthreads", nthreads}, {"paced", paced}, {"nthrshort", nthrshort}, {"pool", pool}, {"busy", busy},
    {"threads", threads}, {"grow", grow}, {"relay", relay}, {"ldead", ldead}, {0},
};

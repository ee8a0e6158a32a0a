/* Roles of staged situations that need real glibc locks and a real vfork. Each writes one line when it is about to wait. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

static int ready_fd;
static pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER, second = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static sem_t semaphore;
static volatile pid_t other_tid;

static void ready(long value) { dprintf(ready_fd, "%ld\n", value); }
static void rest(void) { for (;;) sleep(600); }

static void *lock_second_then_first(void *unused)
{
    other_tid = gettid();
    pthread_mutex_lock(&second);
    pthread_barrier_wait(&barrier);
    pthread_mutex_lock(&first);
    return unused;
}

static void *hold_and_rest(void *what)
{
    other_tid = gettid();
    if (what == &first) pthread_mutex_lock(&first);
    if (what == &rwlock) pthread_rwlock_wrlock(&rwlock);
    pthread_barrier_wait(&barrier);
    rest();
    return NULL;
}

static int futex_word = 1;

static void *named_and_rest(void *name)
{
    if (name) pthread_setname_np(pthread_self(), name);
    pthread_barrier_wait(&barrier);
    for (;;) syscall(SYS_futex, &futex_word, 128, 1, NULL, NULL, 0);
    return NULL;
}

static pthread_t start(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    pthread_barrier_init(&barrier, NULL, 2);
    pthread_create(&thread, NULL, body, argument);
    pthread_barrier_wait(&barrier);
    return thread;
}

static pthread_mutex_t *shared_mutex(const char *path, int create, int robust)
{
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    pthread_mutex_t *mutex;
    if (create && ftruncate(fd, 4096)) exit(1);
    mutex = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (create) {
        pthread_mutexattr_t attributes;
        pthread_mutexattr_init(&attributes);
        pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
        if (robust == 1) pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
        if (robust == 2) pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
        pthread_mutex_init(mutex, &attributes);
    }
    return mutex;
}

static pthread_mutex_t ring[3] = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER};

static void *lock_in_a_ring(void *which)
{
    pthread_mutex_lock(&ring[(long)which]);
    pthread_barrier_wait(&barrier);
    pthread_mutex_lock(&ring[(long)which + 1]);
    return NULL;
}

static void *lock_and_end(void *unused)
{
    other_tid = gettid();
    pthread_mutex_lock(&first);
    return unused;
}

static void *read_pipe(void *fd)
{
    char byte;
    ready(gettid());
    if (read((int)(long)fd, &byte, 1) < 0) return fd;
    return NULL;
}

static void *count_up(void *counter)
{
    for (;;) ++*(volatile unsigned long *)counter;
    return NULL;
}

static pthread_cond_t signalled = PTHREAD_COND_INITIALIZER;

static void *sleeper(void *unused)
{
    rest();
    return unused;
}

static void *signaller(void *unused)
{
    sigset_t told;
    int number;
    sigemptyset(&told);
    sigaddset(&told, SIGUSR1);
    ready(syscall(SYS_gettid));
    while (sigwait(&told, &number) == 0) pthread_cond_signal(&signalled);
    return unused;
}

int main(int argc, char **argv)
{
    const char *role = argv[1];
    ready_fd = atoi(argv[2]);
    if (argc < 3) return 2;
    if (!strcmp(role, "deadlock")) {
        pthread_mutex_lock(&first);
        start(lock_second_then_first, NULL);
        ready(other_tid);
        pthread_mutex_lock(&second);
    } else if (!strcmp(role, "mutex")) {
        start(hold_and_rest, &first);
        ready(other_tid);
        pthread_mutex_lock(&first);
    } else if (!strcmp(role, "rwlock_read") || !strcmp(role, "rwlock_write")) {
        start(hold_and_rest, &rwlock);
        ready(other_tid);
        if (!strcmp(role, "rwlock_read")) pthread_rwlock_rdlock(&rwlock);
        else pthread_rwlock_wrlock(&rwlock);
    } else if (!strcmp(role, "join")) {
        pthread_t thread = start(hold_and_rest, NULL);
        ready(other_tid);
        pthread_join(thread, NULL);
    } else if (!strcmp(role, "condition")) {
        start(hold_and_rest, NULL);
        ready(other_tid);
        pthread_mutex_lock(&first);
        pthread_cond_wait(&condition, &first);
    } else if (!strcmp(role, "semaphore")) {
        start(hold_and_rest, NULL);
        sem_init(&semaphore, 0, 0);
        ready(other_tid);
        sem_wait(&semaphore);
    } else if (!strcmp(role, "threads")) {
        int count = atoi(argv[3]);
        pthread_t thread;
        pthread_attr_t small;
        pthread_attr_init(&small);
        pthread_attr_setstacksize(&small, 65536);
        for (int i = 1; i < count; i++) {
            pthread_barrier_init(&barrier, NULL, 2);
            pthread_create(&thread, &small, hold_and_rest, NULL);
            pthread_barrier_wait(&barrier);
        }
        ready(count);
        pthread_mutex_lock(&first);
        pthread_cond_wait(&condition, &first);
    } else if (!strcmp(role, "foreign_futex")) { /* a lock that is not glibc's, in memory that looks a little like it */
        static int word[6] = {2, 0, 0, 1, 77777, 0};
        start(hold_and_rest, NULL);
        start(hold_and_rest, NULL);
        word[2] = other_tid;
        ready(other_tid);
        syscall(SYS_futex, word, 128, 2, NULL, NULL, 0);
    } else if (!strcmp(role, "named_threads")) { /* a file that it maps, then the names of its threads */
        shared_mutex(argv[3], 1, 0);
        for (int i = 4; i < argc; i++) start(named_and_rest, argv[i]);
        pthread_barrier_init(&barrier, NULL, 1);
        ready(argc - 4);
        named_and_rest(NULL);
    } else if (!strcmp(role, "forked_mutex")) { /* a thread holds it at the fork: the child's copy is held for ever */
        start(hold_and_rest, &first);
        pid_t child = fork();
        if (child == 0) {
            pthread_mutex_lock(&first);
            return 0;
        }
        dprintf(ready_fd, "%d %d\n", child, other_tid);
        if (argc > 3 && !strcmp(argv[3], "leaves")) return 0;
        if (argc > 3 && !strcmp(argv[3], "waits")) waitpid(child, NULL, 0);
        rest();
    } else if (!strcmp(role, "dead_owner")) {
        pthread_t thread;
        pthread_create(&thread, NULL, lock_and_end, NULL);
        pthread_join(thread, NULL);
        ready(other_tid);
        pthread_mutex_lock(&first);
    } else if (!strcmp(role, "cycle_of_three")) {
        pthread_t threads[2];
        pthread_barrier_init(&barrier, NULL, 3);
        for (long i = 0; i < 2; i++) pthread_create(&threads[i], NULL, lock_in_a_ring, (void *)i);
        pthread_mutex_lock(&ring[2]);
        ready(0);
        pthread_barrier_wait(&barrier);
        pthread_mutex_lock(&ring[0]);
    } else if (!strcmp(role, "leader_ends")) { /* the main thread ends, another goes on and waits for a pipe */
        pthread_t thread;
        pthread_create(&thread, NULL, read_pipe, (void *)(long)atoi(argv[3]));
        pthread_detach(thread);
        pthread_exit(NULL);
    } else if (!strcmp(role, "vfork_second")) { /* there is an older child, which has nothing to do with the wait */
        pid_t older = fork();
        if (older == 0) rest();
        ready(older);
        if (vfork() == 0) for (;;) syscall(SYS_pause);
    } else if (!strcmp(role, "io_uring")) {
        char parameters[120] = {0};
        int ring_fd = syscall(SYS_io_uring_setup, 4, parameters);
        ready(ring_fd < 0 ? errno : 0);
        syscall(SYS_io_uring_enter, ring_fd, 0, 1, 1, NULL, 0);
    } else if (!strcmp(role, "sync")) { /* a program that syncs after each small write */
        char line[64] = "line";
        int fd = open(argv[3], O_RDWR | O_CREAT, 0600);
        ready(0);
        for (;;) if (pwrite(fd, line, 64, 0) != 64 || fsync(fd)) return 1;
    } else if (!strcmp(role, "tiny_writes")) {
        int fd = open("/dev/null", O_WRONLY);
        ready(0);
        for (;;) if (write(fd, "x", 1) != 1) return 1;
    } else if (!strcmp(role, "spin_recv")) {
        int ends[2];
        char byte;
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) return 1;
        ready(0);
        for (;;) if (recv(ends[0], &byte, 1, MSG_DONTWAIT) >= 0) return 1;
    } else if (!strcmp(role, "crowd")) { /* many processes, each of which reads a pipe that its neighbour writes */
        int count = atoi(argv[3]), ends[2], before = -1;
        for (int i = 0; i < count; i++) {
            char byte;
            if (pipe(ends)) return 1;
            if (fork() == 0) {
                close(ends[0]);
                if (before < 0 || i % 4 == 0) rest();
                if (read(before, &byte, 1) >= 0) return 0;
            }
            if (before >= 0) close(before);
            before = ends[0];
            close(ends[1]);
        }
        ready(count);
        rest();
    } else if (!strcmp(role, "shared_hold")) {
        pthread_mutex_lock(shared_mutex(argv[3], 1, atoi(argv[4])));
        ready(0);
        rest();
    } else if (!strcmp(role, "shared_wait")) {
        pthread_mutex_t *mutex = shared_mutex(argv[3], 0, 0);
        ready(0);
        pthread_mutex_lock(mutex);
    } else if (!strcmp(role, "woken")) { /* waits on a condition that one of its four threads signals for each SIGUSR1 */
        static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
        pthread_t thread;
        sigset_t told;
        sigemptyset(&told);
        sigaddset(&told, SIGUSR1);
        pthread_sigmask(SIG_BLOCK, &told, NULL);
        for (int i = 0; i < 3; i++) pthread_create(&thread, NULL, sleeper, NULL);
        pthread_create(&thread, NULL, signaller, NULL);
        pthread_mutex_lock(&lock);
        for (;;) pthread_cond_wait(&signalled, &lock);
    } else if (!strcmp(role, "vfork")) {
        ready(0);
        if (vfork() == 0) for (;;) syscall(SYS_pause);
    } else if (!strcmp(role, "spin_read")) {
        int ends[2];
        char byte;
        if (pipe2(ends, O_NONBLOCK)) return 1;
        ready(0);
        for (;;) if (read(ends[0], &byte, 1) >= 0) return 1;
    } else if (!strcmp(role, "busy")) {
        unsigned long count = 0;
        ready(0);
        count_up(&count);
    } else if (!strcmp(role, "counter")) { /* shows in a file how far it has come, and that nobody slowed it */
        unsigned long *count = (unsigned long *)shared_mutex(argv[3], 1, 0);
        memset(count, 0, 64);
        ready(0);
        count_up(count);
    } else {
        return 2;
    }
    return 0;
}

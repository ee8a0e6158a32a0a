/* Requests of io_uring, by its three system calls alone. */
#include "gt.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>

struct ring {
    int fd;
    unsigned flags;
    unsigned *sq_head, *sq_tail, *sq_mask, *sq_flags, *cq_head, *cq_tail, *cq_mask;
    struct io_uring_sqe *entries;
    struct io_uring_cqe *completions;
};

static void *map(int fd, size_t size, off_t offset)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, offset);

    if (memory == MAP_FAILED)
        die("mmap of a ring");
    return memory;
}

static struct ring make_ring(unsigned entries, unsigned flags)
{
    struct io_uring_params p = {.flags = flags, .sq_thread_idle = 1000};
    struct ring ring = {.fd = syscall(SYS_io_uring_setup, entries, &p), .flags = flags};

    if (ring.fd < 0)
        die("io_uring_setup");
    char *sq = map(ring.fd, p.sq_off.array + p.sq_entries * sizeof(unsigned), IORING_OFF_SQ_RING);
    char *cq = map(ring.fd, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe), IORING_OFF_CQ_RING);
    ring.sq_head = (unsigned *)(sq + p.sq_off.head);
    ring.sq_tail = (unsigned *)(sq + p.sq_off.tail);
    ring.sq_mask = (unsigned *)(sq + p.sq_off.ring_mask);
    ring.sq_flags = (unsigned *)(sq + p.sq_off.flags);
    ring.cq_head = (unsigned *)(cq + p.cq_off.head);
    ring.cq_tail = (unsigned *)(cq + p.cq_off.tail);
    ring.cq_mask = (unsigned *)(cq + p.cq_off.ring_mask);
    ring.completions = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
    ring.entries = map(ring.fd, p.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
    for (unsigned i = 0; i < p.sq_entries; i++)
        ((unsigned *)(sq + p.sq_off.array))[i] = i;
    return ring;
}

static struct io_uring_sqe *entry(struct ring *ring, unsigned operation, int fd, unsigned flags)
{
    unsigned tail = *ring->sq_tail;
    struct io_uring_sqe *sqe;

    while (tail - __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE) > *ring->sq_mask) /* the kernel's thread reads them */
        usleep(100);
    sqe = &ring->entries[tail & *ring->sq_mask];
    memset(sqe, 0, sizeof *sqe);
    sqe->opcode = operation;
    sqe->fd = fd;
    sqe->flags = flags;
    return sqe;
}

static void queue(struct ring *ring)
{
    __atomic_store_n(ring->sq_tail, *ring->sq_tail + 1, __ATOMIC_SEQ_CST);
}

/* Submit what is queued, and wait until there are so many completions. */
static void enter(struct ring *ring, unsigned queued, unsigned wanted)
{
    unsigned flags = wanted ? IORING_ENTER_GETEVENTS : 0;

    if (ring->flags & IORING_SETUP_SQPOLL && __atomic_load_n(ring->sq_flags, __ATOMIC_SEQ_CST) & IORING_SQ_NEED_WAKEUP)
        flags |= IORING_ENTER_SQ_WAKEUP;
    while (syscall(SYS_io_uring_enter, ring->fd, queued, wanted, flags, NULL, 0) < 0)
        if (errno != EINTR)
            die("io_uring_enter");
}

static int take(struct ring *ring)
{
    unsigned head = *ring->cq_head;
    int result;

    while (head == __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE))
        enter(ring, 0, 1);
    result = ring->completions[head & *ring->cq_mask].res;
    __atomic_store_n(ring->cq_head, head + 1, __ATOMIC_RELEASE);
    return result;
}

static void expect(struct ring *ring, int wanted)
{
    int result = take(ring);

    if (result != wanted) {
        errno = result < 0 ? -result : result;
        die("an unexpected completion");
    }
}

static int one(struct ring *ring, unsigned operation, int fd, const void *address, unsigned length, unsigned flags)
{
    struct io_uring_sqe *sqe = entry(ring, operation, fd, 0);

    sqe->addr = (uintptr_t)address;
    sqe->len = length;
    sqe->open_flags = flags;
    queue(ring);
    enter(ring, 1, 1);
    return take(ring);
}

static int ring(int argc, char **argv) /* N each of nop, openat, read, close, openat ENOENT; a poll without an end */
{
    long count = number(argc, argv, 0, 100);
    struct ring ring = make_ring(8, number(argc, argv, 1, 0) ? IORING_SETUP_SQPOLL : 0);
    char byte;
    int ends[2];

    if (pipe(ends))
        die("pipe");
    ready();
    for (long i = 0; i < count; i++) {
        int fd = one(&ring, IORING_OP_OPENAT, AT_FDCWD, "/etc/passwd", 0, O_RDONLY);

        if (fd < 0 || one(&ring, IORING_OP_READ, fd, &byte, 1, 0) != 1 || one(&ring, IORING_OP_CLOSE, fd, NULL, 0, 0) ||
            one(&ring, IORING_OP_OPENAT, AT_FDCWD, "/nope/nope", 0, O_RDONLY) != -ENOENT ||
            one(&ring, IORING_OP_NOP, -1, NULL, 0, 0))
            die("a request went wrong");
    }
    entry(&ring, IORING_OP_POLL_ADD, ends[0], 0)->poll32_events = POLLIN;
    queue(&ring);
    enter(&ring, 1, 0);
    while (__atomic_load_n(ring.sq_head, __ATOMIC_ACQUIRE) != *ring.sq_tail)
        usleep(1000);
    done();
    return 0;
}

static int rings(int argc, char **argv) /* requests that end in uncommon ways */
{
    struct ring ring = make_ring(8, 0), small = make_ring(1, 0);
    struct __kernel_timespec soon = {0, 1};
    struct io_uring_sqe *sqe;
    char byte;
    int ends[2];

    (void)argc, (void)argv;
    if (pipe(ends))
        die("pipe");
    ready();
    /* a read that fails takes two more with it */
    entry(&ring, IORING_OP_READ, -1, IOSQE_IO_LINK), queue(&ring);
    entry(&ring, IORING_OP_NOP, -1, IOSQE_IO_LINK), queue(&ring);
    entry(&ring, IORING_OP_NOP, -1, 0), queue(&ring);
    enter(&ring, 3, 3);
    expect(&ring, -EBADF), expect(&ring, -ECANCELED), expect(&ring, -ECANCELED);
    /* five completions of one poll, and a last one when it is cancelled */
    sqe = entry(&ring, IORING_OP_POLL_ADD, ends[0], 0);
    sqe->poll32_events = POLLIN, sqe->len = IORING_POLL_ADD_MULTI, sqe->user_data = 77;
    queue(&ring), enter(&ring, 1, 0);
    for (int i = 0; i < 5; i++) {
        if (write(ends[1], "x", 1) != 1)
            die("write");
        expect(&ring, POLLIN);
        if (read(ends[0], &byte, 1) != 1)
            die("read");
    }
    sqe = entry(&ring, IORING_OP_ASYNC_CANCEL, -1, 0);
    sqe->addr = 77, sqe->user_data = 78;
    queue(&ring), enter(&ring, 1, 2);
    if (take(&ring) + take(&ring) != -ECANCELED)
        die("a cancelled poll");
    /* silent ones, of which one fails; what is linked to it is cancelled in silence */
    for (int i = 0; i < 3; i++)
        entry(&ring, IORING_OP_NOP, -1, IOSQE_CQE_SKIP_SUCCESS), queue(&ring);
    enter(&ring, 3, 0);
    entry(&ring, IORING_OP_READ, -1, IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS), queue(&ring);
    entry(&ring, IORING_OP_MADVISE, -1, 0), queue(&ring);
    enter(&ring, 2, 1);
    expect(&ring, -EBADF);
    /* refused at once, and a timeout that runs out */
    if (one(&ring, 200, -1, NULL, 0, 0) != -EINVAL || one(&ring, IORING_OP_TIMEOUT, -1, &soon, 1, 0) != -ETIME)
        die("a request went wrong");
    say("small\n");
    hear();
    /* more completions than there is room for: all come, some of them late */
    for (int i = 0; i < 5; i++)
        entry(&small, IORING_OP_NOP, -1, 0), queue(&small), enter(&small, 1, 0);
    for (int i = 0; i < 5; i++)
        expect(&small, 0);
    done();
    return 0;
}

const struct mode ring_modes[] = {
    {"ring", ring},
    {"rings", rings},
    {0},
};

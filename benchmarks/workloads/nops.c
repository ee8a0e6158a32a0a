/* Requests of io_uring that do nothing, 16 at a time; says and prints what loops.c does, nanoseconds a request. */
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BURST 16

static double now_ns(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

static void *map(int fd, size_t size, off_t offset)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, offset);

	if (memory == MAP_FAILED)
		exit(2);
	return memory;
}

int main(int argc, char **argv)
{
	struct io_uring_params p = {0};
	long count = atol(argv[1]) / BURST * BURST;
	int fd = syscall(SYS_io_uring_setup, BURST, &p);
	double begin, begin_cpu;
	char byte = 'x';

	if (argc < 2 || fd < 0)
		return 3;
	char *sq = map(fd, p.sq_off.array + p.sq_entries * sizeof(unsigned), IORING_OFF_SQ_RING);
	char *cq = map(fd, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe), IORING_OFF_CQ_RING);
	struct io_uring_sqe *entries = map(fd, p.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
	unsigned *sq_tail = (unsigned *)(sq + p.sq_off.tail);
	unsigned *cq_head = (unsigned *)(cq + p.cq_off.head), *cq_tail = (unsigned *)(cq + p.cq_off.tail);

	memset(entries, 0, p.sq_entries * sizeof(struct io_uring_sqe)); /* IORING_OP_NOP is 0 */
	for (unsigned i = 0; i < p.sq_entries; i++)
		((unsigned *)(sq + p.sq_off.array))[i] = i;
	if (write(1, "r", 1) != 1 || read(0, &byte, 1) != 1)
		return 5;
	begin = now_ns(CLOCK_MONOTONIC);
	begin_cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID);
	for (long i = 0; i < count; i += BURST) {
		__atomic_store_n(sq_tail, *sq_tail + BURST, __ATOMIC_RELEASE);
		if (syscall(SYS_io_uring_enter, fd, BURST, BURST, IORING_ENTER_GETEVENTS, NULL, 0) != BURST)
			return 6;
		if (__atomic_load_n(cq_tail, __ATOMIC_ACQUIRE) - *cq_head != BURST)
			return 7;
		__atomic_store_n(cq_head, *cq_head + BURST, __ATOMIC_RELEASE);
	}
	printf("%.2f %.2f\n", (now_ns(CLOCK_MONOTONIC) - begin) / count,
	       (now_ns(CLOCK_PROCESS_CPUTIME_ID) - begin_cpu) / count);
	return 0;
}

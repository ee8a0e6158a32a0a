/* Loops that time themselves. They say "r", wait for a byte, and print nanoseconds a call: of wall time, of CPU time. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long count;
static int there[2], back[2];

static double now_ns(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

static void *answer(void *unused)
{
	char byte;

	for (long i = 0; i < count; i++)
		if (read(there[0], &byte, 1) != 1 || write(back[1], &byte, 1) != 1)
			exit(2);
	return NULL;
}

static void *reads(void *unused)
{
	int zero = open("/dev/zero", O_RDONLY);
	char block[64];

	for (long i = 0; i < count; i++)
		if (read(zero, block, sizeof(block)) != sizeof(block))
			exit(3);
	return NULL;
}

/* A burst each millisecond; what is late is made up for. */
static void *paces(void *burst)
{
	struct timespec next;

	clock_gettime(CLOCK_MONOTONIC, &next);
	for (long left = count; left > 0; left -= *(long *)burst) {
		for (long i = 0; i < *(long *)burst && i < left; i++)
			syscall(SYS_getppid);
		next.tv_nsec += 1000000;
		if (next.tv_nsec >= 1000000000)
			next.tv_sec++, next.tv_nsec -= 1000000000;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[4];
	long burst = argc > 3 ? atol(argv[3]) : 0;
	double begin, begin_cpu, calls;
	struct stat status;
	char byte = 'x';

	count = atol(argv[2]);
	if (pipe(there) || pipe(back))
		return 4;
	if (write(1, "r", 1) != 1 || read(0, &byte, 1) != 1)
		return 5;
	calls = count;
	begin = now_ns(CLOCK_MONOTONIC);
	begin_cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID);
	if (!strcmp(argv[1], "getppid")) {
		for (long i = 0; i < count; i++)
			syscall(SYS_getppid);
	} else if (!strcmp(argv[1], "openat")) {
		for (long i = 0; i < count; i++)
			syscall(SYS_openat, AT_FDCWD, "/usr/share/there/is/no/such/file", O_RDONLY);
	} else if (!strcmp(argv[1], "files")) {
		calls *= 4;
		for (long i = 0; i < count; i++) {
			int file = open("/etc/passwd", O_RDONLY);
			char block[64];

			if (read(file, block, sizeof(block)) != sizeof(block) || close(file))
				return 8;
			syscall(SYS_openat, AT_FDCWD, "/usr/share/there/is/no/such/file", O_RDONLY);
		}
	} else if (!strcmp(argv[1], "fstat")) {
		for (long i = 0; i < count; i++)
			syscall(SYS_fstat, 0, &status);
	} else if (!strcmp(argv[1], "stat")) {
		for (long i = 0; i < count; i++)
			syscall(SYS_newfstatat, AT_FDCWD, "/usr/share/doc", &status, 0);
	} else if (!strcmp(argv[1], "recv")) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, back))
			return 7;
		for (long i = 0; i < count; i++)
			recv(back[0], &byte, 1, 0);
	} else if (!strcmp(argv[1], "pingpong")) {
		calls *= 4;
		pthread_create(&threads[0], NULL, answer, NULL);
		for (long i = 0; i < count; i++)
			if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
				return 6;
		pthread_join(threads[0], NULL);
	} else {
		calls *= 4;
		for (int i = 0; i < 4; i++)
			pthread_create(&threads[i], NULL, burst ? paces : reads, &burst);
		for (int i = 0; i < 4; i++)
			pthread_join(threads[i], NULL);
	}
	printf("%.2f %.2f\n", (now_ns(CLOCK_MONOTONIC) - begin) / calls,
	       (now_ns(CLOCK_PROCESS_CPUTIME_ID) - begin_cpu) / calls);
	return 0;
}

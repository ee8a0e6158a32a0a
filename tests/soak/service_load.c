/* The load of the service's soak: LONG processes that make 7 calls a second each, SHORT processes a second that make
 * 11 calls and end. What each did stands in a shared file, written after it was done:
 *   [0] short processes that have ended   [1] set to 1: stop   [2] parked: so many long ones stopped as asked
 *   [8 + i] calls of long process i */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile unsigned long *count;

static void calls(int number)
{
	while (number--)
		syscall(SYS_getppid);
}

static void nap(long ns)
{
	struct timespec time = { ns / 1000000000, ns % 1000000000 };
	nanosleep(&time, 0);
}

static void live_long(int index)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	nap(index * 3000000L % 1000000000L);
	while (!count[1]) {
		calls(7);
		count[8 + index] += 7;
		nap(1000000000);
	}
	__sync_fetch_and_add(&count[2], 1);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	int file = open(argv[1], O_RDWR), longs = atoi(argv[2]), shorts = atoi(argv[3]);
	struct timespec due;

	if (argc != 4 || file < 0)
		return 2;
	count = mmap(0, 4096 * 2, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < longs; i++)
		if (!fork())
			live_long(i);
	puts("ready");
	fflush(stdout);
	clock_gettime(CLOCK_MONOTONIC, &due);
	while (!count[1]) {
		pid_t child = fork();
		if (!child) {
			calls(11);
			_exit(0);
		}
		waitpid(child, 0, 0);
		count[0]++;
		due.tv_nsec += 1000000000L / shorts;
		if (due.tv_nsec >= 1000000000L)
			due.tv_nsec -= 1000000000L, due.tv_sec++;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, 0);
	}
	__sync_fetch_and_add(&count[2], 1);
	for (;;)
		pause();
}

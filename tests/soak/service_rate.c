/* A program that makes some 50,000 calls a second: work of a fixed size, then a call, again and again. What it did
 * stands in a shared file. Usage: service_rate FILE SPINS; with SPINS 0 it finds out and prints how many are 20 us. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile unsigned long sink;

static void work(unsigned long spins)
{
	while (spins--)
		sink += spins;
}

static unsigned long calibrate(void)
{
	struct timespec a, b;
	unsigned long best = ~0UL;

	for (int i = 0; i < 20; i++) {
		clock_gettime(CLOCK_MONOTONIC, &a);
		work(1000000);
		clock_gettime(CLOCK_MONOTONIC, &b);
		unsigned long ns = (b.tv_sec - a.tv_sec) * 1000000000UL + b.tv_nsec - a.tv_nsec;
		if (ns < best)
			best = ns;
	}
	return 20000UL * 1000000 / best;
}

int main(int argc, char **argv)
{
	int file = argc == 3 ? open(argv[1], O_RDWR) : -1;
	unsigned long spins = argc == 3 ? strtoul(argv[2], 0, 10) : 0;
	volatile unsigned long *count;

	if (!spins) {
		printf("%lu\n", calibrate());
		return 0;
	}
	count = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	puts("ready");
	fflush(stdout);
	for (;;) {
		work(spins);
		syscall(SYS_getppid);
		(*count)++;
	}
}

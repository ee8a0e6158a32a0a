// Two real-time threads, one a CPU, that wake every 0.2 ms: whoever runs is preempted as often as that.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static void *wake(void *cpu)
{
	struct sched_param parameters = { .sched_priority = 50 };
	struct timespec pause = { 0, 200000 };
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((long)cpu, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
	if (sched_setscheduler(0, SCHED_FIFO, &parameters))
		perror("SCHED_FIFO");
	for (;;)
		nanosleep(&pause, 0);
}

int main(void)
{
	pthread_t threads[2];

	for (long cpu = 0; cpu < 2; cpu++)
		pthread_create(&threads[cpu], 0, wake, (void *)cpu);
	alarm(1200);
	pause();
}

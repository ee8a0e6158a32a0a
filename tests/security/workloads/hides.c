/*
 * Hides for a moment: one of its threads is in a call meanwhile, and one makes its first call afterwards. With an argument
 * it is the thread in the call that hides, in a handler, after which the call is made again.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int ends[2];
static atomic_int reader, ready, hidden;

static int hide(void)
{
	int failed = prctl(PR_SET_DUMPABLE, 0) || prctl(PR_SET_DUMPABLE, 1);

	hidden = 1;
	return failed;
}

static void handler(int unused)
{
	if (hide())
		_exit(2);
}

static void *reads(void *unused)
{
	char byte;

	reader = syscall(SYS_gettid);
	if (read(ends[0], &byte, 1) == 1)
		umask(022);
	return unused;
}

static void *calls_later(void *unused)
{
	ready = 1;
	while (!hidden)
		;
	umask(022);
	return unused;
}

static int sleeps(int tid)
{
	char path[64], state = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	file = fopen(path, "r");
	if (!file || fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
		return 0;
	fclose(file);
	return state == 'S';
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };
	pthread_t one, other;
	char byte;

	printf("ready\n");
	fflush(stdout);
	if (sigaction(SIGUSR1, &action, NULL) || read(0, &byte, 1) != 1 || pipe(ends) || pthread_create(&one, NULL, reads, NULL) ||
	    pthread_create(&other, NULL, calls_later, NULL))
		return 1;
	while (!reader || !sleeps(reader) || !ready)
		;
	if (argc > 1 ? syscall(SYS_tgkill, getpid(), reader, SIGUSR1) : hide())
		return 2;
	while (!hidden)
		;
	if (write(ends[1], "x", 1) != 1 || pthread_join(one, NULL) || pthread_join(other, NULL))
		return 3;
	printf("done\n");
	fflush(stdout);
	return read(0, &byte, 1) != 1;
}

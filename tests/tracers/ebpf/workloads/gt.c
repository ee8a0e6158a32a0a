/* Ground truth: each mode makes a known number of calls. It says "r" when it is ready, and waits for a byte. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long count;
static int width;

static void ready(void)
{
	char byte;

	if (write(1, "r", 1) != 1 || read(0, &byte, 1) != 1)
		_exit(99);
}

static void mark(long times)
{
	for (long i = 0; i < times; i++)
		syscall(SYS_getppid);
}

static void *thread_mark(void *unused)
{
	mark(count);
	return NULL;
}

static void threads(int how_many)
{
	pthread_t ids[64];

	for (int i = 0; i < how_many; i++)
		pthread_create(&ids[i], NULL, thread_mark, NULL);
	for (int i = 0; i < how_many; i++)
		pthread_join(ids[i], NULL);
}

static void forks(int how_many)
{
	for (int i = 0; i < how_many; i++)
		if (!fork()) {
			mark(count);
			_exit(0);
		}
	while (wait(NULL) > 0)
		;
}

static void say(char byte)
{
	if (write(1, &byte, 1) != 1 || read(0, &byte, 1) != 1)
		_exit(87);
}

static int made[2], over[2];

/* Children that make all their calls, and then wait for their end. */
static void gather(int how_many)
{
	char byte = 0;

	for (int i = 0; i < how_many; i++)
		if (!fork()) {
			close(made[0]);
			close(over[1]);	/* so that they end if their parent is ended */
			mark(3);
			_exit(write(made[1], &byte, 1) != 1 || read(over[0], &byte, 1) != 1);
		}
	for (int i = 0; i < how_many; i++)
		if (read(made[0], &byte, 1) != 1)
			_exit(88);
}

/* They end, one after the other. */
static void scatter(int how_many)
{
	for (int i = 0; i < how_many; i++)
		if (write(over[1], "", 1) != 1 || wait(NULL) < 0)
			_exit(89);
}

/* Says "m" when all calls are made, and "d" when all who made them are dead; again and again. */
static void deaths(long rounds, int how_many)
{
	if (pipe(made) || pipe(over))
		_exit(90);
	for (long round = 0; round < rounds; round++) {
		gather(how_many);
		say('m');
		scatter(how_many);
		say('d');
	}
}

static long arrived;

/* One of the CPUs that we may use, the last of them if there are fewer. */
static void stay_on(long number)
{
	cpu_set_t ours, one;

	sched_getaffinity(0, sizeof(ours), &ours);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &ours)) {
			CPU_ZERO(&one);
			CPU_SET(cpu, &one);
			if (!number--)
				break;
		}
	sched_setaffinity(0, sizeof(one), &one);
}

/* Each number is new to the process, and several threads come with it at once: they meet without the kernel's help. */
static void *first_calls(void *number)
{
	stay_on((long)number);
	for (long i = 0; i < count; i++) {
		__atomic_add_fetch(&arrived, 1, __ATOMIC_SEQ_CST);
		for (long turns = 0; __atomic_load_n(&arrived, __ATOMIC_SEQ_CST) < (i + 1) * width; turns++)
			if (turns > 10000)
				sched_yield();
		syscall(600 + i);
	}
	return NULL;
}

static void firsts(int how_many)
{
	pthread_t ids[64];

	for (int i = 0; i < how_many; i++)
		pthread_create(&ids[i], NULL, first_calls, (void *)(long)i);
	for (int i = 0; i < how_many; i++)
		pthread_join(ids[i], NULL);
}

static void vforks(long times)
{
	for (long i = 0; i < times; i++) {
		pid_t child = vfork();

		if (!child) {
			syscall(SYS_getppid);
			_exit(0);
		}
		waitpid(child, NULL, 0);
	}
}

static void clone3s(long times)
{
	for (long i = 0; i < times; i++) {
		struct clone_args args = { .exit_signal = SIGCHLD };
		long child = syscall(SYS_clone3, &args, sizeof(args));

		if (!child) {
			syscall(SYS_getppid);
			_exit(0);
		}
		waitpid(child, NULL, 0);
	}
}

static void *one_mark(void *unused)
{
	syscall(SYS_getppid);
	return NULL;
}

static void short_threads(long times)
{
	for (long i = 0; i < times; i++) {
		pthread_t id;

		while (pthread_create(&id, NULL, one_mark, NULL))
			;
		pthread_join(id, NULL);
	}
}

/* Threads that live about a millisecond, `width` at a time. */
static void *millisecond(void *unused)
{
	struct timespec pause = { 0, 1000000 };

	syscall(SYS_getppid);
	nanosleep(&pause, NULL);
	return NULL;
}

static void brief_threads(long times)
{
	pthread_t ids[64];

	for (long done = 0; done < times; done += width) {
		for (int i = 0; i < width; i++)
			while (pthread_create(&ids[i], NULL, millisecond, NULL))
				;
		for (int i = 0; i < width; i++)
			pthread_join(ids[i], NULL);
	}
}

static void errors(long times)
{
	for (long i = 0; i < times; i++) {
		close(-1);
		open("/nonexistent/straced", O_RDONLY);
		syscall(SYS_read, -1, NULL, 0);
		syscall(SYS_kill, 0x3fffffff, 0);
	}
}

static void deny(int nr, int action)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(*code), code };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		_exit(98);
}

/* Different errors of one call, through a seccomp filter that returns its first argument as errno. */
static void refuse(int how_many)
{
	struct sock_filter code[256];
	struct sock_fprog program = { 0, code };
	int n = 0;

	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpgid, 1, 0);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args));
	for (int i = 1; i <= how_many; i++) {
		code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, i, 0, 1);
		code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | i);
	}
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	program.len = n;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		_exit(98);
}

static void many_errors(int how_many)
{
	refuse(how_many);
	ready();
	for (int i = 1; i <= how_many; i++)
		for (int k = 0; k < i; k++)
			syscall(SYS_getpgid, i);
}

/* Ten of them, "t"; and one more, which has no room near them any more, "e", `times` times. */
static void late_errors(long times, int how_many)
{
	refuse(11);
	ready();
	for (int i = 1; i <= 10; i++)
		syscall(SYS_getpgid, i);
	if (pipe(made) || pipe(over))
		_exit(91);
	say('t');
	gather(how_many);
	for (long i = 0; i < times; i++) {
		syscall(SYS_getpgid, 11);
		say('e');
	}
	scatter(how_many);
}

static void on_alarm(int signal)
{
	syscall(SYS_getpgid, 0);
}

static void handler(int flags)
{
	struct sigaction action = { .sa_handler = on_alarm, .sa_flags = flags };

	sigaction(SIGALRM, &action, NULL);
}

static void every_ms(int ms)
{
	struct itimerval timer = { { 0, ms * 1000 }, { 0, ms * 1000 } };

	setitimer(ITIMER_REAL, &timer, NULL);
}

static void interrupted_sleeps(long times)
{
	struct timespec hour = { 3600, 0 };

	handler(0);
	ready();
	every_ms(2);
	for (long i = 0; i < times; i++)
		nanosleep(&hour, NULL);
	every_ms(0);
}

static int answers[2];

static void on_answered(int signal)
{
	syscall(SYS_getpgid, 0);
	if (write(answers[1], "a", 1) != 1)
		_exit(87);
}

/* One read, interrupted by `times` signals whose handler restarts it; the child that sends them ends it. */
static void restarted_read(long times)
{
	struct sigaction action = { .sa_handler = on_answered, .sa_flags = SA_RESTART };
	pid_t self = getpid();
	int ends[2];
	char byte;

	if (pipe(ends) || pipe(answers))
		_exit(97);
	sigaction(SIGALRM, &action, NULL);
	ready();
	if (!fork()) {
		struct timespec pause = { 0, 2000000 };

		for (long i = 0; i < times; i++) {
			nanosleep(&pause, NULL);
			kill(self, SIGALRM);
			if (read(answers[0], &byte, 1) != 1)
				_exit(1);
		}
		nanosleep(&pause, NULL);
		if (write(ends[1], "x", 1) != 1)
			_exit(1);
		_exit(0);
	}
	if (syscall(SYS_readv, ends[0], &(struct { void *at; size_t size; }){ &byte, 1 }, 1) != 1)
		_exit(95);
	wait(NULL);
}

/* poll is stopped and continued by a child without a handler: it goes on as restart_syscall. */
static void stopped_sleep(long times)
{
	struct timespec pause = { 0, 300000000 };
	pid_t self = getpid();

	ready();
	if (!fork()) {
		struct timespec beat = { 0, 5000000 };

		for (long i = 0; i < times; i++) {
			nanosleep(&beat, NULL);
			kill(self, SIGSTOP);
			nanosleep(&beat, NULL);
			kill(self, SIGCONT);
		}
		_exit(0);
	}
	syscall(SYS_nanosleep, &pause, NULL);
	wait(NULL);
}

static void *thread_exec(void *again)
{
	mark(count);
	execv("/proc/self/exe", again);
	return NULL;
}

static void exec_from_thread(char *self)
{
	char text[32];
	char *argv[] = { self, "marks", text, NULL };
	pthread_t id;

	snprintf(text, sizeof(text), "%ld", count);
	pthread_create(&id, NULL, thread_exec, argv);
	for (;;)
		pause();
}

static void exec_chain(char *self)
{
	char text[32], left[32];
	char *argv[] = { self, "execs-on", text, left, NULL };

	mark(count);
	if (width > 0) {
		snprintf(text, sizeof(text), "%ld", count);
		snprintf(left, sizeof(left), "%d", width - 1);
		execv("/proc/self/exe", argv);
	}
}

static void io(long times)
{
	int ends[2];
	char byte;

	if (pipe(ends))
		_exit(97);
	ready();
	for (long i = 0; i < times; i++)
		if (write(ends[1], "x", 1) != 1 || read(ends[0], &byte, 1) != 1)
			_exit(94);
}

static void compat(long times)
{
#ifdef __x86_64__
	for (long i = 0; i < times; i++) {
		long result;

		__asm__ volatile("int $0x80" : "=a"(result) : "a"(64) : "memory", "r8", "r9", "r10", "r11");
	}
#else
	mark(times);
#endif
}

static void everything(long times)
{
	deny(SYS_getpgid, SECCOMP_RET_ERRNO | EPERM);
	ready();
	forks(4);
	vforks(times);
	short_threads(times);
	clone3s(times);
	for (long i = 0; i < times; i++)
		syscall(SYS_getpgid, 0);
}

static void *without_leader(void *unused)
{
	ready();
	mark(count);
	_exit(0);
}

static volatile int stopped;

/* A lineage of threads: each makes a call of its lineage's own, starts the next one, and ends. */
static void *lineage(void *number)
{
	pthread_attr_t detached;
	pthread_t next;

	syscall((long)number);
	if (stopped)
		return NULL;
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	while (pthread_create(&next, &detached, lineage, number))
		;
	return NULL;
}

static void relay(void)
{
	static const long numbers[] = { SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid };
	char byte;

	for (int i = 0; i < 4; i++)
		lineage((void *)numbers[i]);
	ready();
	stopped = 1;
	if (read(0, &byte, 1) < 0)
		_exit(86);
}

static void *idle(void *unused)
{
	struct timespec hour = { 3600, 0 };

	nanosleep(&hour, NULL);
	return NULL;
}

static void *blocked(void *unused)
{
	char byte;

	if (read(0, &byte, 1) != 1)
		_exit(93);
	return NULL;
}

/* Many processes of twenty different calls each; they stay until stdin is closed. Says "d" when all have made them. */
static void family(long members)
{
	static const int numbers[] = { SYS_getpid, SYS_getppid, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_gettid,
				       SYS_getpgrp, SYS_sched_yield, SYS_getcpu, SYS_getpgid, SYS_getsid, SYS_umask,
				       SYS_close, SYS_dup, SYS_fcntl, SYS_lseek, SYS_fsync, SYS_fstat };
	int done[2], stay[2];
	char byte;

	if (pipe(done) || pipe(stay))
		_exit(97);
	ready();
	for (long i = 0; i < members; i++)
		if (!fork()) {
			close(stay[1]);
			for (unsigned k = 0; k < sizeof(numbers) / sizeof(*numbers); k++)
				syscall(numbers[k], -1, -1, -1);
			if (write(done[1], "d", 1) != 1)
				_exit(91);
			_exit(read(stay[0], &byte, 1) != 0);
		}
	for (long i = 0; i < members; i++)
		if (read(done[0], &byte, 1) != 1)
			_exit(90);
	if (write(1, "d", 1) != 1 || read(0, &byte, 1) < 0)
		_exit(89);
	close(stay[1]);
	while (wait(NULL) > 0)
		;
}

static void sleep_busy(long ms)
{
	struct timespec pause = { ms / 1000, ms % 1000 * 1000000 };
	static char block[1 << 20];
	int zero = open("/dev/zero", O_RDONLY);

	ready();
	nanosleep(&pause, NULL);
	for (long i = 0; i < ms; i++)
		if (read(zero, block, sizeof(block)) < 0)
			_exit(92);
}

/* Through io_uring: so many batches of 32 writes each, one io_uring_enter a batch. */
#define BATCH 32
static void uring(long batches)
{
	struct io_uring_params params = {};
	int null = open("/dev/null", O_WRONLY), ring = syscall(SYS_io_uring_setup, BATCH, &params);
	unsigned *tail, *array, *done, *seen, mask;
	struct io_uring_sqe *entries;
	char *queue, *results;

	if (ring < 0 || null < 0)
		_exit(77);
	queue = mmap(NULL, params.sq_off.array + params.sq_entries * sizeof(unsigned), PROT_READ | PROT_WRITE,
		     MAP_SHARED, ring, IORING_OFF_SQ_RING);
	results = mmap(NULL, params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe),
		       PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_CQ_RING);
	entries = mmap(NULL, params.sq_entries * sizeof(*entries), PROT_READ | PROT_WRITE, MAP_SHARED, ring,
		       IORING_OFF_SQES);
	if (queue == MAP_FAILED || results == MAP_FAILED || entries == MAP_FAILED)
		_exit(78);
	tail = (unsigned *)(queue + params.sq_off.tail);
	array = (unsigned *)(queue + params.sq_off.array);
	mask = *(unsigned *)(queue + params.sq_off.ring_mask);
	done = (unsigned *)(results + params.cq_off.tail);
	seen = (unsigned *)(results + params.cq_off.head);
	ready();
	for (long i = 0; i < batches; i++) {
		for (unsigned each = 0; each < BATCH; each++) {
			unsigned place = (*tail + each) & mask;

			entries[place] = (struct io_uring_sqe){ .opcode = IORING_OP_WRITE, .fd = null, .addr = (unsigned long)"x", .len = 1 };
			array[place] = place;
		}
		__atomic_store_n(tail, *tail + BATCH, __ATOMIC_RELEASE);
		if (syscall(SYS_io_uring_enter, ring, BATCH, BATCH, IORING_ENTER_GETEVENTS, NULL, 0) != BATCH)
			_exit(79);
		if (__atomic_load_n(done, __ATOMIC_ACQUIRE) - *seen != BATCH)
			_exit(80);
		__atomic_store_n(seen, *done, __ATOMIC_RELEASE);
	}
}

/* Processes that live for an instant, each with an odd name, until stdin ends. */
static void churn(void)
{
	ready();
	fcntl(0, F_SETFL, O_NONBLOCK);
	for (;;) {
		char byte;
		pid_t child = fork();

		if (!child) {
			prctl(PR_SET_NAME, "\033[31mX) R 1\n");
			if (!fork())
				_exit(0);
			wait(NULL);
			_exit(0);
		}
		waitpid(child, NULL, 0);
		if (read(0, &byte, 1) == 0)
			return;
	}
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "n";

	count = argc > 2 ? atol(argv[2]) : 1;
	width = argc > 3 ? atoi(argv[3]) : 8;
	if (!strcmp(mode, "marks"))
		mark(count);
	else if (!strcmp(mode, "execs-on"))
		exec_chain(argv[0]);
	else if (!strcmp(mode, "eintr"))
		interrupted_sleeps(count);
	else if (!strcmp(mode, "sarestart"))
		restarted_read(count);
	else if (!strcmp(mode, "stopped"))
		stopped_sleep(count);
	else if (!strcmp(mode, "manyerrs"))
		many_errors(width);
	else if (!strcmp(mode, "lateerrs"))
		late_errors(count, width);
	else if (!strcmp(mode, "family"))
		family(count);
	else if (!strcmp(mode, "io"))
		io(count);
	else if (!strcmp(mode, "everything"))
		everything(count);
	else if (!strcmp(mode, "uring"))
		uring(count);
	else if (!strcmp(mode, "churn"))
		churn();
	else if (!strcmp(mode, "sleepbusy"))
		sleep_busy(count);
	else if (!strcmp(mode, "seccomp")) {
		deny(SYS_getpgid, SECCOMP_RET_ERRNO | EPERM);
		ready();
		for (long i = 0; i < count; i++)
			syscall(SYS_getpgid, 0);
	} else if (!strcmp(mode, "blocked")) {
		pthread_t id;

		ready();
		pthread_create(&id, NULL, blocked, NULL);
		pthread_join(id, NULL);
	} else if (!strcmp(mode, "oddname")) {
		prctl(PR_SET_NAME, "\033[31m) R\n");
		ready();
		mark(count);
	} else if (!strcmp(mode, "vdso")) {
		struct timespec time;

		ready();
		for (long i = 0; i < count; i++)
			clock_gettime(CLOCK_MONOTONIC, &time);
	} else if (!strcmp(mode, "leaderless")) {
		pthread_t id;

		pthread_create(&id, NULL, without_leader, NULL);
		pthread_exit(NULL);
	} else if (!strcmp(mode, "relay")) {
		relay();
	} else if (!strcmp(mode, "idle")) {
		pthread_t ids[128];

		for (int i = 0; i < width; i++)
			pthread_create(&ids[i], NULL, idle, NULL);
		ready();
	} else if (!strcmp(mode, "become")) {
		ready();
		execv(argv[2], argv + 2);
	} else {
		ready();
		if (!strcmp(mode, "n"))
			mark(count);
		else if (!strcmp(mode, "threads"))
			threads(width);
		else if (!strcmp(mode, "forks"))
			forks(width);
		else if (!strcmp(mode, "deaths"))
			deaths(count, width);
		else if (!strcmp(mode, "firsts"))
			firsts(width);
		else if (!strcmp(mode, "vforks"))
			vforks(count);
		else if (!strcmp(mode, "shorts")) {
			width = (int)count;
			count = 1;
			for (int left = width; left > 0; left -= 30)
				forks(left < 30 ? left : 30);
		} else if (!strcmp(mode, "shortthreads"))
			short_threads(count);
		else if (!strcmp(mode, "brief"))
			brief_threads(count);
		else if (!strcmp(mode, "execs"))
			exec_chain(argv[0]);
		else if (!strcmp(mode, "threadexec"))
			exec_from_thread(argv[0]);
		else if (!strcmp(mode, "errs"))
			errors(count);
		else if (!strcmp(mode, "unknown"))
			for (long i = 0; i < count; i++)
				syscall(900);
		else if (!strcmp(mode, "compat"))
			compat(count);
		else
			return 64;
	}
	return 0;
}

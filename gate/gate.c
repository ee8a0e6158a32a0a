/* SPDX-License-Identifier: MIT */
/*
 * The gate: wait to be traced, then become the program. src/straced/gating/ has the other side.
 *
 *	gate straced-gate 1 PATIENCE_MS OWNER START_TICKS PATH ARGV...
 *
 * It waits in epoll_pwait(2), one of the calls that return EINTR when a tracer attaches (signal(7)), so the first thing
 * that the tracer sees of it is the execve of the program: the gate adds nothing to any count. A tracer that does not
 * stop its targets opens it by SIGURG. It fails open: the same call ends when the patience is over or the owner has
 * died, and whatever else is refused to it, the program runs.
 *
 * No C library, nothing on the heap, no writable file data: it starts wherever the program itself could.
 */
#include "kernel.h"
#include "errors.h"

#define CALL0(name) call(NR_##name, 0, 0, 0, 0, 0, 0)
#define CALL1(name, a) call(NR_##name, (word)(a), 0, 0, 0, 0, 0)
#define CALL3(name, a, b, c) call(NR_##name, (word)(a), (word)(b), (word)(c), 0, 0, 0)
#define CALL4(name, a, b, c, d) call(NR_##name, (word)(a), (word)(b), (word)(c), (word)(d), 0, 0)
#define CALL5(name, a, b, c, d, e) call(NR_##name, (word)(a), (word)(b), (word)(c), (word)(d), (word)(e), 0)

enum { SELF, MAGIC, VERSION, PATIENCE, OWNER, START, PATH, PROGRAM };

#define NAME "straced-gate"
#define START_TIME 22	/* the field of /proc/PID/stat; counted from 1 (proc(5)) */
#define NO_WATCH (-1)
#define OWNER_DEAD (-2)

static char **arguments, **environment;

static word length(const char *text)
{
	word count = 0;

	while (text[count])
		count++;
	return count;
}

static int same(const char *one, const char *other)
{
	while (*one && *one == *other)
		one++, other++;
	return *one == *other;
}

static u64 number(const char *text)
{
	u64 value = 0;

	while (*text >= '0' && *text <= '9')
		value = value * 10 + (*text++ - '0');
	return value;
}

static void say(const char *text)
{
	CALL3(write, 2, text, length(text));
}

static void __attribute__((noreturn)) leave(int status)
{
	for (;;)
		CALL1(exit_group, status);
}

static void __attribute__((noreturn)) give_up(const char *path, long error)
{
	const char *words = in_words(error);
	char digits[] = "error 000";

	digits[6] = '0' + error / 100 % 10, digits[7] = '0' + error / 10 % 10, digits[8] = '0' + error % 10;
	say("straced: cannot run ");
	say(path);
	say(": ");
	say(words ? words : digits);
	say("\n");
	leave(error == ENOENT ? 127 : 126);
}

/* The next call that the kernel sees after the wait is the first execve here. */
static void __attribute__((noreturn)) become(void)
{
	const char *path = arguments[PATH];
	long error = -CALL3(execve, path, arguments + PROGRAM, environment);

	if (error == ENOEXEC) {	/* a script without a first line that names its interpreter, as execvp(3) does */
		arguments[PROGRAM] = arguments[PATH];
		arguments[PATH] = "sh";
		error = -CALL3(execve, "/bin/sh", arguments + PATH, environment);
		if (error == ENOENT)
			error = ENOEXEC;
	}
	give_up(path, error);
}

/* SIGURG while waiting. It never returns: an rt_sigreturn would be counted among the calls of the program. */
static void opened(int signal)
{
	(void)signal;
	become();
}

static void never(void)
{
	leave(126);
}

/* When a process began, in clock ticks; 0 where /proc does not say. The name in the file may hold anything but ')'s end. */
static u64 start_of(const char *pid)
{
	char path[40] = "/proc/", text[1024], *at = path + 6, *field;
	long fd, size;
	int left = START_TIME - 2;	/* ") " is followed by the third */

	while (*pid && at < path + 30)
		*at++ = *pid++;
	for (const char *tail = "/stat"; *tail;)
		*at++ = *tail++;
	*at = 0;
	fd = CALL4(openat, AT_FDCWD, path, O_CLOEXEC, 0);
	if (fd < 0)
		return 0;
	size = CALL3(read, fd, text, sizeof(text) - 1);
	CALL1(close, fd);
	if (size <= 0)
		return 0;
	text[size] = 0;
	for (field = text + size - 1; field > text && *field != ')'; field--)
		;
	for (; *field && left > 0; field++)
		left -= *field == ' ';
	return number(field);
}

/* An epoll that wakes when the owner dies; or OWNER_DEAD, or NO_WATCH where a descriptor or a call is refused. */
static long watch(const char *owner, u64 start)
{
	struct event event = {.events = EPOLLIN};
	u64 began;
	long pidfd, epoll;

	pidfd = CALL3(pidfd_open, number(owner), 0, 0);
	if (pidfd == -ESRCH)
		return OWNER_DEAD;
	if (pidfd < 0)
		return NO_WATCH;
	began = start_of(owner);
	if (began && began != start)
		return OWNER_DEAD;
	epoll = CALL1(epoll_create1, EPOLL_CLOEXEC);
	if (epoll < 0 || CALL4(epoll_ctl, epoll, EPOLL_CTL_ADD, pidfd, &event) < 0) {
		CALL1(close, pidfd);
		return NO_WATCH;
	}
	return epoll;	/* a pidfd is close-on-exec, always */
}

static void let_sigurg_open(void)
{
	struct action ours = {.handler = opened, .flags = SA_NODEFER | SA_RESTORER, .restorer = never}, before = {0};

	CALL4(rt_sigaction, SIGURG, &ours, &before, sizeof(ours.mask));
	if (before.handler == SIG_IGN)	/* it would not be ignored any more after the execve: leave it alone */
		CALL4(rt_sigaction, SIGURG, &before, 0, sizeof(ours.mask));
}

void __attribute__((noreturn, used)) begin(word *stack)
{
	struct timespec patience;
	struct event event;
	u64 patience_ms, nothing = 0;
	long epoll;

	arguments = (char **)(stack + 1);
	environment = arguments + stack[0] + 1;
	if (stack[0] <= PROGRAM || !same(arguments[MAGIC], NAME) || !same(arguments[VERSION], "1")) {
		say("straced-gate: started by straced only; see straced.gate()\n");
		leave(2);
	}
	epoll = watch(arguments[OWNER], number(arguments[START]));
	patience_ms = number(arguments[PATIENCE]);
	patience.seconds = patience_ms / 1000;
	patience.nanoseconds = patience_ms % 1000 * 1000000;
	/* Under Yama scope 1 only a named process, and its descendants, may trace us (prctl(2)). */
	call(NR_prctl, PR_SET_PTRACER, number(arguments[OWNER]), 0, 0, 0, 0);
	let_sigurg_open();
	/* The name says: whoever sleeps under it is in the wait. */
	call(NR_prctl, PR_SET_NAME, (word)NAME, 0, 0, 0, 0);
	if (epoll >= 0)
		call(NR_epoll_pwait, epoll, (word)&event, 1, patience_ms, 0, sizeof(u64));
	else if (epoll == NO_WATCH)	/* it needs no descriptor; the owner's death is noticed when the patience is over */
		CALL4(rt_sigtimedwait, &nothing, 0, &patience, sizeof(nothing));
	become();
}

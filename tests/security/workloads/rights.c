/* Does what its words say, one after the other, by bare system calls: who may be told of which is the question. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void repeat(long number, long count)
{
	while (count-- > 0)
		syscall(number, 022);
}

static void wait_for(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) != child || status)
		exit(3);
}

static void become(unsigned id)
{
	if (setgroups(0, NULL) || setresgid(id, id, id) || setresuid(id, id, id))
		exit(4);
}

static void drop(void)
{
	gid_t gid = getgid();
	uid_t uid = getuid();

	if (setresgid(gid, gid, gid) || setresuid(uid, uid, uid) || prctl(PR_SET_DUMPABLE, 1))
		exit(5);
}

int main(int argc, char **argv)
{
	char **word = argv + 1, byte;

	for (; *word; word++) {
		if (!strcmp(*word, "mine")) {			/* N: calls of getppid */
			repeat(SYS_getppid, atol(*++word));
		} else if (!strcmp(*word, "theirs")) {		/* N: calls of umask */
			repeat(SYS_umask, atol(*++word));
		} else if (!strcmp(*word, "drop")) {		/* back to the real user, and dumpable */
			drop();
		} else if (!strcmp(*word, "become")) {		/* UID */
			become(atol(*++word));
		} else if (!strcmp(*word, "dumpable")) {
			if (prctl(PR_SET_DUMPABLE, 1))
				return 6;
		} else if (!strcmp(*word, "hide")) {
			if (prctl(PR_SET_DUMPABLE, 0))
				return 6;
		} else if (!strcmp(*word, "open")) {		/* PATH */
			close(open(*++word, O_RDONLY));
		} else if (!strcmp(*word, "secret")) {		/* as of open, with a name that no word tells */
			close(open("/nobodys-business", O_RDONLY));
		} else if (!strcmp(*word, "say")) {		/* TEXT, and wait for a byte */
			printf("%s\n", *++word);
			fflush(stdout);
			if (read(0, &byte, 1) != 1)
				return 0;
		} else if (!strcmp(*word, "ids")) {
			printf("%d %d\n", geteuid(), getegid());
			fflush(stdout);
		} else if (!strcmp(*word, "times")) {		/* N K WORD...: K words as children, N of them */
			long times = atol(*++word), words = atol(*++word);
			char *rest = word[words + 1];

			while (times-- > 0) {
				pid_t child = fork();

				if (!child) {
					word[words + 1] = NULL;
					break;
				}
				wait_for(child);
			}
			if (times < 0) {
				word[words + 1] = rest;
				word += words;
			}
		} else if (!strcmp(*word, "exec")) {		/* PROGRAM WORD... */
			execv(word[1], word + 1);
			return 7;
		} else {
			return 2;
		}
	}
	return 0;
}

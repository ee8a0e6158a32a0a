/* N processes that make twenty different system calls each time they are told to. The parent reads a count from its
 * stdin, wakes that many of them, and says r when they are done. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <unistd.h>

static void calls(void)
{
	char path[64];
	struct stat status;
	struct utsname name;
	struct tms times_;
	int fd = open("/dev/null", O_RDWR);

	getppid(), getuid(), geteuid(), getgid(), getegid(), umask(022), getpgid(0), getsid(0);
	getcwd(path, sizeof(path));
	access("/", R_OK);
	lseek(fd, 0, SEEK_SET);
	fstat(fd, &status);
	write(fd, "x", 1);
	close(dup(fd));
	sched_yield();
	uname(&name);
	times(&times_);
}

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 1, done[2], (*wake)[2] = calloc(count, sizeof(*wake));
	uint32_t wanted;
	char byte = 'x';

	if (pipe(done))
		return 1;
	for (int i = 0; i < count; i++) {
		if (pipe(wake[i]))
			return 1;
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			while (read(wake[i][0], &byte, 1) == 1) {
				calls();
				write(done[1], &byte, 1);
			}
			_exit(0);
		}
		close(wake[i][0]);
	}
	write(1, "r", 1);
	while (read(0, &wanted, sizeof(wanted)) == sizeof(wanted)) {
		for (uint32_t i = 0; i < wanted && i < (uint32_t)count; i++)
			write(wake[i][1], &byte, 1);
		for (uint32_t i = 0; i < wanted && i < (uint32_t)count; i++)
			read(done[0], &byte, 1);
		write(1, "r", 1);
	}
	return 0;
}

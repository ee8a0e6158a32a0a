/* gt: small programs whose system calls are known exactly ("ground truth").
 *
 * gt MODE [ARGS]      GT_FD=n     a socket to the test: "ready", then wait for a byte, work, "done", wait again
 *                     GT_TICKS=f  a file of 8 bytes, mapped shared: a counter that rises while the program runs
 * Without GT_FD the program works at once and exits. The channel uses sendto and recvfrom only, so that the
 * counts of read and write are the workload's own.
 */
#ifndef GT_H
#define GT_H
#define _GNU_SOURCE
#include <stdint.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

struct mode { const char *name; int (*run)(int argc, char **argv); };

extern volatile uint64_t *ticks;
extern char *self;

void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void ready(void);                /* "ready PID", then wait for the go */
void done(void);                 /* "done", then wait for the permission to end */
int hear(void);                  /* the next byte from the test, -1 when it is gone */
void die(const char *what);
long number(int argc, char **argv, int index, long fallback);
void getppids(long count);
void start_thread(void *(*body)(void *), void *argument);

extern const struct mode calls_modes[], process_modes[], thread_modes[], exec_modes[], state_modes[], block_modes[], abi_modes[],
    ring_modes[];
#endif

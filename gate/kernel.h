/* SPDX-License-Identifier: MIT */
/* What the gate asks of the kernel, without a C library: the entry, the calls, and the numbers and layouts they take. */
#ifndef STRACED_GATE_KERNEL_H
#define STRACED_GATE_KERNEL_H

typedef unsigned long word;
typedef unsigned long long u64;
typedef unsigned int u32;

#if defined(__x86_64__)
#define NR_close 3
#define NR_execve 59
#define NR_exit_group 231
#define NR_epoll_create1 291
#define NR_epoll_ctl 233
#define NR_epoll_pwait 281
#define NR_openat 257
#define NR_pidfd_open 434
#define NR_prctl 157
#define NR_read 0
#define NR_rt_sigaction 13
#define NR_rt_sigtimedwait 128
#define NR_write 1

/* arch/x86/include/uapi/asm/signal.h: the kernel insists on a restorer; ours never returns to it. */
#define SA_RESTORER 0x04000000
struct action {
	void (*handler)(int);
	word flags;
	void (*restorer)(void);
	u64 mask;
};

/* include/uapi/linux/eventpoll.h: packed on this architecture only. */
struct __attribute__((packed)) event {
	u32 events;
	u64 data;
};

/* The stack at the entry holds argc, argv, 0, envp, 0 (the psABI). */
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall begin\n\thlt\n");

static inline long call(long number, word a, word b, word c, word d, word e, word f)
{
	register word r10 __asm__("r10") = d;
	register word r8 __asm__("r8") = e;
	register word r9 __asm__("r9") = f;
	long answer;

	__asm__ volatile("syscall"
			 : "=a"(answer)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return answer;
}

#elif defined(__aarch64__)
#define NR_close 57
#define NR_execve 221
#define NR_exit_group 94
#define NR_epoll_create1 20
#define NR_epoll_ctl 21
#define NR_epoll_pwait 22
#define NR_openat 56
#define NR_pidfd_open 434
#define NR_prctl 167
#define NR_read 63
#define NR_rt_sigaction 134
#define NR_rt_sigtimedwait 137
#define NR_write 64

#define SA_RESTORER 0
struct action {
	void (*handler)(int);
	word flags;
	void (*restorer)(void);
	u64 mask;
};

struct event {
	u32 events;
	u64 data;
};

__asm__(".globl _start\n_start:\n\tmov x29, xzr\n\tmov x30, xzr\n\tmov x0, sp\n\tb begin\n");

static inline long call(long number, word a, word b, word c, word d, word e, word f)
{
	register long x8 __asm__("x8") = number;
	register word x0 __asm__("x0") = a;
	register word x1 __asm__("x1") = b;
	register word x2 __asm__("x2") = c;
	register word x3 __asm__("x3") = d;
	register word x4 __asm__("x4") = e;
	register word x5 __asm__("x5") = f;

	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
}

#else
#error "no gate for this architecture yet"
#endif

#define AT_FDCWD (-100)
#define O_CLOEXEC 02000000
#define EPOLL_CLOEXEC O_CLOEXEC
#define EPOLL_CTL_ADD 1
#define EPOLLIN 1
#define PR_SET_NAME 15
#define PR_SET_PTRACER 0x59616d61
#define SIGURG 23
#define SA_NODEFER 0x40000000
#define SIG_IGN ((void (*)(int))1)

struct timespec {
	long seconds, nanoseconds;
};

#endif

// SPDX-License-Identifier: MIT
/*
 * Who wakes whom: for each task that is asked about, the last task that was in a call which can wake others (a futex,
 * a write to a pipe or a socket) when it was woken, and what that call was about.
 *
 * An interrupt that comes in just such a call wakes for a reason of its own. It is told by the stack: those of
 * interrupts and softirqs are others than the task's. (The preempt count would tell them apart, but is a variable that
 * programs reach only where the kernel has CONFIG_KALLSYMS_ALL.) What is sent over loopback arrives in a softirq, too,
 * so such a wake is marked, and the reader knows whether that can be. He also checks that the call was about what the
 * woken one waits for.
 */
#include "vmlinux_min.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#define BPF_MAP_TYPE_HASH 1
#define MOST_CALLS 512

char LICENSE[] SEC("license") = "GPL";

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct pt_regs___x86_call {
	unsigned long orig_ax;
	unsigned long di;
};

struct pt_regs___arm64_call {
	int syscallno;
	u64 orig_x0;
};

struct task_struct___with_stack {
	void *stack;
};

#pragma clang attribute pop

struct wake {
	u64 wakes;
	u64 last_ns;
	u64 argument;	/* the first one of the call */
	u32 call;
	u32 tid;
	u32 pid;
	u32 interrupted;	/* 1: by an interrupt or a softirq, beside the call */
	u64 stack;	/* where the program ran */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u32);
	__type(value, struct wake);
} wakes SEC(".maps");

/* The numbers of the calls that can wake others. */
u8 wanted[MOST_CALLS];

/*
 * Whether this runs on the stack of the task itself, which ends where its registers lie. The arguments of a raw
 * tracepoint are on the stack of whoever meets it; their address becomes a number by way of memory.
 */
static __attribute__((always_inline)) bool is_on_stack_of(struct task_struct *task, void *registers, void *arguments,
							   volatile u64 *memory)
{
	u64 here;

	*memory = (u64)arguments;
	here = *memory;
	return here >= (u64)BPF_CORE_READ((struct task_struct___with_stack *)task, stack) && here < (u64)registers;
}

SEC("tp_btf/sched_waking")
int BPF_PROG(on_waking, struct task_struct *woken)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u32 tid = woken->pid;
	struct wake *wake = bpf_map_lookup_elem(&wakes, &tid);
	void *registers;
	u64 argument;
	s64 call;

	if (!wake || !task->pid || (task->flags & 0x00200000)) /* PF_KTHREAD */
		return 0;
	registers = (void *)bpf_task_pt_regs(task);
	if (bpf_core_field_exists(((struct pt_regs___x86_call *)registers)->orig_ax)) {
		call = (s64)BPF_CORE_READ((struct pt_regs___x86_call *)registers, orig_ax);
		argument = BPF_CORE_READ((struct pt_regs___x86_call *)registers, di);
	} else {
		call = BPF_CORE_READ((struct pt_regs___arm64_call *)registers, syscallno);
		argument = BPF_CORE_READ((struct pt_regs___arm64_call *)registers, orig_x0);
	}
	if (call < 0 || call >= MOST_CALLS || !wanted[call & (MOST_CALLS - 1)])
		return 0;
	wake->wakes++;	/* the kernel holds the lock of the woken task */
	wake->last_ns = bpf_ktime_get_ns();
	wake->argument = argument;
	wake->call = call;
	wake->tid = task->pid;
	wake->pid = task->tgid;
	wake->interrupted = !is_on_stack_of(task, registers, ctx, &wake->stack);
	return 0;
}

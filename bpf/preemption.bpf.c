// SPDX-License-Identifier: MIT
/*
 * Whether a program on a raw tracepoint can be preempted here: the next call of any task answers it. A kernel that
 * disables preemption around programs counts that (include/linux/preempt.h).
 */
#include "vmlinux_min.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#define PREEMPT_MASK 0xff

char LICENSE[] SEC("license") = "GPL";

/* x86-64 has it in one of these, by CPU; arm64 in thread_info. */
extern const int __preempt_count __attribute__((section(".ksyms"), weak));
extern const struct pcpu_hot pcpu_hot __attribute__((section(".ksyms"), weak));

struct answer {
	u32 known;
	u32 depth;	/* how often preemption was disabled */
};

struct answer answer;

SEC("tp_btf/sys_enter")
int BPF_PROG(look, struct pt_regs *regs, long nr)
{
	struct task_struct *task = bpf_get_current_task_btf();
	const int *count;
	const struct pcpu_hot *hot;

	if (bpf_core_field_exists(task->thread_info.preempt_count)) {
		answer.depth = (u32)task->thread_info.preempt_count & PREEMPT_MASK;
	} else if (&__preempt_count) {
		count = bpf_this_cpu_ptr(&__preempt_count);
		answer.depth = *count & PREEMPT_MASK;
	} else if (&pcpu_hot) {
		hot = bpf_this_cpu_ptr(&pcpu_hot);
		answer.depth = hot->preempt_count & PREEMPT_MASK;
	} else {
		return 0;
	}
	answer.known = 1;
	return 0;
}

// SPDX-License-Identifier: MIT
/*
 * Tells of each program that begins on the machine, so that a service need not look for it: the number of its process,
 * as the initial PID namespace has it. Runs at execve only; nobody else pays.
 */
#include "vmlinux_min.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} starts SEC(".maps");

struct start {
	u32 pid;
	u32 unused;
};

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_start, struct task_struct *task, int old_pid, struct linux_binprm *binary)
{
	struct start *start = bpf_ringbuf_reserve(&starts, sizeof(*start), 0);

	if (!start)
		return 0; /* the next look at all processes finds it */
	start->pid = task->tgid;
	start->unused = 0;
	bpf_ringbuf_submit(start, 0);
	return 0;
}

// SPDX-License-Identifier: MIT
/*
 * straced's eye in the kernel: counts the system calls of marked tasks.
 *
 * A task is a target if it has an entry in the task storage `tasks`; children and threads get theirs at fork, before
 * their first call. Tracing programs on raw tracepoints run for every call of every task, and leave at once if there is
 * none. All counters stand in `rows`, which user space reads by mmap.
 *
 * There are two sets of programs, of which user space loads one. Those on the raw tracepoints (tp_btf) are the cheapest.
 * Since Linux 7.0 they can be preempted, and then the kernel skips them for whoever runs on this CPU meanwhile. The other
 * set (tp, named ..._tp) hears of the same by perf's way, which the kernel walks with preemption off.
 */
#include "vmlinux_min.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "wire.h"
#include "maps.h"
#include "durations.h"
#include "rows.h"
#include "programs.h"
#include "fold.h"
#include "recording.h"
#include "running.h"
#include "calls.h"
#include "restarts.h"
#include "rights.h"
#include "lifecycle.h"
#include "record_rights.h"
#include "steps.h"
#include "sums.h"
#include "attach.h"

char LICENSE[] SEC("license") = "GPL";

SEC("tp_btf/sys_enter")
int BPF_PROG(on_enter, struct pt_regs *regs, long nr)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct running *run = target_here(task);

	return run ? entered(run, task, regs, nr) : 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_exit, struct pt_regs *regs, long ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct running *run = target_here(task);

	return run ? returned(run, task, regs, ret) : 0;
}

SEC("tp_btf/signal_deliver")
int BPF_PROG(on_signal, int signal, struct kernel_siginfo *info, struct k_sigaction *action)
{
	return signalled(bpf_get_current_task_btf(), (u64)BPF_CORE_READ(action, sa.sa_handler), action->sa.sa_flags);
}

/* The scheduler calls it with interrupts off: it is in both sets. */
SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *from, struct task_struct *to)
{
	struct running *run = running_here();
	u64 now = 0;

	if (!run)
		return 0;
	if (run->target)
		switch_out(run, from, &now);
	switch_in(run, to, now);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	return forked(parent, child);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_pid, struct linux_binprm *binary)
{
	return execed(task, record_only((const void *)BPF_CORE_READ(binary, filename)));
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_end, struct task_struct *task)
{
	return ended(task);
}

SEC("tp/raw_syscalls/sys_enter")
int on_enter_tp(struct trace_event_raw_sys_enter *event)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct running *run = target_here(task);

	return run ? entered(run, task, 0, event->id) : 0;
}

SEC("tp/raw_syscalls/sys_exit")
int on_exit_tp(struct trace_event_raw_sys_exit *event)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct running *run = target_here(task);
	long nr = event->id;

	if (!run)
		return 0;
	/* Another call's number (-1 is that of sigreturn): the exit of one and the enter of the other were skipped. */
	if (run->call.key && nr >= 0 && ((run->call.key ^ nr) & KEY_NR_MASK & ~X32_SYSCALL_BIT))
		never_returned(run);
	return returned(run, task, 0, event->ret);
}

SEC("tp/signal/signal_deliver")
int on_signal_tp(struct trace_event_raw_signal_deliver *event)
{
	return signalled(bpf_get_current_task_btf(), event->sa_handler, event->sa_flags);
}

SEC("tp/sched/sched_process_fork")
int on_fork_tp(struct trace_event_raw_sched_process_fork *event)
{
	struct task_struct *parent = bpf_get_current_task_btf();
	struct task_struct *child;

	if (!state_of(parent))
		return 0;
	child = bpf_task_from_pid(event->child_pid);
	if (!child) {
		ADD(control.lost_tasks, 1);
		return 0;
	}
	forked(parent, child);
	bpf_task_release(child);
	return 0;
}

SEC("tp/sched/sched_process_exec")
int on_exec_tp(struct trace_event_raw_sched_process_exec *event)
{
	return execed(bpf_get_current_task_btf(), record_only((void *)event + (event->__data_loc_filename & 0xffff)));
}

SEC("tp/sched/sched_process_exit")
int on_end_tp(void *event)
{
	return ended(bpf_get_current_task_btf());
}

// SPDX-License-Identifier: MIT
/*
 * straced's eye in the kernel: counts the system calls of marked tasks.
 *
 * A task is a target if it has an entry in the task storage `tasks`; children and threads get theirs at fork, before
 * their first call. Tracing programs on raw tracepoints run for every call of every task, and leave at once if there is
 * none. All counters stand in `rows`, which user space reads by mmap.
 */
#include "vmlinux_min.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "wire.h"
#include "maps.h"
#include "durations.h"
#include "rows.h"
#include "fold.h"
#include "running.h"
#include "calls.h"
#include "restarts.h"
#include "rights.h"
#include "lifecycle.h"
#include "sums.h"
#include "attach.h"

char LICENSE[] SEC("license") = "GPL";

SEC("tp_btf/sys_enter")
int BPF_PROG(on_enter, struct pt_regs *regs, long nr)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct running *run = target_here(task);
	u32 key;

	if (!run)
		return 0;
	key = key_of(task, regs, nr);
	if (run->flags) {
		run->flags &= ~(TASK_EXISTED | TASK_FRESH);
		if (run->flags & TASK_SUSPENDED && resumed(run, regs, key))
			return 0;
	}
	run->call.key = key;
	run->call.row = row_of(run, key);
	begin(run->call.row);
	run->call.waiting_ns = 0;
	run->call.enter_ns = bpf_ktime_get_ns();
	return 0;
}

/*
 * An exit without an enter: a call that seccomp denied before the tracepoint. Not so for the child side of a clone, and
 * for the one call that a task may have been in when it was attached to.
 */
__attribute__((noinline)) static int exit_only(struct running *run, struct pt_regs *regs, long ret)
{
	u32 key = key_of(bpf_get_current_task_btf(), regs, number_in(regs));
	u32 flags = run->flags;
	u32 index;

	if (flags & (TASK_EXISTED | TASK_FRESH)) {
		run->flags &= ~(TASK_EXISTED | TASK_FRESH);
		if (flags & TASK_EXISTED && is_restart(ret)) {
			/* it will be made again: not a call of ours then either */
			run->call.key = key;
			run->call.row = 0;
			run->call.waiting_ns = 0;
			suspend(run, regs, 0, ret);
		}
		return 0;
	}
	index = row_of(run, key);
	if (index && ret < 0 && ret >= -4095 && !is_restart(ret))
		add_slot(index, -ret, 1);
	begin(index);
	abandon(index);
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_exit, struct pt_regs *regs, long ret)
{
	struct running *run = target_here(bpf_get_current_task_btf());
	u64 wall_ns;
	u32 key;

	if (!run)
		return 0;
	key = run->call.key;
	if (!key) {
		exit_only(run, regs, ret);
		return 0;
	}
	wall_ns = bpf_ktime_get_ns() - run->call.enter_ns;
	if (ret < 0) {
		if (is_sigreturn(key)) {
			ret = 0;
		} else if (is_restart(ret)) {
			suspend(run, regs, wall_ns, ret);
			return 0;
		}
	}
	run->call.key = 0;
	finish(run->call.row, wall_ns, run->call.waiting_ns, ret);
	return 0;
}

SEC("tp_btf/signal_deliver")
int BPF_PROG(on_signal, int signal, struct kernel_siginfo *info, struct k_sigaction *action)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct running *run = target_here(task);
	struct task_state *state;

	if (!run || !(run->flags & TASK_SUSPENDED))
		return 0;
	state = state_of(task);
	if (state)
		interrupted(run, state, action);
	return 0;
}

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
	struct task_state *from = state_of(parent);
	struct owner *process, *session;
	bool thread = child->tgid == parent->tgid;
	u32 index;

	if (!from)
		return 0;
	process = owner_at(from->process);
	session = process ? owner_at(process->session) : 0;
	if (!session || session->flags & SESSION_CLOSED || (!thread && !(session->flags & SESSION_FOLLOW)))
		return 0;
	index = from->process;
	if (!thread) {
		ADD(session->processes, 1);
		index = make_owner(KIND_PROCESS, process->session, process->session, child);
		if (!index) {
			ADD(control.shared_owners, 1);
			index = from->process;
		}
	}
	enlist(index, child, TASK_FRESH, COUNT_LIVE);
	if (!thread)
		report(EVENT_FORK, process->session, process->pid, pid_in_namespace(parent), pid_in_namespace(child), 0);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_pid, struct linux_binprm *binary)
{
	struct task_state *state = state_of(task);
	struct owner *owner;

	if (!state)
		return 0;
	owner = owner_at(state->process);
	if (!owner)
		return 0;
	if (left_user(owner->session, task))
		return pass_on(state, task);
	if (began_secure(task))
		set_flags(owner, OWNER_ELEVATED);
	bpf_probe_read_kernel(owner->comm, sizeof(owner->comm), task->comm);
	report(EVENT_EXEC, owner->session, owner->pid, owner->pid, 0, 0);
	/* A thread that calls execve takes the number of its process over (fs/exec.c de_thread). */
	owner = owner_at(state->owner);
	if (owner && owner->kind == KIND_THREAD) {
		owner->pid = pid_in_namespace(task);
		owner->host_pid = task->pid;
	}
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_end, struct task_struct *task)
{
	struct task_state *state = state_of(task);
	struct running *run;

	if (state)
		end_task(state, task);
	run = running_here();
	if (run)
		run->task = 0;	/* another task may get its address */
	return 0;
}

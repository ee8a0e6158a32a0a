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
#include "rows.h"
#include "fold.h"
#include "calls.h"
#include "restarts.h"
#include "lifecycle.h"
#include "attach.h"

char LICENSE[] SEC("license") = "GPL";

INLINE struct task_state *state_of(struct task_struct *task)
{
	return bpf_task_storage_get(&tasks, task, 0, 0);
}

SEC("tp_btf/sys_enter")
int BPF_PROG(on_enter, struct pt_regs *regs, long nr)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *state = state_of(task);
	struct row *row;
	u32 key;

	if (!state)
		return 0;
	key = key_of(task, regs, nr);
	if (state->flags) {
		if (state->flags & TASK_QUIET)
			return 0;
		state->flags &= ~(TASK_EXISTED | TASK_FRESH);
		if (state->depth && resumed(state, regs, key))
			return 0;
	}
	state->key = key;
	state->row = row_of(state, key);
	row = row_at(state->row);
	if (row && state->row)
		ADD(row->calls, 1);
	state->waiting_ns = 0;
	state->off_ns = 0;
	state->enter_ns = bpf_ktime_get_ns();
	return 0;
}

/*
 * An exit without an enter: a call that seccomp denied before the tracepoint. Not so for the child side of a clone, and
 * for the one call that a task may have been in when it was attached to.
 */
static __attribute__((noinline)) void exit_only(struct task_state *state, struct task_struct *task,
						struct pt_regs *regs, long ret)
{
	u32 key = key_of(task, regs, number_in(regs));
	struct row *row;
	u32 index;

	if (state->flags & (TASK_QUIET | TASK_EXISTED | TASK_FRESH)) {
		if (state->flags & TASK_EXISTED && is_restart(ret)) {
			state->waiting_ns = 0;
			suspend(state, regs, key, 0, 0, ret);
		}
		state->flags &= ~(TASK_EXISTED | TASK_FRESH);
		return;
	}
	index = row_of(state, key);
	row = row_at(index);
	if (!row || !index)
		return;
	if (ret < 0 && ret >= -4095 && !is_restart(ret))
		add_slot(index, -ret, 1);
	ADD(row->calls, 1);
	ADD(row->done, 1);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_exit, struct pt_regs *regs, long ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *state = state_of(task);
	u64 wall_ns;
	u32 key, row;

	if (!state)
		return 0;
	key = state->key;
	row = state->row;
	if (!key) {
		exit_only(state, task, regs, ret);
		return 0;
	}
	wall_ns = bpf_ktime_get_ns() - state->enter_ns;
	state->key = 0;
	if (ret < 0) {
		if (is_sigreturn(key)) {
			ret = 0;
		} else if (is_restart(ret)) {
			suspend(state, regs, key, row, wall_ns, ret);
			return 0;
		}
	}
	finish(row, wall_ns, state->waiting_ns, ret);
	return 0;
}

SEC("tp_btf/signal_deliver")
int BPF_PROG(on_signal, int signal, struct kernel_siginfo *info, struct k_sigaction *action)
{
	struct task_state *state = state_of(bpf_get_current_task_btf());

	if (state && state->depth)
		interrupted(state, action);
	return 0;
}

/* Time switched out inside a call is waiting; the rest is working. */
SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *from, struct task_struct *to)
{
	struct task_state *state = state_of(from);
	u64 now = 0;

	if (state && state->key)
		state->off_ns = now = bpf_ktime_get_ns();
	state = state_of(to);
	if (state && state->key && state->off_ns) {
		state->waiting_ns += (now ?: bpf_ktime_get_ns()) - state->off_ns;
		state->off_ns = 0;
	}
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	struct task_state *from = state_of(parent);
	struct task_state *state;
	struct owner *process, *session;
	bool thread = child->tgid == parent->tgid;
	u32 index;

	if (!from)
		return 0;
	process = owner_at(from->process);
	session = process ? owner_at(process->session) : 0;
	if (!session || session->flags & SESSION_CLOSED || (!thread && !(session->flags & SESSION_FOLLOW)))
		return 0;
	state = bpf_task_storage_get(&tasks, child, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!state) {
		ADD(control.lost_tasks, 1);
		return 0;
	}
	index = from->process;
	if (!thread) {
		ADD(session->processes, 1);
		index = make_owner(KIND_PROCESS, process->session, process->session, child);
		if (!index) {
			ADD(control.shared_owners, 1);
			index = from->process;
		}
	}
	enlist(state, index, child, TASK_FRESH);
	state->counted = COUNT_LIVE;
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

	if (state)
		end_task(state, task);
	return 0;
}

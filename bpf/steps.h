/* SPDX-License-Identifier: MIT */
/*
 * What is done when a task enters a call, leaves it, is sent a signal, forks, execs or ends; profiler.bpf.c hears of it.
 *
 * A kernel may skip a program: when a task that it preempted is inside the same one on this CPU. What one end of a call
 * missed is made good at the other: it is counted then, without a time.
 */
#ifndef STRACED_STEPS_H
#define STRACED_STEPS_H

/* The return of the call in this state was never seen. */
__attribute__((noinline)) static int never_returned(struct running *run)
{
	abandon(run->call.row);
	record_abandoned_call(&run->call);
	run->call.key = 0;
	ADD(control.skipped_exits, 1);
	return 0;
}

INLINE int entered(struct running *run, struct task_struct *task, struct pt_regs *regs, long nr)
{
	u32 key = key_of(task, nr);

	if (has_left_before(run))
		return 0;
	record_entered(task, key);
	if (run->flags | run->call.key) {
		if (run->call.key)
			never_returned(run);
		run->flags &= ~(TASK_EXISTED | TASK_FRESH);
		if (run->flags & TASK_SUSPENDED && resumed(run, regs ?: (struct pt_regs *)bpf_task_pt_regs(task), key))
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
 * An exit without an enter: a call that seccomp denied before the tracepoint, or whose enter was skipped. Not so for the
 * child side of a clone, and for the one call that a task may have been in when it was attached to.
 */
__attribute__((noinline)) static int exit_only(struct running *run, struct pt_regs *regs, long ret)
{
	u32 key = key_of(bpf_get_current_task_btf(), number_in(regs));
	u32 flags = run->flags;
	u32 index;

	run->flags &= ~(TASK_EXISTED | TASK_FRESH);
	if (flags & TASK_FRESH && !ret && makes_tasks(key))
		return 0;
	if (flags & TASK_EXISTED) {
		record_existed(key, number_in(regs), ret);
		return 0;
	}
	index = row_of(run, key);
	if (index && ret < 0 && ret >= -4095 && !is_restart(ret))
		add_slot(index, -ret, 1);
	begin(index);
	abandon(index);
	record_exit_only(key, index, ret);
	ADD(control.skipped_enters, 1);
	return 0;
}

INLINE int returned(struct running *run, struct task_struct *task, struct pt_regs *regs, long ret)
{
	u32 key = run->call.key;
	u64 wall_ns;

	if (has_left(run))
		return 0;
	if (!key) {
		regs = regs ?: (struct pt_regs *)bpf_task_pt_regs(task);
		if (!(run->flags & TASK_EXISTED && is_restart(ret)))
			return exit_only(run, regs, ret);
		/* It will be made again: not a call of ours then either. Not in exit_only, for the sake of the stack. */
		run->flags &= ~(TASK_EXISTED | TASK_FRESH);
		run->call.key = key_of(task, number_in(regs));
		run->call.row = 0;
		run->call.waiting_ns = 0;
		suspend(run, regs, 0, ret);
		return 0;
	}
	wall_ns = bpf_ktime_get_ns() - run->call.enter_ns;
	if (ret < 0) {
		if (is_sigreturn(key)) {
			ret = 0;
		} else if (is_restart(ret)) {
			suspend(run, regs ?: (struct pt_regs *)bpf_task_pt_regs(task), wall_ns, ret);
			return 0;
		}
	}
	run->call.key = 0;
	finish(run->call.row, wall_ns, run->call.waiting_ns, ret);
	record_return(task, key, run->call.row, run->call.enter_ns + wall_ns, wall_ns, run->call.waiting_ns, ret,
		      regs ?: (struct pt_regs *)bpf_task_pt_regs(task));
	return 0;
}

INLINE int signalled(struct task_struct *task, u64 handler, u64 flags)
{
	struct running *run = target_here(task);
	struct task_state *state;

	if (!run || !(run->flags & TASK_SUSPENDED) || has_left(run))
		return 0;
	state = state_of(task);
	if (state)
		interrupted(run, state, handler, flags);
	return 0;
}

INLINE int forked(struct task_struct *parent, struct task_struct *child)
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

/* `filename` is in the kernel's memory. */
INLINE int execed(struct task_struct *task, const void *filename)
{
	struct task_state *state = state_of(task);
	struct owner *owner;

	if (!state)
		return 0;
	owner = owner_at(state->process);
	if (!owner)
		return 0;
	if (recording_closed())
		return 0;
	if (left_user(owner->session, task)) {
		record_leaving();
		return pass_on(state, task);
	}
	record_exec(filename);
	if (is_another(owner, task)) {
		next_program(task);
		owner = owner_at(state->process);
		if (!owner)
			return 0;
	}
	note_beginning(owner, task);
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

INLINE int ended(struct task_struct *task)
{
	struct task_state *state = state_of(task);
	struct running *run;

	if (state) {
		bool told = is_told_at_end(state, task);

		if (!told)
			record_leaving();
		end_task(state, task);
		if (told)
			record_end(task);
	}
	run = running_here();
	if (run)
		run->task = 0;	/* another task may get its address */
	return 0;
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * What user space asks for. It gives the thread-group leader its entry through a pidfd; `mark` then finds that
 * leader's threads, by object and not by number, until a whole pass finds no new one. `unmark` takes the entries of a
 * session away. `serve` does the few steps that must be atomic. It is a raw tracepoint that is attached nowhere and run by
 * BPF_PROG_TEST_RUN: a program of type "syscall" may sleep, and before 6.12 such a one may not use stacks.
 */
#ifndef STRACED_ATTACH_H
#define STRACED_ATTACH_H

/* Counts a task that lives already. It may be ending on another CPU: whoever comes second takes it out again. */
INLINE void count_living(struct task_state *state, struct task_struct *task)
{
	if (__sync_val_compare_and_swap(&state->counted, COUNT_NOT_YET, COUNT_LIVE) != COUNT_NOT_YET) {
		end_thread(state, true);
		leave(control.mark_owner, task, true);
		return;
	}
	ADD_FULL(control.marked, 1);	/* the mark is there before user space changes the epoch */
	if (*(volatile unsigned int *)&task->flags & PF_EXITING &&
	    __sync_lock_test_and_set(&state->counted, COUNT_ENDED) == COUNT_LIVE) {
		end_thread(state, true);
		leave(control.mark_owner, task, true);
	}
}

/*
 * Notes down whether a pass has come to the end of the list of threads. The kernel ends it early when the thread at which
 * it stands is gone meanwhile. New threads stand behind all others: those whose parents were not marked yet come later
 * in the same pass, and the others are counted by their fork.
 */
INLINE void note_end(struct task_struct *task)
{
	struct signal_struct *signal = BPF_CORE_READ(task, signal);

	control.whole = BPF_CORE_READ(task, thread_node.next) == &signal->thread_head;
}

INLINE int mark_task(struct task_struct *task)
{
	struct task_struct *leader;
	struct task_state *state;
	struct owner *owner, *session;

	if (task->flags & PF_EXITING)
		return 0;
	leader = task->group_leader;
	if (!leader)
		return 0;
	state = state_of(leader);
	if (!state || state->process != control.mark_owner)
		return 0;
	owner = owner_at(control.mark_owner);
	session = owner ? owner_at(owner->session) : 0;
	if (!session)
		return 0;
	state = state_of(task);
	if (!state || state->counted == COUNT_NOT_YET) {
		if (is_foreign(session, task) || (session->flags & SESSION_STRICT && !began_as_user(session, task))) {
			if (state)
				set_flags(owner, OWNER_LEFT);
			return 0;
		}
	}
	if (!state) {
		state = enlist(control.mark_owner, task, TASK_EXISTED, COUNT_NOT_YET);
		if (state && one_user_only(is_foreign(session, task)))	/* since an execve that found no entry of it yet */
			state->counted = COUNT_ENDED;	/* as if it had ended: whoever counts it takes it out again */
		if (state)
			count_living(state, task);
		return 0;
	}
	if (state->counted != COUNT_NOT_YET)
		return 0;
	/* The leader, as user space claimed it; quietly, as long as it had not been seen whose it is. */
	if (session->flags & SESSION_STRICT && !(owner->flags & OWNER_QUIET))
		state->flags &= ~TASK_QUIET;
	note_beginning(owner, task);
	owner->host_pid = task->tgid;
	owner->start_ns = task->start_boottime;
	note_program(owner, session, task);
	bpf_probe_read_kernel(owner->comm, sizeof(owner->comm), task->comm);
	ADD(session->threads, 1);
	ADD(owner->live, 1);
	count_living(state, task);
	return 0;
}

SEC("iter/task")
int mark(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	if (!task)
		return 0;
	mark_task(task);
	note_end(task);
	return 0;
}

SEC("iter/task")
int unmark(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct task_state *state;
	struct owner *process;

	if (!task)
		return 0;
	state = state_of(task);
	process = state ? owner_at(state->process) : 0;
	if (!process || process->session != control.mark_owner)
		return 0;
	bpf_task_storage_delete(&tasks, task);
	ADD_FULL(control.marked, 1);
	return 0;
}

/*
 * Arguments: what is asked for (enum request_op), an owner or a row, and in whose share it is. What bpf(2) could do to a
 * map itself is done here all the same: within that call the kernel skips perf's programs on this CPU, also for whoever
 * preempts it.
 */
SEC("raw_tp")
int serve(struct bpf_raw_tracepoint_args *ctx)
{
	u32 op = ctx->args[0];
	u32 index = ctx->args[1];
	u32 payer = ctx->args[2];
	struct owner *owner;

	switch (op) {
	case REQUEST_HOLD:
		__sync_lock_test_and_set(&control.hold, 1);
		return __sync_fetch_and_add(&control.folding, 0);
	case REQUEST_RESUME:
		__sync_lock_test_and_set(&control.hold, 0);
		break;
	case REQUEST_FOLD:
		owner = owner_at(index);
		if (!owner || owner->state != OWNER_ENDED)
			break;
		if (owner->kind == KIND_THREAD) {
			struct owner *process = owner_at(owner->parent);

			fold_owner(index);
			if (process)
				ADD(process->deferred, -1);
		} else if (!owner->deferred) {
			fold_owner(index);
		}
		break;
	case REQUEST_UNBIAS:
		leave(index, 0, true);
		break;
	case REQUEST_OWNER:
		return take_owner(payer);
	case REQUEST_SUM:
		bpf_loop(control.next_row, sum_step, 0, 0);
		break;
	case REQUEST_GIVE_ROW:
		give_row(index);
		break;
	case REQUEST_GIVE_OWNER:
		unpay_owner(payer);
		bpf_map_push_elem(&free_owners, &index, 0);
		break;
	case REQUEST_WHOAMI: {
		struct task_struct *task = bpf_get_current_task_btf();
		struct pid *pid = BPF_CORE_READ(task, thread_pid);
		struct upid upid = {};

		control.self_level = BPF_CORE_READ(pid, level);
		bpf_probe_read_kernel(&upid, sizeof(upid),
				      (void *)&pid->numbers + control.self_level * bpf_core_type_size(struct upid));
		control.self_namespace = (u64)upid.ns;
		break;
	}
	}
	return 0;
}

#endif

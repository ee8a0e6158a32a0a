/* SPDX-License-Identifier: MIT */
/* Processes and threads of a session: how they come in, and what happens when they end. */
#ifndef STRACED_LIFECYCLE_H
#define STRACED_LIFECYCLE_H

#define PF_EXITING 0x4			/* include/linux/sched.h */
#define SIGNAL_GROUP_EXIT 0x4		/* include/linux/sched/signal.h */

/*
 * The number of a task in straced's own PID namespace; 0 where it is not in it. Pointers are followed by reading kernel
 * memory, here and below: for each one that is followed directly the verifier searches all types of the kernel.
 */
INLINE u32 pid_in_namespace(struct task_struct *task)
{
	u32 level = control.self_level;
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	struct upid upid = {};

	if (!pid || level > BPF_CORE_READ(pid, level))
		return 0;
	bpf_probe_read_kernel(&upid, sizeof(upid), (void *)&pid->numbers + level * bpf_core_type_size(struct upid));
	return (u64)upid.ns == control.self_namespace ? upid.nr : 0;
}

INLINE void report(u32 kind, u32 session, u32 pid, u32 tid, u32 child, u32 exit_code)
{
	struct event *event;

	if (!control.listening)
		return;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		ADD(control.lost_events, 1);
		return;
	}
	event->time_ns = bpf_ktime_get_ns();
	event->kind = kind;
	event->session = session;
	event->pid = pid;
	event->tid = tid;
	event->child = child;
	event->exit_code = exit_code;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_ringbuf_submit(event, 0);
}

INLINE u32 make_owner(u32 kind, u32 session, u32 parent, struct task_struct *task)
{
	u32 payer = payer_of(BPF_CORE_READ(task, cred, uid.val));
	u32 index = take_owner(payer);
	struct owner *owner = owner_at(index);

	if (!index || !owner)
		return 0;
	owner->kind = kind;
	owner->payer = payer;
	owner->flags = 0;
	if (kind == KIND_PROCESS)
		note_beginning(owner, task);
	owner->parent = parent;
	owner->session = session;
	owner->live = 0;
	owner->deferred = 0;
	owner->pid = pid_in_namespace(task);
	owner->host_pid = task->pid;
	owner->exit_code = 0;
	owner->start_ns = task->start_boottime;
	bpf_probe_read_kernel(owner->comm, sizeof(owner->comm), task->comm);
	note_program(owner, owner_at(session), task);
	owner->state = OWNER_LIVE;
	return index;
}

/*
 * A new process is not the user's of its session: it goes to the session's heir, which is returned. Without one it is
 * not counted at all.
 */
INLINE struct owner *disinherit(u32 index, struct owner *process, struct owner *session, struct task_struct *task)
{
	struct owner *heir = session->heir ? owner_at(session->heir) : 0;

	if (process->host_pid != task->pid) {	/* there was no owner for it, and it is to be counted into its parent */
		ADD(control.lost_tasks, 1);
		return 0;
	}
	if (!heir) {
		give_owner(index, process);
		return 0;
	}
	process->parent = process->session = session->heir;
	set_flags(process, OWNER_ELEVATED);
	ADD(heir->processes, 1);
	return heir;
}

/* A task comes into a process of a session. Its first call is still to come, or at most one is in flight. */
INLINE struct task_state *enlist(u32 process, struct task_struct *task, u32 flags, u32 counted)
{
	struct owner *owner = owner_at(process);
	struct owner *session = owner ? owner_at(owner->session) : 0;
	struct task_state fresh = {}, *state;

	if (!session)
		return 0;
	if (flags & TASK_FRESH && task->pid == task->tgid && is_foreign(session, task)) {
		session = disinherit(process, owner, session, task);
		if (!session)
			return 0;
	}
	if (flags & TASK_FRESH && session->flags & SESSION_STRICT && !owner->host_pid)
		return 0;	/* a thread of a process of which it is not seen yet whose it is: `mark` will find it */
	fresh.marked_ns = bpf_ktime_get_ns();
	fresh.process = fresh.owner = process;
	fresh.counted = counted;
	fresh.flags = flags;
	if (owner->flags & OWNER_QUIET)
		fresh.flags |= TASK_QUIET;
	else if (session->flags & SESSION_PER_THREAD)
		fresh.owner = make_owner(KIND_THREAD, owner->session, process, task) ?: process;
	state = bpf_task_storage_get(&tasks, task, &fresh, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!state) {
		ADD(control.lost_tasks, 1);
		return 0;
	}
	ADD(session->threads, 1);
	ADD(owner->live, 1);
	return state;
}

/* `later`: leave the folding to the reader. */
INLINE void end_thread(struct task_state *state, bool later)
{
	struct owner *thread = owner_at(state->owner);
	struct owner *process = owner_at(state->process);

	if (!thread || !process || state->owner == state->process)
		return;
	if (!later && fold_begin()) {
		fold_owner(state->owner);
		fold_end();
		return;
	}
	ADD(process->deferred, 1);
	thread->state = OWNER_ENDED;
}

/* Folds a process into its session, unless somebody still wants its rows apart. */
INLINE void end_process(u32 index, bool later)
{
	struct owner *process = owner_at(index);
	struct owner *session;

	if (!process)
		return;
	session = owner_at(process->session);
	if (!session)
		return;
	if (!(process->flags & (OWNER_LEFT | OWNER_PAST)))
		report(EVENT_EXIT, process->session, process->pid, process->pid, 0, process->exit_code);
	if (process->flags & OWNER_KEEP || session->flags & SESSION_CLOSED || later || !fold_begin()) {
		process->state = OWNER_ENDED;
		return;
	}
	if (process->deferred)
		process->state = OWNER_ENDED;
	else
		fold_owner(index);
	fold_end();
}

/* wait(2)'s status, as kernel/exit.c wait_task_zombie() makes it. */
INLINE u32 exit_code_of(struct task_struct *task)
{
	if (BPF_CORE_READ(task, signal, flags) & SIGNAL_GROUP_EXIT)
		return BPF_CORE_READ(task, signal, group_exit_code);
	return BPF_CORE_READ(task, group_leader, exit_code);
}

/* A thread of a process is gone; whoever is the last one ends the process. */
INLINE void leave(u32 process, struct task_struct *task, bool later)
{
	struct owner *owner = owner_at(process);

	if (!owner || __sync_fetch_and_add(&owner->live, -1) != 1)
		return;
	if (task)
		owner->exit_code = exit_code_of(task);
	end_process(process, later);
}

INLINE void end_task(struct task_state *state, struct task_struct *task)
{
	u32 counted = __sync_lock_test_and_set(&state->counted, COUNT_ENDED);
	struct running *run;

	record_last(state, task);
	run = target_here(task);
	if (run) {
		if (run->call.key)
			abandon(run->call.row);
		run->call.key = 0;
		run->target = 0;
	}
	for (int i = 0; i < SUSPENDED_MAX; i++)
		if (i < state->depth)
			abandon(state->suspended[i].row);
	state->depth = 0;
	if (counted != COUNT_LIVE)
		return;
	end_thread(state, false);
	leave(state->process, task, false);
}

/* Begins to count a task, which is running here, into another process. The call that it is in is not counted there. */
INLINE void count_into(u32 index, struct task_state *state, struct task_struct *task)
{
	struct running *run = running_here();

	state->process = state->owner = index;
	state->flags = TASK_EXISTED;
	state->call.key = 0;
	state->off_ns = 0;
	state->marked_ns = bpf_ktime_get_ns();
	__sync_lock_test_and_set(&state->counted, COUNT_LIVE);
	if (!run)
		return;
	load_state(run, state, 0);
	run->task = (u64)task;
	run->epoch = epoch_now();
}

/*
 * An execve made a process somebody else's than the user's of its session: what it did so far stays theirs. From here on
 * it is counted by the session's heir, for those who may see it; without one it is let go.
 */
INLINE int pass_on(struct task_state *state, struct task_struct *task)
{
	struct owner *process = owner_at(state->process);
	struct owner *session = process ? owner_at(process->session) : 0;
	struct owner *heir = session && session->heir ? owner_at(session->heir) : 0;
	struct owner *anew = 0;
	u32 index = 0, kept;

	if (!session)
		return 0;
	kept = process->flags & OWNER_KEEP;
	if (heir && state->counted == COUNT_LIVE) {
		index = make_owner(KIND_PROCESS, session->heir, session->heir, task);
		anew = index ? owner_at(index) : 0;
		if (!anew)
			ADD(control.lost_tasks, 1);
	}
	set_flags(process, OWNER_LEFT);
	end_task(state, task);
	if (!anew) {
		bpf_task_storage_delete(&tasks, task);
		return 0;
	}
	set_flags(anew, OWNER_ELEVATED | kept);
	anew->live = 1;
	ADD(heir->processes, 1);
	ADD(heir->threads, 1);
	count_into(index, state, task);
	return 0;
}

/*
 * An execve began another program in a session that tells them apart: what the process did so far is added to what the
 * others did that ran the former one, and it goes on with an owner of its own. The execve ends here, as the last call of
 * the former program. Without room for an owner it is not known any more which program the rows are of.
 */
INLINE int next_program(struct task_struct *task)
{
	struct task_state *state = state_of(task);
	struct owner *process = state ? owner_at(state->process) : 0;
	struct running *run;
	struct owner *anew;
	u32 index, kept;

	if (!process || state->counted != COUNT_LIVE)
		return 0;
	kept = process->flags & (OWNER_KEEP | OWNER_ELEVATED);
	index = make_owner(KIND_PROCESS, process->session, process->session, task);
	anew = index ? owner_at(index) : 0;
	if (!anew) {
		process->program[0] = 0;
		return 0;
	}
	run = target_here(task);
	if (run && run->call.key) {
		finish(run->call.row, bpf_ktime_get_ns() - run->call.enter_ns, run->call.waiting_ns, 0);
		run->call.key = 0;
	}
	set_flags(anew, kept);
	set_flags(process, OWNER_PAST);
	__sync_fetch_and_and(&process->flags, ~OWNER_KEEP);
	anew->live = 1;
	end_task(state, task);
	count_into(index, state, task);
	return 0;
}

/* Whether an execve began another program than the one that the rows of a process are of. */
INLINE bool is_another(struct owner *process, struct task_struct *task)
{
	struct owner *session = owner_at(process->session);
	u64 name[PROGRAM_WORDS];

	if (!session || !(session->flags & SESSION_PROGRAMS))
		return false;
	program_in(task, name);
	return !same_program(process->program, name);
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * A recording for one user has nothing of what is not theirs. An execve that changes rights is seen as such (left_user);
 * ids, capabilities and whether a process may be looked at also change without one, so that each record is preceded by a
 * look at whose the task is now. What is somebody else's is let go of for good, with all threads of its process: of a call
 * that one is in it is told that it was called, and nothing of how it went; of what it calls then, nothing.
 *
 * It is an object of its own (recorder_user.bpf.c): not every verifier has the patience for both together.
 */
#ifndef STRACED_RECORD_RIGHTS_H
#define STRACED_RECORD_RIGHTS_H

#ifdef ONE_USER

#define one_user_only(value) (value)

/* The call that the current task is in, without its arguments. Not static: verified once, not at each of its callers. */
__attribute__((noinline)) int record_leaving(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u32 zero = 0;
	struct running *run = bpf_map_lookup_elem(&running, &zero);
	struct task_state *state;
	struct call *place, call;

	if (run && run->task == (u64)task) {
		place = &run->call;
	} else {
		state = state_of(task);
		if (!state)
			return 0;
		place = &state->call;
	}
	call = *place;
	call.key = claim_key(&place->key);
	if (!call.key)
		return 0;
	abandon(call.row);
	record_abandoned_call(&call);
	return 0;
}

/* Whether what a task did last, or is in, may be told with its arguments: no thread of its process has left the user. */
INLINE bool is_told(struct task_state *state)
{
	struct owner *process = owner_at(state->process);

	return process && !(process->flags & OWNER_LEFT);
}

/* Counts the current task no more. Not static: it has its stack only while it needs it. */
__attribute__((noinline)) int let_current_go(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *state = state_of(task);

	if (state && __sync_lock_test_and_set(&state->counted, COUNT_ENDED) == COUNT_LIVE) {
		end_thread(state, true);
		leave(state->process, 0, true);
	}
	bpf_task_storage_delete(&tasks, task);
	return 0;
}

/*
 * Lets the current task go unless it is still the user's of its session, and its process was so far; whether it did. There
 * is no heir, and folding is left to the reader: calls may not be nested so deeply here.
 */
__attribute__((noinline)) int left_user_since(u32 owner_index)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct running *run = running_here();
	struct owner *owner = owner_at(owner_index);
	struct owner *session = owner ? owner_at(owner->session) : 0;
	struct owner *process;
	struct task_state *state = state_of(task);

	if (!session || !run)
		return 1;
	if (is_users(session, task) && (!state || is_told(state)))
		return 0;
	set_flags(session, SESSION_LOST_USER);
	record_leaving();
	run->target = 0;
	process = state ? owner_at(state->process) : 0;
	if (!state || !process)
		return 1;
	set_flags(process, OWNER_LEFT);
	record_last_suspended(state);
	let_current_go();
	return 1;
}

/* Whether a task, which returns from a call or is sent a signal, is the user's of its recording no more. */
INLINE bool has_left(struct running *run)
{
	return left_user_since(run->owner);
}

/* Whether another thread has left the user before this call: it is not counted, so that there is nothing to be told of it. */
INLINE bool has_left_before(struct running *run)
{
	struct owner *process = owner_at(run->owner);

	return process && process->flags & OWNER_LEFT && left_user_since(run->owner);
}

/* Whether the arguments of the call that any task is in may be told. */
INLINE bool is_users_now(struct task_struct *task)
{
	struct task_state *state = state_of(task);
	struct owner *process, *session;

	process = state ? owner_at(state->process) : 0;
	session = process ? owner_at(process->session) : 0;
	return session && is_told(state) && is_users(session, task);
}

/* The same of a task that ends; before Linux 6.16 without its memory, which says whether it is dumpable. */
INLINE bool is_told_at_end(struct task_state *state, struct task_struct *task)
{
	return is_told(state) && (!BPF_CORE_READ(task, mm) || is_users_now(task));
}

#else

#define one_user_only(value) 0
#define is_users_now(task) true
#define record_leaving() ((void)0)
#define has_left(run) false
#define has_left_before(run) false
#define is_told_at_end(state, task) true

#endif
#endif

/* SPDX-License-Identifier: MIT */
/*
 * The task on this CPU. What is needed at every call is copied here when it is switched in, and written back when it is
 * switched out: a call then costs no look-up of the task, and next to nothing for a task that is no target.
 *
 * Right without locks: only programs on this CPU touch it, and a task's own programs run where the task runs. A task
 * that is marked while it runs is noticed by the epoch: user space changes it when the marks are set, so that a program
 * that still sees the old one runs in a call that began before the end of the attach.
 */
#ifndef STRACED_RUNNING_H
#define STRACED_RUNNING_H

INLINE struct task_state *state_of(struct task_struct *task)
{
	return bpf_task_storage_get(&tasks, task, 0, 0);
}

INLINE struct running *running_here(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&running, &zero);
}

INLINE u32 epoch_now(void)
{
	return *(volatile u32 *)&control.epoch;
}

INLINE void load_state(struct running *run, struct task_state *state, u64 now)
{
	run->target = state->process && !(state->flags & TASK_QUIET) && state->counted != COUNT_ENDED;
	run->call = state->call;
	run->marked_ns = state->marked_ns;
	run->flags = state->flags;
	run->owner = state->owner;
	if (run->call.key && state->off_ns)
		run->call.waiting_ns += (now ?: bpf_ktime_get_ns()) - state->off_ns;
	state->off_ns = 0;
	record_loaded(state);
}

/*
 * Something was marked or unmarked since this task was switched in, which may concern it. Or it was switched in unseen:
 * that happens after tasks whose switches a kernel does not trace.
 */
__attribute__((noinline)) static int refresh(struct running *run)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u32 epoch = epoch_now();
	struct task_state *state = state_of(task);

	if (!state)
		run->target = 0;
	else if (!run->target || run->task != (u64)task || run->marked_ns != state->marked_ns)
		load_state(run, state, 0);
	run->task = (u64)task;
	run->epoch = epoch;
	return 0;
}

/* What runs here, if it is a target. */
INLINE struct running *target_here(struct task_struct *task)
{
	struct running *run = running_here();

	if (!run || recording_closed())
		return 0;
	if (run->task != (u64)task || run->epoch != epoch_now())
		refresh(run);
	return run->target ? run : 0;
}

/* Time switched out inside a call is waiting; the rest is working. */
INLINE void switch_out(struct running *run, struct task_struct *task, u64 *now)
{
	struct task_state *state = state_of(task);

	if (!state || state->marked_ns != run->marked_ns || run->task != (u64)task)
		return;
	state->call = run->call;
	state->flags = run->flags;
	if (run->call.key)
		state->off_ns = *now = bpf_ktime_get_ns();
	record_stored(run, state);
}

INLINE void switch_in(struct running *run, struct task_struct *task, u64 now)
{
	struct task_state *state;

	run->task = (u64)task;
	run->epoch = epoch_now();
	run->target = 0;
	if (!task->bpf_storage || recording_closed())
		return;
	state = state_of(task);
	if (state)
		load_state(run, state, now);
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Calls that leave the kernel with ERESTART*, a code no program ever sees (include/linux/errno.h). What comes of them
 * is decided on the way out (arch_do_signal_or_restart): a handler may turn them into EINTR, or run before the call is
 * made again; without a handler it is made again at once. Until then the call is in flight.
 */
#ifndef STRACED_RESTARTS_H
#define STRACED_RESTARTS_H

#define EINTR 4
#define ERESTARTSYS 512
#define ERESTARTNOINTR 513
#define ERESTART_RESTARTBLOCK 516
#define SA_RESTART 0x10000000

INLINE bool is_restart(long ret)
{
	return ret <= -ERESTARTSYS && ret >= -ERESTART_RESTARTBLOCK && ret != -515;
}

INLINE struct suspended *top_of(struct task_state *state)
{
	u32 top = state->depth - 1;

	if (top >= SUSPENDED_MAX)
		return 0;
	barrier_var(top);	/* keep the mask, which the verifier needs to see */
	top &= SUSPENDED_MAX - 1;
	return &state->suspended[top];
}

INLINE void drop_to(struct running *run, struct task_state *state, u32 depth)
{
	state->depth = depth;
	if (!depth)
		run->flags &= ~TASK_SUSPENDED;
}

__attribute__((noinline)) static int suspend(struct running *run, struct pt_regs *regs, u64 wall_ns, long ret)
{
	struct task_state *state = state_of(bpf_get_current_task_btf());
	struct suspended *top;

	if (!state)
		return 0;

	if (state->depth >= SUSPENDED_MAX) {
		/* Handlers left by longjmp: the oldest will not come back. */
		abandon(state->suspended[0].row);
		record_abandoned_suspended(&state->suspended[0]);
		for (int i = 0; i + 1 < SUSPENDED_MAX; i++)
			state->suspended[i] = state->suspended[i + 1];
		state->depth = SUSPENDED_MAX - 1;
	}
	state->depth++;
	run->flags |= TASK_SUSPENDED;
	top = top_of(state);
	if (!top)
		return 0;
	top->row = run->call.row;
	top->key = run->call.key;
	top->wall_ns = wall_ns;
	top->waiting_ns = run->call.waiting_ns;
	top->ip = ip_in(regs);
	top->sp = sp_in(regs);
	top->ret = ret;
	run->call.key = 0;
	return 0;
}

INLINE void resume(struct running *run, struct suspended *call)
{
	struct row *row = row_at(call->row);

	if (row && call->row) {
		ADD_FULL(row->restarts, 1);
		touch(call->row);
	}
	run->call.key = call->key;
	run->call.row = call->row;
	run->call.waiting_ns = call->waiting_ns;
	run->call.enter_ns = bpf_ktime_get_ns() - call->wall_ns;
}

/* Whether this enter is an interrupted call that is made again. */
__attribute__((noinline)) static bool resumed(struct running *run, struct pt_regs *regs, u32 key)
{
	struct task_state *state = state_of(bpf_get_current_task_btf());
	struct suspended *top = state ? top_of(state) : 0;
	u64 ip, sp;

	if (!top)
		return false;
	if (top->ret) {
		bool same = key == top->key || is_restart_syscall(key);

		if (same) {
			resume(run, top);
		} else {
			abandon(top->row);
			record_abandoned_suspended(top);
		}
		drop_to(run, state, state->depth - 1);
		return same;
	}
	/* A handler ran first; the call made again comes from the same place on the same stack. */
	ip = ip_in(regs);
	sp = sp_in(regs);
	for (int i = SUSPENDED_MAX - 1; i >= 0; i--) {
		struct suspended *call = &state->suspended[i];

		if (i >= state->depth || call->ret || call->key != key || call->ip != ip || call->sp != sp)
			continue;
		resume(run, call);
		for (int above = i + 1; above < SUSPENDED_MAX; above++)
			if (above < state->depth) {
				abandon(state->suspended[above].row);
				record_abandoned_suspended(&state->suspended[above]);
			}
		drop_to(run, state, i);
		return true;
	}
	return false;
}

/* A signal with a handler is about to be delivered. */
INLINE void interrupted(struct running *run, struct task_state *state, u64 handler, u64 flags)
{
	struct suspended *top = top_of(state);

	if (!top || !top->ret || handler <= 1)
		return;
	if (top->ret == -ERESTARTNOINTR || (top->ret == -ERESTARTSYS && flags & SA_RESTART)) {
		top->ret = 0;
		return;
	}
	finish(top->row, top->wall_ns, top->waiting_ns, -EINTR);
	record_interrupted(top, -EINTR);
	drop_to(run, state, state->depth - 1);
}

#endif

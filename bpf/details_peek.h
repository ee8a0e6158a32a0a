/* SPDX-License-Identifier: MIT */
/*
 * The calls over the limit that are inside still. One that ends in this moment may be told here as well as at its exit:
 * user space knows the two by their begin. What stands with a CPU is read while it may change; a call that is
 * there for as long as a limit does not change.
 */
#ifndef STRACED_DETAILS_PEEK_H
#define STRACED_DETAILS_PEEK_H

SEC("iter/task")
int peek(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct scratch *scratch = scratch_of(true);
	struct detail_plan *plan;
	struct task_state *state;
	struct slow_limit *limit;
	struct slow_call *slow;
	struct call call = {};
	u64 now = bpf_ktime_get_ns(), off_ns;
	u32 session, place, at, zero = 0;

	if (!task || !scratch)
		return 0;
	state = state_of(task);
	if (!state || state->counted != COUNT_LIVE)
		return 0;
	session = session_of(state);
	limit = bpf_map_lookup_elem(&slow_limits, &session);
	if (!limit || !limit->slower_ns)
		return 0;
	place = *(volatile u32 *)&state->unused;
	call = state->call;
	off_ns = *(volatile u64 *)&state->off_ns;
	if (place) {
		struct running *run = bpf_map_lookup_percpu_elem(&running, &zero, place - 1);

		if (!run || *(volatile u64 *)&run->task != (u64)task)
			return 0;
		call = run->call;
		off_ns = 0;
	}
	plan = detail_plan_of(call.key);
	if (!call.key || !call.row || !plan || plan->flags & DETAIL_ENDS || (plan->flags & DETAIL_WAITS && !limit->with_waits) ||
	    now - call.enter_ns < limit->slower_ns || (s64)(now - call.enter_ns) < 0)
		return 0;
	slow = (struct slow_call *)scratch->bytes;
	struct outcome outcome = { call.key, RECORD_START | RECORD_NO_RESULT, now, now - call.enter_ns,
				   call.waiting_ns + (off_ns ? now - off_ns : 0) };

	begin_slow(slow, task, &outcome, session);
	slow->head.peeked = 1;
	arguments_in((struct pt_regs *)bpf_task_pt_regs(task), call.key, scratch->args, ARGUMENTS);
#pragma unroll
	for (int i = 0; i < ARGUMENTS; i++)
		slow->record.args[i] = scratch->args[i];
	scratch->args[TASK_PLACE] = (u64)task;
	at = name_descriptors(SLOW_BYTES, call.key, 1);
	barrier_var(at);
	if (at > SCRATCH_BYTES)
		return 0;
	slow->record.size = at - sizeof(struct slow_head);
	bpf_seq_write(ctx->meta->seq, scratch->bytes, at);
	return 0;
}

#endif

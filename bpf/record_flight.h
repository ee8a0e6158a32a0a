/* SPDX-License-Identifier: MIT */
/*
 * START records: the calls that are still inside. At the end of a recording each is told once.
 *
 * The recording is closed first, and user space waits until no program runs that began before (RCU). From then on no
 * call begins, ends or is loaded into a CPU's place; it only goes from there to its task when that is switched out, and
 * whoever tells of it claims it by exchange: this pass, or the end of its thread. In the moment of that switch a pass may
 * see it in neither place; so there is a second pass, after all such moments are over.
 *
 * For a dump nothing is closed, and nobody claims. What is read of a call while it ends and another begins may be of
 * both: user space keeps what two passes have seen alike. Calls that the filters leave out are told, too, as RECORD_PAD: such
 * a one has not been counted yet.
 */
#ifndef STRACED_RECORD_FLIGHT_H
#define STRACED_RECORD_FLIGHT_H

INLINE void tell_start(struct seq_file *seq, struct task_struct *task, struct outcome *outcome, bool with_arguments,
		       bool counted)
{
	struct plan *plan = plan_of(outcome->key);
	struct record record = {};
	u32 size;

	outcome->kind = counted ? RECORD_START | RECORD_NO_RESULT : RECORD_BEFORE | RECORD_NO_ENTER | RECORD_NO_RESULT;
	if (!counted)
		outcome->duration_ns = NO_TIME;
	if (recording_closed() ? !is_wanted(outcome, plan) : !is_chosen(outcome, plan)) {
		if (recording_closed() || !counted)
			return;
		outcome->kind = RECORD_PAD;
	}
	if (!plan)
		return;
	if (with_arguments) {
		arguments_in((struct pt_regs *)bpf_task_pt_regs(task), outcome->key, record.args, ARGUMENTS);
		with_arguments = is_users_now(task);	/* looked at after they were read: it may have gone on meanwhile */
	}
	size = RECORD_HEAD + (with_arguments ? plan->nargs & 7 : 0) * sizeof(u64);
	fill(&record, outcome, size, (size - RECORD_HEAD) / sizeof(u64), task);
	barrier_var(size);
	if (size <= sizeof(record))
		bpf_seq_write(seq, &record, size);
}

INLINE u32 key_inside(u32 *key)
{
	return recording_closed() ? claim_key(key) : *(volatile u32 *)key;
}

/* `off_ns`: since when the task does not run; 0 where it does. */
INLINE void tell_call(struct seq_file *seq, struct task_struct *task, struct call *call, u64 now, u64 off_ns)
{
	struct outcome outcome = { key_inside(&call->key), 0, now, now - call->enter_ns, call->waiting_ns };

	if (off_ns && off_ns < now)
		outcome.waiting_ns += now - off_ns;
	if (outcome.key && (call->row || (recording_closed() && !recording.gated)))
		tell_start(seq, task, &outcome, true, call->row);
}

/* A task that has neither entered nor left a call since it was marked, and sleeps in one: that began before. */
INLINE void tell_before(struct seq_file *seq, struct task_struct *task, struct task_state *state, u64 now)
{
	struct outcome outcome = { 0, 0, now, NO_TIME };
	long nr = number_in((struct pt_regs *)bpf_task_pt_regs(task));

	if (recording_closed())
		state->flags &= ~TASK_EXISTED;	/* told once */
	if (nr < 0)
		return;
	outcome.key = key_of(task, nr);
	tell_start(seq, task, &outcome, true, false);
}

/* As many as are told of one task: where it runs, where it sleeps, from before the mark, and what it will go on with. */
#define TOLD_MOST ((3 + SUSPENDED_MAX) * sizeof(struct record))

SEC("iter/task")
int tell(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct seq_file *seq = ctx->meta->seq;
	struct task_state *state;
	u64 now = bpf_ktime_get_ns();
	u32 zero = 0, place;

	if (!task)
		return 0;
	state = state_of(task);
	if (!state)
		return 0;
	/* What does not fit is dropped when it has been claimed: so the kernel is to come again, with an empty buffer. */
	if (seq->count + TOLD_MOST > seq->size)
		return 1;
	place = *(volatile u32 *)&state->unused;
	if (place) {
		struct running *run = bpf_map_lookup_percpu_elem(&running, &zero, place - 1);

		if (run && *(volatile u64 *)&run->task == (u64)task)
			tell_call(seq, task, &run->call, now, 0);
	}
	tell_call(seq, task, &state->call, now, state->off_ns);
	if (!place && state->flags & TASK_EXISTED && !recording.gated && (recording_closed() || recording_config.overwrite))
		tell_before(seq, task, state, now);
	for (int i = 0; i < SUSPENDED_MAX; i++) {
		struct suspended *call = &state->suspended[i];
		struct outcome outcome = { 0, 0, now, call->wall_ns, call->waiting_ns };

		if (i >= state->depth)
			break;
		outcome.key = key_inside(&call->key);
		if (outcome.key && (call->row || (recording_closed() && !recording.gated)))
			tell_start(seq, task, &outcome, false, call->row);
	}
	return 0;
}

#endif

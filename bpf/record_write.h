/* SPDX-License-Identifier: MIT */
/* Writing records into the ring of this CPU. */
#ifndef STRACED_RECORD_WRITE_H
#define STRACED_RECORD_WRITE_H

#include "record_overwrite.h"

/* Space has returned: a record says how much was lost before it. */
__attribute__((noinline)) static int tell_lost(struct ring *ring, void *memory)
{
	struct record *record;
	u64 at, lost;

	if (!reserve(ring, memory, RECORD_HEAD, &at))
		return 0;
	lost = __sync_lock_test_and_set(&ring->untold, 0);
	record = memory + (at & (recording_config.ring_bytes - 8));
	record->size = RECORD_HEAD;
	record->kind = RECORD_LOST;
	record->nargs = 0;
	record->tid = record->pid = record->key = 0;
	record->end_ns = bpf_ktime_get_ns();
	record->duration_ns = NO_TIME;
	record->waiting_ns = 0;
	record->result = lost;
	commit(ring, at, RECORD_HEAD);
	return 0;
}

INLINE bool is_before(const struct outcome *outcome)
{
	return (outcome->kind & ~(RECORD_NO_RESULT | RECORD_NO_ENTER)) == RECORD_BEFORE;
}

/* Of which number the loss of a record is counted: what no row counts is one of the other kinds. */
INLINE u32 counted_key(const struct outcome *outcome)
{
	return is_before(outcome) ? 0 : outcome->key;
}

/* Writes a record of the current task: its blobs, which stand in the scratch place, behind its arguments. */
INLINE void put_record(struct task_struct *task, struct outcome *outcome, struct pt_regs *regs, u32 nargs, u32 blobs)
{
	u32 cpu = bpf_get_smp_processor_id(), zero = 0;
	struct ring *ring = bpf_map_lookup_elem(&rings, &cpu);
	void *memory = bpf_map_lookup_elem(&ring_memory, &cpu);
	u32 size = RECORD_HEAD + nargs * sizeof(u64) + blobs;
	struct record *record;
	u64 at;

	if (!ring || !memory) {	/* of a CPU that came later */
		count_lost(0, counted_key(outcome));
		return;
	}
	make_room(ring, cpu);
	if (*(volatile u64 *)&ring->untold)
		tell_lost(ring, memory);
	if (!reserve(ring, memory, size, &at)) {
		count_lost(ring, counted_key(outcome));
		return;
	}
	record = memory + (at & (recording_config.ring_bytes - 8));
	fill(record, outcome, size, nargs, task);
	if (nargs)
		arguments_in(regs, outcome->key, record->args, nargs);
	if (blobs) {
		struct scratch *scratch = bpf_map_lookup_elem(&scratches, &zero);
		u64 behind = at + RECORD_HEAD + nargs * sizeof(u64);

		barrier_var(behind);
		behind &= recording_config.ring_bytes - 8;
		barrier_var(blobs);
		if (scratch)
			bpf_probe_read_kernel(memory + behind, blobs & (SCRATCH_BYTES - 8), scratch->bytes);
	}
	commit(ring, at, size);
}

/*
 * The same where it is no matter how long it takes. What is not static is verified once, and not at each of its callers;
 * what is inlined saves calls, which cost most where returns are guarded (Retpolines, Safe RET).
 */
__attribute__((noinline)) int write_record(struct outcome *outcome, u32 nargs, u32 blobs)
{
	struct task_struct *task = bpf_get_current_task_btf();

	if (outcome)
		put_record(task, outcome, (struct pt_regs *)bpf_task_pt_regs(task), nargs, blobs);
	return 0;
}

/* Whether a call is to be told of; is_wanted counts it where it is not. */
INLINE bool is_chosen(const struct outcome *outcome, struct plan *plan)
{
	bool failed = !(outcome->kind & RECORD_NO_RESULT) && outcome->result < 0 && outcome->result >= -4095;

	return plan && plan->flags & PLAN_WANTED && (failed || !recording_config.failed_only) &&
	       (!recording_config.slower_ns ||
		(outcome->duration_ns != NO_TIME && outcome->duration_ns >= recording_config.slower_ns));
}

INLINE bool is_wanted(const struct outcome *outcome, struct plan *plan)
{
	if (is_chosen(outcome, plan))
		return true;
	if (!is_before(outcome))
		count_filtered(outcome->key);
	return false;
}

/* Reads what the plan of a call says, and writes its record; without blobs where this program was preempted in that. */
__attribute__((noinline)) int record_with_blobs(struct outcome *outcome)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	struct scratch *scratch = take_scratch();
	struct plan *plan;
	u32 blobs = 0;

	if (!outcome)
		return 0;
	plan = plan_of(outcome->key);
	if (!plan)
		return 0;
	if (scratch) {
		arguments_in(regs, outcome->key, scratch->args, ARGUMENTS);
		blobs = read_blobs(scratch, 0, plan, outcome->result, outcome->kind & RECORD_NO_ENTER ? 0 : outcome->key);
	}
	put_record(task, outcome, regs, plan->nargs, blobs);
	if (scratch)
		give_scratch(scratch);
	return 0;
}

/*
 * A call of the current task has returned; `task` and its registers where it matters how long this takes, else 0. After
 * an execve that succeeded the registers are the new program's.
 */
INLINE void record_call(struct task_struct *task, struct outcome *outcome, struct pt_regs *regs)
{
	struct plan *plan = plan_of(outcome->key);

	if (!is_wanted(outcome, plan))
		return;
	if (plan->flags & PLAN_EXEC && !outcome->result)
		write_record(outcome, 0, 0);
	else if (plan->captures[0].kind)
		record_with_blobs(outcome);
	else if (task)
		put_record(task, outcome, regs, plan->nargs, 0);
	else
		write_record(outcome, plan->nargs, 0);
}

/* The thread ends in a call; its memory is gone by now. */
INLINE void record_killed(struct outcome *outcome)
{
	struct plan *plan = plan_of(outcome->key);

	if (is_wanted(outcome, plan))
		write_record(outcome, plan->nargs, 0);
}

/* Without arguments: they are gone, or there is no call. */
INLINE void record_bare(struct outcome *outcome)
{
	if (!outcome->key || is_wanted(outcome, plan_of(outcome->key)))
		write_record(outcome, 0, 0);
}

/* The new program runs: its path, as the kernel has it, and its argv, from its own memory. */
__attribute__((noinline)) static int record_exec(const void *filename)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct outcome outcome = { 0, RECORD_EXEC, bpf_ktime_get_ns(), NO_TIME, 0, 0 };
	struct scratch *scratch = take_scratch();
	u64 start, length;
	u32 at = 0;
	long found;

	if (!scratch)
		return write_record(&outcome, 0, 0);
	found = bpf_probe_read_kernel_str(blob_bytes(scratch, 0), PATH_BYTES, filename);
	at = end_blob(scratch, 0, found > 0 ? found - 1 : 0, 0, found > 0 ? BLOB_PATH : BLOB_PATH | BLOB_UNREAD);
	start = BPF_CORE_READ(task, mm, arg_start);
	length = BPF_CORE_READ(task, mm, arg_end) - start;
	found = length > PATH_BYTES - 1 ? PATH_BYTES - 1 : length;
	barrier_var(found);
	found &= PATH_BYTES - 1;
	if (bpf_probe_read_user(blob_bytes(scratch, at), found, (void *)start))
		at = end_blob(scratch, at, 0, 1, BLOB_WORDS | BLOB_UNREAD);
	else
		at = end_blob(scratch, at, found, 1, length > PATH_BYTES - 1 ? BLOB_WORDS | BLOB_CUT : BLOB_WORDS);
	write_record(&outcome, 0, at);
	give_scratch(scratch);
	return 0;
}

#endif

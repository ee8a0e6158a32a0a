/* SPDX-License-Identifier: MIT */
/*
 * Records: what recorder.bpf.c, which is profiler.bpf.c with RECORDING defined, does beside counting. In the object that
 * only counts all of this is nothing.
 *
 * Each call that is counted has one fate: a record of its own (CALL, UNFINISHED, START), or a count in `fates` (filtered,
 * lost). So records and fates add up to the counters, for each number; whoever adds a call to a row must say here
 * what became of it.
 */
#ifndef STRACED_RECORDING_H
#define STRACED_RECORDING_H

enum record_kind { RECORD_PAD, RECORD_CALL, RECORD_START, RECORD_UNFINISHED, RECORD_EXEC, RECORD_EXIT, RECORD_LOST,
		   RECORD_BEFORE };
#define RECORD_NO_RESULT 64
#define RECORD_NO_ENTER 128
#define NO_TIME (~0ULL)

#define ARGUMENTS 6

/* What is told of a call, besides its arguments, which are in the registers of its task. */
struct outcome {
	u32 key;
	u32 kind;
	u64 end_ns;
	u64 duration_ns;
	u64 waiting_ns;
	s64 result;
};

#ifdef RECORDING

#define record_only(value) (value)

INLINE bool is_arm64(void);
INLINE u32 pid_in_namespace(struct task_struct *task);

#include "record_ring.h"
#include "record_head.h"
#include "record_blobs.h"
#include "record_write.h"

/* The recording is over: nothing is counted any more, and what is in flight stays as it is. */
INLINE bool recording_closed(void)
{
	return *(volatile u32 *)&recording.closed;
}

/*
 * A call that is counted in no row: it was begun before its task was a target. It has no fate, and no time. Also one for
 * which there was no row left, which the counters say by themselves.
 */
__attribute__((noinline)) static int record_before(u32 key, u32 kind, long ret)
{
	struct outcome outcome = { key, RECORD_BEFORE | RECORD_NO_ENTER | kind, bpf_ktime_get_ns(), NO_TIME, 0, ret };

	if (recording.gated)
		return 0;
	if (kind)	/* its arguments are gone */
		record_bare(&outcome);
	else
		record_call(0, &outcome, 0);
	return 0;
}

/* The exit of the call in which a task was when it was attached to; the number -1 is that of sigreturn. */
INLINE void record_existed(u32 key, long nr, long ret)
{
	if (nr >= 0)
		record_before(key, 0, ret);
}

INLINE void record_return(struct task_struct *task, u32 key, u32 row, u64 end_ns, u64 wall_ns, u64 waiting_ns, long ret, struct pt_regs *regs)
{
	struct outcome outcome = { key, RECORD_CALL, end_ns, wall_ns, waiting_ns, ret };

	if (row)
		record_call(task, &outcome, regs);
	else
		record_before(key, 0, ret);
}

/* A call of which only the exit was seen. */
INLINE void record_exit_only(u32 key, u32 row, long ret)
{
	struct outcome outcome = { key, RECORD_CALL | RECORD_NO_ENTER, bpf_ktime_get_ns(), NO_TIME, 0, ret };

	if (row)
		record_call(0, &outcome, 0);
}

/* A call that a signal handler has turned into an error. */
INLINE void record_interrupted(struct suspended *call, long ret)
{
	struct outcome outcome = { call->key, RECORD_CALL, bpf_ktime_get_ns(), call->wall_ns, call->waiting_ns, ret };

	if (call->row)
		record_call(0, &outcome, 0);
	else
		record_before(call->key, 0, ret);
}

/* A call that never returns, whose arguments are gone. Without record_before, for the sake of the stack below suspend. */
INLINE void record_abandoned(u32 key, u32 row, u64 duration_ns, u64 waiting_ns)
{
	struct outcome outcome = { key, RECORD_UNFINISHED | RECORD_NO_RESULT, bpf_ktime_get_ns(), duration_ns, waiting_ns };

	if (!row) {
		if (recording.gated)
			return;
		outcome.kind = RECORD_BEFORE | RECORD_NO_ENTER | RECORD_NO_RESULT;
		outcome.duration_ns = NO_TIME;
		outcome.waiting_ns = 0;
	}
	record_bare(&outcome);
}

INLINE void record_abandoned_call(struct call *call)
{
	if (call->key)
		record_abandoned(call->key, call->row, bpf_ktime_get_ns() - call->enter_ns, call->waiting_ns);
}

INLINE void record_abandoned_suspended(struct suspended *call)
{
	record_abandoned(call->key, call->row, call->wall_ns, call->waiting_ns);
}

/* Takes a call out of its place: of all who come for it, one gets it. */
INLINE u32 claim_key(u32 *key)
{
	return __sync_lock_test_and_set(key, 0);
}

/* The call of a task is in one place only: with its CPU, or with itself while it does not run. */
INLINE void record_loaded(struct task_state *state)
{
	state->unused = bpf_get_smp_processor_id() + 1;
	state->call.key = 0;
}

INLINE void record_stored(struct running *run, struct task_state *state)
{
	u32 key = recording_closed() ? claim_key(&run->call.key) : run->call.key;

	if (recording_closed())
		state->flags &= ~TASK_EXISTED;	/* it ran meanwhile: what it is in now may have begun since */
	run->call.key = 0;
	state->unused = 0;
	*(volatile u32 *)&state->call.key = key;
}

/* The calls that were to be made again, of a thread that is told of no more. */
INLINE void record_last_suspended(struct task_state *state)
{
	for (int i = 0; i < SUSPENDED_MAX; i++) {
		struct suspended *call = &state->suspended[i];
		u32 key;

		if (i >= state->depth)
			break;
		key = claim_key(&call->key);
		if (!key)
			continue;
		abandon(call->row);
		record_abandoned(key, call->row, call->wall_ns, call->waiting_ns);
	}
	state->depth = 0;
}

/* A thread ends in a call: exit, or it is killed. What it was in is claimed, in whatever state the recording is. */
INLINE void record_last(struct task_state *state, struct task_struct *task)
{
	struct outcome outcome = { 0, RECORD_UNFINISHED | RECORD_NO_RESULT, bpf_ktime_get_ns() };
	u32 zero = 0, row = 0;
	struct running *run = bpf_map_lookup_elem(&running, &zero);
	u64 since_ns = 0;

	if (run && run->task == (u64)task) {
		outcome.key = claim_key(&run->call.key);
		row = run->call.row;
		since_ns = run->call.enter_ns;
		outcome.waiting_ns = run->call.waiting_ns;
	}
	if (!outcome.key) {
		outcome.key = claim_key(&state->call.key);
		row = state->call.row;
		since_ns = state->call.enter_ns;
		outcome.waiting_ns = state->call.waiting_ns;
	}
	if (outcome.key && row) {
		outcome.duration_ns = outcome.end_ns - since_ns;
		abandon(row);
		record_killed(&outcome);
	} else if (outcome.key) {
		record_before(outcome.key, RECORD_NO_RESULT, 0);
	}
	record_last_suspended(state);
}

INLINE void record_end(struct task_struct *task)
{
	struct outcome outcome = { 0, RECORD_EXIT, bpf_ktime_get_ns(), NO_TIME, 0, task->exit_code };

	record_bare(&outcome);
}

#elif defined(DETAILS)

#include "details.h"

#else

#define record_only(value) 0
#define recording_closed() false
#define record_entered(task, key) ((void)0)
#define record_return(task, key, row, end_ns, wall_ns, waiting_ns, ret, regs) ((void)0)
#define record_exit_only(key, row, ret) ((void)0)
#define record_existed(key, nr, ret) ((void)0)
#define record_interrupted(call, ret) ((void)0)
#define record_abandoned_call(call) ((void)0)
#define record_abandoned_suspended(call) ((void)0)
#define record_loaded(state) ((void)0)
#define record_stored(run, state) ((void)0)
#define record_last(state, task) ((void)0)
#define record_end(task) ((void)0)
#define record_exec(filename) ((void)0)

#endif
#endif

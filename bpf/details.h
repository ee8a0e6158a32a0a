/* SPDX-License-Identifier: MIT */
/*
 * Details: what details.bpf.c, which is profiler.bpf.c with DETAILS defined, does beside counting. A call that took longer
 * than the limit of its session is told at its exit, with its arguments and with what its descriptors stand for; `peek`
 * tells those that are inside still. All others cost one comparison.
 */
#ifndef STRACED_DETAILS_H
#define STRACED_DETAILS_H

INLINE bool is_arm64(void);
INLINE u32 pid_in_namespace(struct task_struct *task);
INLINE struct task_state *state_of(struct task_struct *task);
INLINE struct running *running_here(void);
INLINE struct suspended *top_of(struct task_state *state);

#include "record_blobs.h"
#include "record_head.h"
#include "details_names.h"

#define WORKING_DIRECTORY_ARGUMENT 6
#define SECOND_NS 1000000000ULL

enum detail_flags {
	DETAIL_WAITS = 1,	/* a call that is made to wait */
	DETAIL_FROM_HERE = 2,	/* its path is relative to the working directory */
	DETAIL_ENDS = 4,	/* exit and exit_group */
	DETAIL_BYTES = 8,	/* its result is a number of bytes */
	DETAIL_OPENS = 16,	/* its result is a descriptor of its path */
};

/* What is told of a call besides what its plan says. */
struct detail_plan {
	u8 descriptors;	/* bits of the arguments that are descriptors */
	u8 flags;
	u8 address;	/* enum address_use */
	u8 turn;	/* enum turn_kind */
	u8 unused[4];	/* elements of a mapped array stand 8 bytes apart */
};

/* Of a session, by its index among the owners. seen = told + untold + lost, at rest. */
struct slow_limit {
	u64 slower_ns;	/* 0: nothing is told */
	u64 seen;
	u64 told;
	u64 untold;	/* more than `rate` a second */
	u64 lost;	/* found no room */
	u64 waits;	/* were made to wait, and left out */
	u64 second;
	u32 used;	/* of `rate` in this second */
	u32 rate;	/* 0: without bound */
	u32 with_waits;
	u32 files;	/* calls are added up by file and peer, too */
	u64 unplaced;	/* calls that could not be, for a program that preempted this one was at it */
};

/* Before the record of a slow call. */
struct slow_head {
	u32 session;
	u32 peeked;	/* it is inside still; SLOW_NAME: no call, but the name of a row of files */
	char comm[16];
};

struct details_state {
	u64 least_ns;	/* the lowest limit of all sessions */
	u32 files;	/* sessions that want sums by file */
	u32 unused;
};

/* All of a call, where it is built. */
struct slow_call {
	struct slow_head head;
	struct record record;
};

#define SLOW_BYTES sizeof(struct slow_call)

struct details_state details SEC(".data.details") = { NO_TIME };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, PLACES);
	__type(key, u32);
	__type(value, struct detail_plan);
} detail_plans SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, OWNERS_DEFAULT);
	__type(key, u32);
	__type(value, struct slow_limit);
} slow_limits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);
} slow_calls SEC(".maps");

/* Makes the layout known in the object's BTF. */
struct slow_call *slow_call_layout;

INLINE u32 session_of(struct task_state *state)
{
	struct owner *process = owner_at(state->process);

	return process ? process->session : 0;
}

INLINE struct detail_plan *detail_plan_of(u32 key)
{
	u32 place = place_of(key);

	return bpf_map_lookup_elem(&detail_plans, &place);
}

/* Whether a session wants to be told of a call now; counts it where not. */
INLINE bool is_told(struct slow_limit *limit, struct detail_plan *plan, u64 now)
{
	if (plan->flags & DETAIL_WAITS && !limit->with_waits) {
		ADD(limit->waits, 1);
		return false;
	}
	ADD(limit->seen, 1);
	if (limit->rate) {
		u64 second = now / SECOND_NS;

		if (limit->second != second) {
			limit->second = second;
			limit->used = 0;
		}
		if (__sync_fetch_and_add(&limit->used, 1) >= limit->rate) {
			ADD(limit->untold, 1);
			return false;
		}
	}
	return true;
}

INLINE void begin_slow(struct slow_call *slow, struct task_struct *task, const struct outcome *outcome, u32 session)
{
	slow->head.session = session;
	slow->head.peeked = 0;
	bpf_probe_read_kernel(slow->head.comm, sizeof(slow->head.comm), task->comm);
	fill(&slow->record, outcome, sizeof(struct record), ARGUMENTS, task);
}

/* What all descriptors are that a call is about; its arguments stand in the scratch place. */
INLINE u32 name_descriptors(u32 begin, u32 key, u32 peeking)
{
	struct scratch *scratch = scratch_of(peeking);
	struct detail_plan *plan = detail_plan_of(key);
	u32 at = begin;

	if (!scratch || !plan)
		return begin;
#pragma unroll
	for (int i = 0; i < ARGUMENTS; i++) {
		if (plan->descriptors & (1 << i))
			at = name_descriptor(at, i, scratch->args[i], peeking);
	}
	if (plan->flags & DETAIL_FROM_HERE)
		at = name_descriptor(at, WORKING_DIRECTORY_ARGUMENT, WORKING_DIRECTORY, peeking);
	return at;
}

/* Reads what a plan says into the scratch place, behind the record; returns where that ends. */
__attribute__((noinline)) int read_slow_blobs(u32 begin, u32 key, long result)
{
	struct scratch *scratch = scratch_of(false);
	struct plan *plan = plan_of(key);

	return scratch && plan ? read_blobs(scratch, begin, plan, result, 0) : begin;
}

/* A call of the current task took longer than the lowest limit. `with` says what can be read of it still. */
enum readable { READ_NOTHING, READ_NAMES, READ_ALL };

__attribute__((noinline)) int told_slow(struct outcome *outcome, u32 with)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *state = state_of(task);
	struct detail_plan *details;
	struct slow_limit *limit;
	struct scratch *scratch;
	struct slow_call *slow;
	struct plan *plan;
	u32 session, at = SLOW_BYTES;

	if (!state || !outcome)
		return 0;
	session = session_of(state);
	limit = bpf_map_lookup_elem(&slow_limits, &session);
	details = detail_plan_of(outcome->key);
	plan = plan_of(outcome->key);
	if (!limit || !details || !plan || !limit->slower_ns || outcome->duration_ns < limit->slower_ns ||
	    details->flags & DETAIL_ENDS || !is_told(limit, details, outcome->end_ns))
		return 0;
	scratch = take_scratch();
	if (!scratch) {	/* this program preempted itself here; the stack has no room for another one */
		ADD(limit->lost, 1);
		return 0;
	}
	scratch->args[TASK_PLACE] = (u64)task;
	slow = (struct slow_call *)scratch->bytes;
	begin_slow(slow, task, outcome, session);
	if (with == READ_NOTHING || (plan->flags & PLAN_EXEC && !outcome->result)) {
		slow->record.nargs = 0;
		at = sizeof(struct slow_head) + RECORD_HEAD;
		if (with == READ_ALL)
			at = name_file(at, 0, (u64)BPF_CORE_READ((struct task_struct___files *)task, mm, exe_file), 0);
	} else {
		arguments_in((struct pt_regs *)bpf_task_pt_regs(task), outcome->key, scratch->args, ARGUMENTS);
#pragma unroll
		for (int i = 0; i < ARGUMENTS; i++)
			slow->record.args[i] = scratch->args[i];
		if (with == READ_ALL)
			at = read_slow_blobs(at, outcome->key, outcome->result);
		at = name_descriptors(at, outcome->key, 0);
	}
	barrier_var(at);
	if (at > SCRATCH_BYTES)
		at = SLOW_BYTES;
	slow->record.size = at - sizeof(struct slow_head);
	if (bpf_ringbuf_output(&slow_calls, scratch->bytes, at, 0))
		ADD(limit->lost, 1);
	else
		ADD(limit->told, 1);
	give_scratch(scratch);
	return 0;
}

#include "details_files.h"

INLINE void slow_if(struct outcome *outcome, u32 row, u32 with)
{
	if (row && outcome->duration_ns >= *(volatile u64 *)&details.least_ns)
		told_slow(outcome, with);
}

INLINE void record_return(struct task_struct *task, u32 key, u32 row, u64 end_ns, u64 wall_ns, u64 waiting_ns, long ret, struct pt_regs *regs)
{
	if (wall_ns >= *(volatile u64 *)&details.least_ns && row) {
		struct outcome outcome = { key, RECORD_CALL, end_ns, wall_ns, waiting_ns, ret };

		told_slow(&outcome, READ_ALL);
	}
	if (*(volatile u32 *)&details.files && row) {
		struct outcome outcome = { key, RECORD_CALL, end_ns, wall_ns, waiting_ns, ret };

		add_to_file(&outcome);
	}
}

INLINE void record_interrupted(struct suspended *call, long ret)
{
	struct outcome outcome = { call->key, RECORD_CALL, bpf_ktime_get_ns(), call->wall_ns, call->waiting_ns, ret };

	slow_if(&outcome, call->row, READ_ALL);
	if (*(volatile u32 *)&details.files && call->row)
		add_to_file(&outcome);
}

INLINE void record_abandoned_suspended(struct suspended *call)
{
	struct outcome outcome = { call->key, RECORD_UNFINISHED | RECORD_NO_RESULT, bpf_ktime_get_ns(), call->wall_ns,
				   call->waiting_ns };

	slow_if(&outcome, call->row, READ_NOTHING);
}

/* Where the call of a task is: with its CPU (its number and 1), or with itself (0) while it does not run. */
INLINE void record_loaded(struct task_state *state)
{
	state->unused = bpf_get_smp_processor_id() + 1;
}

INLINE void record_stored(struct running *run, struct task_state *state)
{
	state->unused = 0;
}

/*
 * A thread ends in a call, because it was killed: its memory is gone, its descriptors are there still. What a signal has
 * woken has left the kernel to be restarted.
 */
INLINE void record_last(struct task_state *state, struct task_struct *task)
{
	struct outcome outcome = { 0, RECORD_UNFINISHED | RECORD_NO_RESULT, bpf_ktime_get_ns() };
	struct suspended *call = top_of(state);
	struct running *run = running_here();

	if (call) {
		outcome.key = call->key;
		outcome.duration_ns = call->wall_ns;
		outcome.waiting_ns = call->waiting_ns;
		slow_if(&outcome, call->row, READ_NAMES);
	}
	if (!run || run->task != (u64)task || !run->target || !run->call.key)
		return;
	outcome.key = run->call.key;
	outcome.duration_ns = outcome.end_ns - run->call.enter_ns;
	outcome.waiting_ns = run->call.waiting_ns;
	slow_if(&outcome, run->call.row, READ_NAMES);
}

#define record_only(value) 0
#define recording_closed() false
#define record_entered(task, key) ((void)0)
#define record_exit_only(key, row, ret) ((void)0)
#define record_existed(key, nr, ret) ((void)0)
#define record_abandoned_call(call) ((void)0)
#define record_end(task) ((void)0)
#define record_exec(filename) ((void)0)

#endif

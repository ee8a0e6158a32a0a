// SPDX-License-Identifier: MIT
/*
 * Requests of io_uring: what the tasks of one session submit, and how it ends.
 *
 * A request is submitted by a task of the target, or for it by a thread that the kernel made in its process (SQPOLL);
 * it is known by its address until its last completion, whoever that is made by: in a place by its hash, or where that
 * is taken in the map `requests`. So a completion of somebody else's request costs one look. Completions that leave it going on
 * (multishot) or come after its end (the notification of a zero-copy send) are known by ring and user data.
 *
 * An object of its own, loaded only by who asks for it. The maps `tasks` and `owners` are those of the programs that
 * count, and tell whose a task is.
 */
#include "vmlinux_min.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "wire.h"

#define INLINE static __attribute__((always_inline))
#define ADD(place, n) ((void)__sync_fetch_and_add(&(place), (n)))

#include "durations.h"

#define BPF_MAP_TYPE_HASH 1
#define OPERATIONS 256		/* the code is a byte */
#define REQUESTS_MAX 32768	/* in flight at a time */
#define SHOTS_MAX 16384
#define PLACES_LOG2 12
#define CQE_SKIP_SUCCESS (1 << 6)	/* IOSQE_CQE_SKIP_SUCCESS; flags of a request begin with those of its entry */
#define CQE_MORE (1 << 1)	/* IORING_CQE_F_MORE */

char LICENSE[] SEC("license") = "GPL";

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct io_cqe {
	u64 user_data;
};

struct io_kiocb {
	u8 opcode;
	u64 flags;
	struct io_cqe cqe;
	void *ctx;
};

struct io_uring_sqe {
	u8 opcode;
};

struct io_uring_cqe {
	u64 user_data;
	s32 res;
	u32 flags;
};

#pragma clang attribute pop

/* Found where the kernel's has as many arguments of these kinds: before Linux 6.14. */
typedef void (*btf_trace_io_uring_complete)(void *, void *, void *, u64, int, unsigned int, u64, u64);

struct uring_row {
	u64 submitted;
	u64 completed;
	u64 errors;
	u64 silent;	/* asked for no completion if they succeed, and have none */
	u64 unseen;	/* their place was taken by another: they have ended, but nobody knows how */
	u64 untracked;	/* found no room: how they end is not seen */
	u64 more;	/* completions besides the last one of a request */
	u64 wall_ns;
	u64 max_ns;
	u64 error;	/* of the last one that failed */
	u64 histogram[HIST_SIZE];
};

struct request {
	u64 address;	/* 0: none */
	u64 start_ns;	/* 0: it was silent, and failed */
	u64 ring;
	u64 user_data;
	u32 operation;
	u32 silent;
};

struct uring_state {
	u32 session;
	u32 shots;	/* whether there ever were requests of several completions */
	u64 overflowed;	/* completions that found their queue full */
	u64 unplaced;	/* requests of several completions of which only the last one will be known */
	u64 spilled;	/* requests that found their place taken */
	struct request places[1 << PLACES_LOG2];
};

struct shot {
	u64 ring;
	u64 user_data;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct task_state);
} tasks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, OWNERS_DEFAULT);
	__type(key, u32);
	__type(value, struct owner);
} owners SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, REQUESTS_MAX);
	__type(key, u64);	/* the address of a request */
	__type(value, struct request);
} requests SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SHOTS_MAX);
	__type(key, struct shot);
	__type(value, u32);	/* its operation */
} shots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, OPERATIONS);
	__type(key, u32);
	__type(value, struct uring_row);
} operations SEC(".maps");

struct uring_state state;

INLINE struct uring_row *row_of(u32 operation)
{
	u32 index = operation & (OPERATIONS - 1);

	return bpf_map_lookup_elem(&operations, &index);
}

INLINE struct request *place_of(u64 address)
{
	return &state.places[(address * 0x9e3779b97f4a7c15ULL) >> (64 - PLACES_LOG2)];
}

INLINE struct request *find(u64 address)
{
	struct request *place = place_of(address);

	if (*(volatile u64 *)&place->address == address)
		return place;
	return state.spilled ? bpf_map_lookup_elem(&requests, &address) : 0;
}

/* All that is known of it has been read. */
INLINE void forget(u64 address)
{
	struct request *place = place_of(address);

	if (*(volatile u64 *)&place->address == address)
		__sync_lock_test_and_set(&place->address, 0);
	else
		bpf_map_delete_elem(&requests, &address);
}

/* False: there is no room. Only who submits it knows of a request now. */
INLINE bool keep(struct request *request)
{
	struct request *place = place_of(request->address);

	if (__sync_val_compare_and_swap(&place->address, 0, request->address)) {
		ADD(state.spilled, 1);
		return !bpf_map_update_elem(&requests, &request->address, request, 0);
	}
	place->start_ns = request->start_ns;
	place->ring = request->ring;
	place->user_data = request->user_data;
	place->operation = request->operation;
	place->silent = request->silent;
	return true;
}

/* Threads that the kernel makes for a ring are in no session themselves: they are their process's. */
INLINE bool is_ours(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_struct *leader = task->group_leader;
	struct task_state *found = 0;
	struct owner *owner;
	u32 index;

	if (task->bpf_storage)
		found = bpf_task_storage_get(&tasks, task, 0, 0);
	if (!found && leader && leader != task && leader->bpf_storage)
		found = bpf_task_storage_get(&tasks, leader, 0, 0);
	if (!found || found->flags & TASK_QUIET || !found->process)
		return false;
	index = found->process;
	owner = bpf_map_lookup_elem(&owners, &index);
	return owner && (owner->session == state.session || index == state.session);
}

/* Whether one request may have several completions. */
INLINE bool is_shot(u32 operation)
{
	switch (operation) {
	case 6:		/* poll_add */
	case 10:	/* recvmsg */
	case 11:	/* timeout */
	case 13:	/* accept */
	case 26:	/* send */
	case 27:	/* recv */
	case 46:	/* uring_cmd */
	case 47:	/* send_zc */
	case 48:	/* sendmsg_zc */
	case 49:	/* read_multishot */
		return true;
	}
	return operation > 49;
}

INLINE void raise(u64 *place, u64 value)
{
	for (int i = 0; i < 8; i++) {
		u64 old = *(volatile u64 *)place;

		if (old >= value || __sync_val_compare_and_swap(place, old, value) == old)
			return;
	}
}

/* What had this address before has ended unseen, unless it is known that it ends so. */
INLINE void replace(u64 address)
{
	struct request *old = find(address);
	struct uring_row *row = old && !old->silent ? row_of(old->operation) : 0;

	if (row)
		ADD(row->unseen, 1);
	if (old)
		forget(address);
}

INLINE int submitted(u64 address, struct io_kiocb *req, u32 operation)
{
	struct request request = {};
	struct uring_row *row = row_of(operation);
	struct shot shot;

	if (!row)
		return 0;
	replace(address);
	request.address = address;
	request.operation = operation;
	request.ring = (u64)req->ctx;
	request.user_data = req->cqe.user_data;
	request.silent = !!(req->flags & CQE_SKIP_SUCCESS);
	request.start_ns = bpf_ktime_get_ns();
	ADD(row->submitted, 1);
	if (request.silent)
		ADD(row->silent, 1);
	if (!keep(&request)) {
		if (!request.silent)
			ADD(row->untracked, 1);
		return 0;
	}
	if (is_shot(operation)) {
		shot.ring = request.ring;
		shot.user_data = request.user_data;
		state.shots = 1;
		if (bpf_map_update_elem(&shots, &shot, &operation, 0))
			ADD(state.unplaced, 1);
	}
	return 0;
}

/* A completion that is not the last one of a request that we know. */
INLINE int completed_more(struct shot *shot, u32 flags)
{
	u32 *operation = bpf_map_lookup_elem(&shots, shot);
	struct uring_row *row = operation ? row_of(*operation) : 0;

	if (!row)
		return 0;
	ADD(row->more, 1);
	if (!(flags & CQE_MORE))
		bpf_map_delete_elem(&shots, shot);
	return 0;
}

INLINE int completed(void *ring, u64 address, u64 user_data, s32 result, u32 flags)
{
	struct shot shot = { (u64)ring, user_data };
	struct request *request = address ? find(address) : 0;
	struct uring_row *row;
	u64 took, now;

	if (!request || request->ring != (u64)ring || request->user_data != user_data)
		return state.shots ? completed_more(&shot, flags) : 0;
	row = row_of(request->operation);
	if (!row)
		return 0;
	now = bpf_ktime_get_ns();
	took = now > request->start_ns ? now - request->start_ns : 0;
	ADD(row->wall_ns, took);
	raise(&row->max_ns, took);
	ADD(row->histogram[bucket_of(took)], 1);
	if (result < 0 && result >= -4095) {
		ADD(row->errors, 1);
		row->error = -result;
	}
	if (request->silent)
		ADD(row->silent, -1);
	ADD(row->completed, 1);
	if (is_shot(request->operation) && !(flags & CQE_MORE))
		bpf_map_delete_elem(&shots, &shot);
	if (request->silent)
		request->start_ns = 0;	/* so do those that are linked to it, in silence */
	else
		forget(address);
	return 0;
}

/* The address that a program was given, as a number that one can reckon with. */
INLINE u64 argument(void *place)
{
	u64 address = 0;

	bpf_probe_read_kernel(&address, sizeof(address), place);
	return address;
}

SEC("tp_btf/io_uring_submit_req")	/* io_uring_submit_sqe before Linux 6.4 */
int BPF_PROG(on_submit, struct io_kiocb *req)
{
	return is_ours() ? submitted(argument(ctx), req, req->opcode) : 0;
}

/* Refused before it is submitted: the code need not be one that the kernel knows. */
SEC("tp_btf/io_uring_req_failed")
int BPF_PROG(on_refused, struct io_uring_sqe *sqe, struct io_kiocb *req, int error)
{
	struct request *known;
	u64 address;

	if (!is_ours())
		return 0;
	address = argument(ctx + 1);
	known = find(address);
	if (known && !known->silent && !state.overflowed && known->ring == (u64)req->ctx &&
	    known->user_data == req->cqe.user_data)
		return 0;	/* was submitted, and then found no memory */
	return submitted(address, req, BPF_CORE_READ(sqe, opcode));
}

/* What is linked to a request that failed is cancelled. */
SEC("tp_btf/io_uring_fail_link")
int BPF_PROG(on_unlink, struct io_kiocb *req, struct io_kiocb *link)
{
	struct request *failed = find(argument(ctx)), *request;
	struct uring_row *row;

	if (!failed || !failed->silent || failed->start_ns)
		return 0;
	request = find(argument(ctx + 1));
	row = request && !request->silent ? row_of(request->operation) : 0;
	if (!row)
		return 0;
	request->silent = 1;
	ADD(row->silent, 1);
	return 0;
}

/* The tracepoint tells a completion as an entry of the queue, or in words. */
SEC("tp_btf/io_uring_complete")
int on_complete(u64 *ctx)
{
	struct io_uring_cqe *cqe;

	if (bpf_core_type_exists(btf_trace_io_uring_complete))
		return completed((void *)ctx[0], ctx[1], ctx[2], (s32)ctx[3], (u32)ctx[4]);
	cqe = (struct io_uring_cqe *)ctx[2];
	return completed((void *)ctx[0], ctx[1], cqe->user_data, cqe->res, cqe->flags);
}

SEC("tp_btf/io_uring_cqe_overflow")
int BPF_PROG(on_overflow, void *ring, u64 user_data, int result, unsigned int flags)
{
	if (is_ours())
		ADD(state.overflowed, 1);
	return 0;
}

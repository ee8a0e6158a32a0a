/* SPDX-License-Identifier: MIT */
/*
 * Where records go: a ring for each CPU, which user space maps and copies to a file in ranges of bytes.
 *
 * Positions count bytes from the beginning and never wrap; a ring is a power of two, in sub-buffers that no record straddles.
 * A writer reserves by moving `head`, writes, and then adds what it wrote to `done` of its sub-buffer. Writers of a CPU
 * may be nested where programs are preempted: of whatever order they end in, a sub-buffer is complete when `done` says that
 * all of it was written, and up to `head` when as much was written as was reserved.
 *
 * The barriers, each of which is an atomic operation that returns the old value (on arm64 acquire and release; of those
 * that do not, no order is known):
 * 1. A writer reads `tail`, and only if there is room moves `head` and writes: what it writes depends on what it read. The
 *    reader moves `tail` (exchange) after it has copied. So nothing is overwritten that is still being copied.
 * 2. A writer writes, and then adds to `done`. The reader reads `done` (an add of 0), and then copies. So what `done`
 *    counts is there.
 * 3. The reader reads `done` first, and `head` after it. What was written by the first moment is no more than what was
 *    reserved by then, and that no more than what is reserved at the second. So where both are equal, all that is below
 *    `head` is written.
 */
#ifndef STRACED_RECORD_RING_H
#define STRACED_RECORD_RING_H

#include "record_places.h"

#define RING_PART_LOG2 16
#define RING_PART (1 << RING_PART_LOG2)	/* a sub-buffer */
#define RING_PARTS_MAX 1024
#define RING_SLACK 32768	/* behind each ring; never touched: for the verifier, which does not know that nothing straddles */
#define RING_DEFAULT (8 << 20)

struct ring {
	u64 head;	/* reserved */
	u64 tail;	/* taken out by the reader, in whole sub-buffers: `done` is of one lap at a time */
	u64 ready;	/* may be taken out; by `drain` */
	u64 untold;	/* lost since the last record LOST */
	u64 gone;	/* given up, in whole sub-buffers; see record_overwrite.h */
	u64 limit;	/* may be given up while a dump copies */
	u64 done[RING_PARTS_MAX];
};

/* What became of the calls of a number of which there is no record. The first is of records of other kinds. */
struct fate {
	u64 filtered;
	u64 lost;
};

/* Set before the load. */
struct recording_config {
	u32 ring_bytes;
	u32 failed_only;
	u64 slower_ns;
	u32 overwrite;	/* what is oldest makes way */
	u32 reserve;	/* bytes, then */
};

struct recording_state {
	u32 closed;
	u32 table;	/* of `count` */
	u64 before_ns;	/* of `count` */
	u32 gated;	/* the target is a gate: what it was in at the attach is no call of the program */
	u32 unused;
};

const volatile struct recording_config recording_config SEC(".rodata.recording") = { RING_DEFAULT };
struct recording_state recording SEC(".data.recording") = {};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);	/* set to the number of CPUs before the load */
	__type(key, u32);
	__type(value, struct ring);
} rings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(u32));
	__uint(value_size, RING_DEFAULT + RING_SLACK);
} ring_memory SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, PLACES);
	__type(key, u32);
	__type(value, struct fate);
} fates SEC(".maps");

INLINE struct fate *fate_of(u32 key)
{
	u32 place = place_of(key);

	return bpf_map_lookup_elem(&fates, &place);
}

INLINE void count_lost(struct ring *ring, u32 key)
{
	struct fate *fate = fate_of(key);

	if (fate)
		ADD(fate->lost, 1);
	if (ring)
		ADD(ring->untold, 1);
}

INLINE void count_filtered(u32 key)
{
	struct fate *fate = fate_of(key);

	if (fate)
		ADD(fate->filtered, 1);
}

/* Bytes from `at` on are written. */
INLINE void commit(struct ring *ring, u64 at, u64 bytes)
{
	u64 part = at >> RING_PART_LOG2 & (recording_config.ring_bytes / RING_PART - 1);

	barrier_var(part);
	ADD_FULL(ring->done[part & (RING_PARTS_MAX - 1)], bytes);
}

/* Room for a record, at a position of the ring; false where there is none. What does not fit into a sub-buffer's end fills it up. */
INLINE bool reserve(struct ring *ring, void *memory, u32 bytes, u64 *at)
{
	u64 head = *(volatile u64 *)&ring->head;

	for (int i = 0; i < 8; i++) {
		u64 rest = RING_PART - (head & (RING_PART - 1));
		u64 start = rest >= bytes ? head : head + rest;
		u64 seen;

		if (start + bytes - *(volatile u64 *)&ring->tail > recording_config.ring_bytes)
			return false;
		seen = __sync_val_compare_and_swap(&ring->head, head, start + bytes);
		if (seen == head) {
			if (start != head) {
				*(u64 *)(memory + (head & (recording_config.ring_bytes - 8))) = rest;
				commit(ring, head, rest);
			}
			*at = start;
			return true;
		}
		head = seen;
	}
	return false;
}


static long drain_step(u32 i, void *data)
{
	u64 *ready = data;
	u32 cpu = ready[1];
	struct ring *ring = bpf_map_lookup_elem(&rings, &cpu);
	u64 base = *ready & ~(u64)(RING_PART - 1);
	u64 complete = (base / recording_config.ring_bytes + 1) * RING_PART;
	u64 part = base >> RING_PART_LOG2 & (recording_config.ring_bytes / RING_PART - 1);
	u64 done, head;

	if (!ring)
		return 1;
	barrier_var(part);
	done = __sync_fetch_and_add(&ring->done[part & (RING_PARTS_MAX - 1)], 0);
	if (done == complete) {
		*ready = base + RING_PART;
		return 0;
	}
	head = __sync_fetch_and_add(&ring->head, 0);
	if (head - base < RING_PART && head - base == done - (complete - RING_PART))
		*ready = head;
	return 1;
}

/* Arguments: a CPU, and up to where its ring was taken out. Finds up to where it may be taken out now. */
SEC("raw_tp")
int drain(struct bpf_raw_tracepoint_args *ctx)
{
	u32 cpu = ctx->args[0];
	u64 ready[2] = { ctx->args[1], cpu };
	struct ring *ring = bpf_map_lookup_elem(&rings, &cpu);

	if (!ring)
		return 0;
	__sync_lock_test_and_set(&ring->tail, ready[0] & ~(u64)(RING_PART - 1));
	bpf_loop(RING_PARTS_MAX, drain_step, ready, 0);
	ring->ready = ready[0];
	return 0;
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Rings that nobody drains: the oldest sub-buffer makes way, and what stood in it is counted as overwritten, by number.
 *
 * A sub-buffer is given up ahead of need, as soon as less than `reserve` is free. Whoever moves `gone` over it has it, counts
 * what is in it, and then moves `tail`: only then is there room. A program that has preempted that one finds both
 * different, and goes on in what is still free.
 *
 * While a dump copies, `gone` has FROZEN set, which stops that at once since it is moved by compare-and-swap; the
 * reserve is what new records have until the first copy is made. The dump raises `limit` behind what it has copied. So a
 * dump overtakes no writer: what found no room meanwhile is lost, and counted as such.
 */
#ifndef STRACED_RECORD_OVERWRITE_H
#define STRACED_RECORD_OVERWRITE_H

#define FROZEN 1ULL
#define NOT_YET (~0ULL)

/* Records counted by their number, of one CPU what was overwritten: only who has moved its `gone` adds to them. */
struct tally {
	u64 records[PLACES];	/* the first is of records of other kinds */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);	/* set to the number of CPUs, and one for `count`, where rings are overwritten */
	__type(key, u32);
	__type(value, struct tally);
} tallies SEC(".maps");

struct tally *tally_layout;

struct record_walk {
	u64 at;
	u64 end;
	u64 before_ns;	/* to the first record that is of then or later; 0: all */
	u32 cpu;
	u32 table;
};

static long record_step(u32 i, void *data)
{
	struct record_walk *walk = data;
	u32 cpu = walk->cpu, table = walk->table, kind, size;
	u64 place = 0;
	void *memory = bpf_map_lookup_elem(&ring_memory, &cpu);
	struct tally *tally = bpf_map_lookup_elem(&tallies, &table);
	struct record *record;

	if (!memory || !tally || walk->at >= walk->end)
		return 1;
	record = memory + (walk->at & (recording_config.ring_bytes - 8));
	size = record->size;
	if (size < 8)
		return 1;
	if (record->kind) {
		if (walk->before_ns && record->end_ns >= walk->before_ns)
			return 1;
		kind = record->kind & (RECORD_NO_RESULT - 1);
		if (kind == RECORD_CALL || kind == RECORD_UNFINISHED)
			place = place_of(record->key);
		barrier_var(place);	/* all 64 bits of it are compared, as Linux 6.1 asks of what is added to an address */
		if (place < PLACES)
			tally->records[place]++;
	}
	walk->at += size;
	return 0;
}

/* Gives up the oldest sub-buffer of this CPU's ring. Not where a writer that was preempted has not ended in it yet. */
__attribute__((noinline)) int overwrite_oldest(u32 cpu)
{
	struct ring *ring = bpf_map_lookup_elem(&rings, &cpu);
	struct record_walk walk = { .cpu = cpu, .table = cpu };
	u64 gone, part;

	if (!ring)
		return 0;
	gone = *(volatile u64 *)&ring->gone;
	walk.at = gone & ~FROZEN;
	walk.end = walk.at + RING_PART;
	if (walk.at != *(volatile u64 *)&ring->tail || (gone & FROZEN && walk.end > *(volatile u64 *)&ring->limit))
		return 0;
	part = walk.at >> RING_PART_LOG2 & (recording_config.ring_bytes / RING_PART - 1);
	barrier_var(part);
	if (*(volatile u64 *)&ring->done[part & (RING_PARTS_MAX - 1)] !=
	    (walk.at / recording_config.ring_bytes + 1) * RING_PART)
		return 0;
	if (__sync_val_compare_and_swap(&ring->gone, gone, gone + RING_PART) != gone)
		return 0;
	bpf_loop(RING_PART / 8, record_step, &walk, 0);
	__sync_lock_test_and_set(&ring->tail, walk.end);
	return 0;
}

/* What is recorded for one user is drained; and Linux 6.1 asks that all that one calls has 512 bytes of stack together. */
#ifdef ONE_USER
#define make_room(ring, cpu) ((void)0)
#else
INLINE void make_room(struct ring *ring, u32 cpu)
{
	if (recording_config.overwrite &&
	    *(volatile u64 *)&ring->head - *(volatile u64 *)&ring->tail + recording_config.reserve >
		    recording_config.ring_bytes)
		overwrite_oldest(cpu);
}
#endif

enum keep { KEEP_ALL, KEEP_FROM, KEEP_NOTHING };

/*
 * Arguments: a CPU, one of the above, a position. Of KEEP_ALL `ready` is where what is kept begins; NOT_YET while a
 * sub-buffer before it is still being counted.
 */
SEC("raw_tp")
int keep(struct bpf_raw_tracepoint_args *ctx)
{
	u32 cpu = ctx->args[0];
	struct ring *ring = bpf_map_lookup_elem(&rings, &cpu);
	u64 gone;

	if (!ring)
		return 0;
	switch (ctx->args[1]) {
	case KEEP_ALL:
		__sync_lock_test_and_set(&ring->limit, 0);
		gone = __sync_fetch_and_or(&ring->gone, FROZEN) & ~FROZEN;
		ring->ready = *(volatile u64 *)&ring->tail == gone ? gone : NOT_YET;
		__sync_fetch_and_or(&ring->gone, FROZEN);	/* what was counted before `tail` came here is seen */
		break;
	case KEEP_FROM:
		__sync_lock_test_and_set(&ring->limit, ctx->args[2]);
		break;
	default:
		__sync_fetch_and_and(&ring->gone, ~FROZEN);
	}
	return 0;
}

/* Arguments: a CPU and a position. Finds up to where records are whole from there on. */
SEC("raw_tp")
int look(struct bpf_raw_tracepoint_args *ctx)
{
	u32 cpu = ctx->args[0];
	u64 ready[2] = { ctx->args[1], cpu };
	struct ring *ring = bpf_map_lookup_elem(&rings, &cpu);

	if (!ring)
		return 0;
	bpf_loop(RING_PARTS_MAX, drain_step, ready, 0);
	ring->ready = ready[0];
	return 0;
}

/*
 * Arguments: a CPU, and from where to where; counts what is kept of its ring into the last tally, up to the first record
 * of `before_ns` or later. `ready` is where that stands.
 */
SEC("raw_tp")
int count(struct bpf_raw_tracepoint_args *ctx)
{
	u32 cpu = ctx->args[0];
	struct ring *ring = bpf_map_lookup_elem(&rings, &cpu);
	struct record_walk walk = { ctx->args[1], ctx->args[2], recording.before_ns, cpu, recording.table };

	if (!ring)
		return 0;
	bpf_loop(RING_DEFAULT, record_step, &walk, 0);
	ring->ready = walk.at;
	return 0;
}

#endif

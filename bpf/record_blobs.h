/* SPDX-License-Identifier: MIT */
/*
 * Reading what arguments point to. User space says for each call which do (struct plan); it is read into a place of the
 * CPU, since its size is not known before, and from there copied into the ring.
 */
#ifndef STRACED_RECORD_BLOBS_H
#define STRACED_RECORD_BLOBS_H

#include "record_places.h"

#define CAPTURES 3
#define PLAN_WANTED 1
#define PLAN_EXEC 2
#define PLAN_GIVEN 4	/* something is read when it begins */
#define PATH_BYTES 4096
#define ADDRESS_BYTES 128
#define STRUCTURE_BYTES 144
#define BLOB_CUT 64
#define BLOB_UNREAD 128
#define SCRATCH_BYTES 16384	/* more than three paths take */

/* MESSAGE and BLOCKED are kinds of captures: they become blobs of others. */
enum blob_kind { BLOB_PATH = 1, BLOB_ADDRESS_IN, BLOB_ADDRESS_OUT, BLOB_BYTES_IN, BLOB_BYTES_OUT, BLOB_WORDS,
		 BLOB_GIVEN = 9, BLOB_MESSAGE, BLOB_BLOCKED };

struct capture {
	u8 argument;
	u8 kind;
	u8 bytes;	/* at most, up to STRUCTURE_BYTES; of a path 1: the call fills it in */
	u8 sized;	/* what says how many (record_structures.h) */
};

struct plan {
	u8 nargs;
	u8 flags;
	u16 unused;
	struct capture captures[CAPTURES];
};

struct blob {
	u16 bytes;
	u8 argument;
	u8 kind;
	u32 unused;
};

/* Makes the layout known in the object's BTF. */
struct blob *blob_layout;

struct scratch {
	u32 busy;	/* by a program that this one has preempted */
	u32 unused;
	u64 args[8];
	u64 walk[6];	/* details_names.h: struct path_walk */
	u8 bytes[SCRATCH_BYTES + PATH_BYTES + 64];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, PLACES);
	__type(key, u32);
	__type(value, struct plan);
} plans SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

INLINE struct plan *plan_of(u32 key)
{
	u32 place = place_of(key);

	return bpf_map_lookup_elem(&plans, &place);
}

INLINE struct scratch *take_scratch(void)
{
	u32 zero = 0;
	struct scratch *scratch = bpf_map_lookup_elem(&scratches, &zero);

	return scratch && !__sync_lock_test_and_set(&scratch->busy, 1) ? scratch : 0;
}

/* Only programs of this CPU look at it, so that no order among CPUs is asked for. */
INLINE void give_scratch(struct scratch *scratch)
{
	*(volatile u32 *)&scratch->busy = 0;
}

/* Completes a blob whose bytes are there; returns where the next one begins. What the last word has beyond them is cleared. */
INLINE u32 end_blob(struct scratch *scratch, u32 at, u32 bytes, u32 argument, u32 kind)
{
	struct blob *blob = (struct blob *)(scratch->bytes + (at & (SCRATCH_BYTES - 8)));
	u64 *last;
	u32 end;

	blob->bytes = bytes;
	blob->argument = argument;
	blob->kind = kind;
	blob->unused = 0;
	end = at + sizeof(*blob) + bytes;
	barrier_var(end);
	last = (u64 *)(scratch->bytes + (end & (SCRATCH_BYTES - 8)));
	*last &= (1ULL << (8 * (end & 7))) - 1;
	return (end + 7) & ~7U;
}

INLINE void *blob_bytes(struct scratch *scratch, u32 at)
{
	return scratch->bytes + (at & (SCRATCH_BYTES - 8)) + sizeof(struct blob);
}

#include "record_structures.h"

/* Reads a path or a socket address; returns where the next blob begins. An address of 0 is told by the argument itself. */
INLINE u32 read_blob(struct scratch *scratch, u32 at, u32 argument, u32 kind)
{
	u32 bytes = 0;
	void *address = (void *)scratch->args[argument & 7];
	u64 next = scratch->args[(argument + 1) & 7];
	void *to = blob_bytes(scratch, at);
	long found;

	if (!address)
		return at;
	switch (kind) {
	case BLOB_PATH:
		found = bpf_probe_read_user_str(to, PATH_BYTES + 1, address);
		if (found < 0)
			break;
		if (found > PATH_BYTES)
			return end_blob(scratch, at, PATH_BYTES - 1, argument, kind | BLOB_CUT);
		if (!found)	/* an empty one, as Linux has it before 6.16 */
			found = 1;
		return end_blob(scratch, at, found - 1, argument, kind);
	case BLOB_ADDRESS_OUT:
		if (bpf_probe_read_user(&bytes, sizeof(bytes), (void *)next))
			break;
		next = bytes;
		/* fallthrough */
	default:
		bytes = next > ADDRESS_BYTES ? ADDRESS_BYTES : next;
		barrier_var(bytes);
		if (bytes > ADDRESS_BYTES || bpf_probe_read_user(to, bytes, address))
			break;
		if (next > ADDRESS_BYTES)
			kind |= BLOB_CUT;
		return end_blob(scratch, at, bytes, argument, kind);
	}
	return end_blob(scratch, at, 0, argument, kind | BLOB_UNREAD);
}

/* Reads all that a plan says, from a place on; the arguments stand in scratch->args. Returns where that ends. */
INLINE u32 read_blobs(struct scratch *scratch, u32 at, struct plan *plan, long result, u32 key)
{
#pragma unroll
	for (int i = 0; i < CAPTURES; i++) {
		u32 kind = plan->captures[i].kind;

		if (!kind)
			break;
		if (result < 0 && (kind == BLOB_ADDRESS_OUT || kind == BLOB_BYTES_OUT ||
				   (kind == BLOB_PATH && plan->captures[i].bytes)))
			continue;
		if (kind <= BLOB_ADDRESS_OUT)
			at = read_blob(scratch, at, plan->captures[i].argument, kind);
		else
			at = read_structure(at, *(u32 *)&plan->captures[i], result, key);
	}
	return at;
}

#endif

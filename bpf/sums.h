/* SPDX-License-Identifier: MIT */
/*
 * What owners did in all their calls together, for a reader who wants no more of most of them: thousands of rows are
 * added up here, where they are, and nobody has to copy them.
 */
#ifndef STRACED_SUMS_H
#define STRACED_SUMS_H

/* A row as it was at the sum before. */
struct seen {
	u64 calls;
	u64 wall_ns;
	u64 birth_ns;
	u32 in_flight;
	u32 known;	/* whether in_flight has been worked out since the row changed */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, ROWS_DEFAULT);
	__type(key, u32);
	__type(value, struct seen);
} seen SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, OWNERS_DEFAULT);
	__type(key, u32);
	__type(value, struct sums);
} sums SEC(".maps");

/* Calls that have not returned. Buckets are counted modulo 2^32, as their overflows in the slots are. */
__attribute__((noinline)) u32 in_flight(u32 index)
{
	struct row *row = row_at(index);
	u32 flight;

	if (!row)
		return 0;
	flight = row->calls - row->untimed;
	for (u32 i = 0; i < HIST_SIZE; i++)
		flight -= row->histogram[i];
	return flight > 0x7fffffff ? 0 : flight;
}

INLINE u64 errors_in(struct row *row)
{
	u64 errors = 0;

	for (int i = 0; i < SLOTS; i++) {
		u64 slot = row->slots[i];

		if (!slot)
			break;
		if (slot >> 48 < SLOT_CARRY)
			errors += slot & 0xffffffffffff;
	}
	return errors;
}

struct errors {
	u32 row;
	u64 count;
};

static long errors_step(u32 i, void *data)
{
	struct errors *errors = data;
	struct row *row = row_at(errors->row);

	if (!row || !errors->row)
		return 1;
	errors->count += errors_in(row);
	errors->row = row->extra;
	return 0;
}

static long sum_step(u32 i, void *data)
{
	u32 index = i + 1;
	struct row *row = row_at(index);
	struct seen *before = bpf_map_lookup_elem(&seen, &index);
	struct sums *to;
	u32 owner_index;
	u64 calls, wall_ns;

	if (!row || !before)
		return 1;
	owner_index = row->owner;
	to = bpf_map_lookup_elem(&sums, &owner_index);
	if (!owner_index || !to)
		return 0;
	if (!row->key)
		return 0;	/* continues another row, and is added with that */
	to->errors += errors_in(row);
	if (row->extra) {
		struct errors errors = { .row = row->extra };

		bpf_loop(EXTRA_MAX, errors_step, &errors, 0);
		to->errors += errors.count;
	}
	calls = row->calls;
	wall_ns = row->wall_ns;
	to->calls += calls;
	to->wall_ns += wall_ns;
	to->waiting_ns += row->waiting_ns < wall_ns ? row->waiting_ns : wall_ns;
	if (before->calls == calls && before->wall_ns == wall_ns && before->birth_ns == row->birth_ns) {
		if (!before->known) {
			before->in_flight = in_flight(index);
			before->known = 1;
		}
		to->standing += before->in_flight;
		to->in_flight += before->in_flight;
		return 0;
	}
	before->calls = calls;
	before->wall_ns = wall_ns;
	before->birth_ns = row->birth_ns;
	before->known = 0;
	to->in_flight += in_flight(index);
	return 0;
}

#endif

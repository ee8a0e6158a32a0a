/* SPDX-License-Identifier: MIT */
/* Finding the row of a call, and adding to it. All adds are atomic: threads of a process share its rows. */
#ifndef STRACED_ROWS_H
#define STRACED_ROWS_H

struct walk {
	u32 row;
	u32 key;
	u32 owner;
	u32 found;
};

static long walk_step(u32 i, void *data)
{
	struct walk *walk = data;
	struct row *row = row_at(walk->row);

	if (!row || !walk->row)
		return 1;
	if (row->key == walk->key) {
		if (row->owner != walk->owner)	/* linked in this moment by another thread, see make_row */
			row->owner = walk->owner;
		walk->found = walk->row;
		return 1;
	}
	walk->row = row->next;
	return 0;
}

/* The row of an owner for a key, or 0. */
__attribute__((noinline)) u32 find_row(u32 owner_index, u32 key)
{
	struct owner *owner = owner_at(owner_index);
	struct walk walk = { .key = key, .owner = owner_index };

	if (!owner)
		return 0;
	walk.row = owner->head;
	if (walk.row)
		bpf_loop(OWNER_ROWS_MAX + 64, walk_step, &walk, 0);
	return walk.found;
}

/*
 * Puts a row in front of its owner's others, unless there is one of its key by now: a key has one row, for readers tell
 * rows apart by it. Returns which one that is, or 0. It is touched first: whoever finds it in the list must read it.
 */
__attribute__((noinline)) u32 link_row(u32 owner_index, u32 index)
{
	struct owner *owner = owner_at(owner_index);
	struct row *row = row_at(index);

	if (!owner || !row)
		return 0;
	for (int i = 0; i < 32; i++) {
		struct walk walk = { .key = row->key, .owner = owner_index };
		u32 head = *(volatile u32 *)&owner->head;

		walk.row = head;
		if (head)
			bpf_loop(OWNER_ROWS_MAX + 64, walk_step, &walk, 0);
		if (walk.found)
			return walk.found;
		row->next = head;
		touch(index);
		if (__sync_val_compare_and_swap(&owner->head, head, index) == head)
			return index;
	}
	return 0;
}

/*
 * A row for a key that has none yet; 0 when there is no room. It has its owner last: what is left in a cache from an
 * earlier use of it must not match before it is linked, since another thread's row may be there first.
 */
__attribute__((noinline)) u32 make_row(u32 owner_index, u32 key)
{
	struct owner *owner = owner_at(owner_index);
	struct row *row;
	u32 index, linked;

	if (!owner || owner->rows >= OWNER_ROWS_MAX)
		return 0;
	index = take_row(this_payer());
	if (!index)
		return 0;
	row = row_at(index);
	if (!row)
		return 0;
	row->birth_ns = bpf_ktime_get_ns();
	row->key = key;
	linked = link_row(owner_index, index);
	if (linked != index) {
		give_row(index);
		return linked;
	}
	row->owner = owner_index;
	ADD(owner->rows, 1);
	return index;
}

/* The row that continues another one, in the share of the same user. */
INLINE u32 next_extra(struct row *row, u32 row_index)
{
	u32 index, old;
	struct row *extra;

	if (row->extra)
		return row->extra;
	index = take_row(control.payer[row_index & (ROWS_LIMIT - 1)]);
	extra = row_at(index);
	if (!index || !extra)
		return 0;
	extra->owner = row->owner;
	old = __sync_val_compare_and_swap(&row->extra, 0, index);
	if (!old)
		return index;
	give_row(index);
	return old;
}

struct slot {
	u32 row;
	u32 code;
	u64 count;
};

static long slot_step(u32 level, void *data)
{
	struct slot *slot = data;
	struct row *row = row_at(slot->row);
	u64 fresh = (u64)slot->code << 48 | slot->count;

	if (!row)
		return 1;
	for (int i = 0; i < SLOTS; i++) {
		u64 old = *(volatile u64 *)&row->slots[i];

		if (!old) {
			old = __sync_val_compare_and_swap(&row->slots[i], 0, fresh);
			if (!old) {
				slot->count = 0;
				touch(slot->row);
				return 1;
			}
		}
		if (old >> 48 == slot->code) {
			ADD_FULL(row->slots[i], slot->count);
			slot->count = 0;
			touch(slot->row);
			return 1;
		}
	}
	slot->row = next_extra(row, slot->row);
	return !slot->row;
}

/* Adds to the slot of a code: an errno, or the carry of a bucket. */
__attribute__((noinline)) int add_slot(u32 index, u32 code, u64 count)
{
	struct slot slot = { index, code, count };

	bpf_loop(EXTRA_MAX, slot_step, &slot, 0);
	if (slot.count)
		ADD(control.lost_errnos, slot.count);
	return 0;
}

/* The call of a row returned. */
INLINE void finish(u32 index, u64 wall_ns, u64 waiting_ns, long ret)
{
	struct row *row = row_at(index);
	u32 bucket;

	if (!row || !index)
		return;
	if (wall_ns > row->max_ns)
		raise_max(row, wall_ns);
	if (wall_ns < row->min_ns || !row->min_ns)
		lower_min(row, wall_ns ?: 1);
	bucket = bucket_of(wall_ns);
	if (bucket < HIST_SIZE && __sync_fetch_and_add(&row->histogram[bucket], 1) == 0xffffffff)
		add_slot(index, SLOT_CARRY + bucket, 1);
	if (ret < 0 && ret >= -4095)
		add_slot(index, -ret, 1);
	if (waiting_ns)
		ADD(row->waiting_ns, waiting_ns);
	ADD_FULL(row->wall_ns, wall_ns ?: 1);
	touch(index);
}

/* The call of a row will never return. */
INLINE void abandon(u32 index)
{
	struct row *row = row_at(index);

	if (!row || !index)
		return;
	ADD_FULL(row->untimed, 1);
	touch(index);
}

/* The call of a row was entered. */
INLINE void begin(u32 index)
{
	struct row *row = row_at(index);

	if (!row || !index)
		return;
	ADD_FULL(row->calls, 1);
	touch(index);
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * When a thread or a process ends, its rows are added to those of the owner above it, so that a tree of many short
 * processes needs little memory. A reader must see every count exactly once: while it reads (control.hold) nothing
 * is folded; what ends meanwhile keeps its rows and is folded afterwards, at the reader's request.
 */
#ifndef STRACED_FOLD_H
#define STRACED_FOLD_H

/* Either the reader, who sets `hold` and then reads `folding`, sees us, or we see that it holds. */
INLINE bool fold_begin(void)
{
	ADD_FULL(control.folding, 1);
	if (!*(volatile u32 *)&control.hold)
		return true;
	ADD_FULL(control.folding, -1);
	return false;
}

/* Who reads that nobody folds any more sees all that was folded. */
INLINE void fold_end(void)
{
	ADD_FULL(control.folding, -1);
}

struct addition {
	u32 from;
	u32 to;
	u32 part;
};

INLINE void add_bucket(struct row *from, struct row *to, u32 to_index, u32 i)
{
	u32 count;

	barrier_var(i);	/* so that the verifier sees the check */
	if (i >= HIST_SIZE)
		return;
	count = from->histogram[i];
	if (count && __sync_fetch_and_add(&to->histogram[i], count) + (u64)count > 0xffffffff)
		add_slot(to_index, SLOT_CARRY + i, 1);
}

/* Two buckets at a time; most are empty. */
static long histogram_step(u32 pair, void *data)
{
	struct addition *addition = data;
	struct row *from = row_at(addition->from);
	struct row *to = row_at(addition->to);

	if (!from || !to || pair >= HIST_SIZE / 2)
		return 1;
	if (!((u64 *)from->histogram)[pair])
		return 0;
	add_bucket(from, to, addition->to, 2 * pair);
	add_bucket(from, to, addition->to, 2 * pair + 1);
	return 0;
}

static long slots_step(u32 i, void *data)
{
	struct addition *addition = data;
	struct row *part = row_at(addition->part);
	u64 slot;

	if (!part || i >= SLOTS)
		return 1;
	slot = part->slots[i];
	if (!slot)
		return 1;
	add_slot(addition->to, slot >> 48, slot & 0xffffffffffff);
	return 0;
}

static long part_step(u32 i, void *data)
{
	struct addition *addition = data;
	struct row *part = row_at(addition->part);
	u32 next;

	if (!part || !addition->part)
		return 1;
	bpf_loop(SLOTS, slots_step, addition, 0);
	next = part->extra;
	if (addition->part != addition->from)
		give_row(addition->part);
	addition->part = next;
	return 0;
}

/* Adds one row, quiet by now, to another. */
__attribute__((noinline)) int add_row(u32 from_index, u32 to_index)
{
	struct row *from = row_at(from_index);
	struct row *to = row_at(to_index);
	struct addition addition = { from_index, to_index, from_index };

	if (!from || !to)
		return 0;
	ADD(to->waiting_ns, from->waiting_ns);
	ADD(to->restarts, from->restarts);
	if (from->min_ns)
		lower_min(to, from->min_ns);
	raise_max(to, from->max_ns);
	bpf_loop(HIST_SIZE / 2, histogram_step, &addition, 0);
	if (from->slots[0])
		bpf_loop(EXTRA_MAX, part_step, &addition, 0);
	ADD(to->calls, from->calls);
	ADD(to->untimed, from->untimed);
	ADD_FULL(to->wall_ns, from->wall_ns);
	touch(to_index);
	return 0;
}

struct fold {
	u32 row;
	u32 to;
};

static long fold_step(u32 i, void *data)
{
	struct fold *fold = data;
	u32 index = fold->row;
	struct row *row = row_at(index);
	struct owner *to = owner_at(fold->to);
	u32 there;

	if (!index || !row || !to)
		return 1;
	fold->row = row->next;
	there = link_row(fold->to, index);
	if (there == index) {	/* the owner above had no such row: it gets this one */
		row->owner = fold->to;
		ADD_FULL(to->rows, 1);
		return 0;
	}
	if (there)
		add_row(index, there);
	else
		ADD(control.lost_folds, row->calls);
	give_row(index);
	return 0;
}

/* Gives the rows of an ended owner to the one above, or to that of its program, and frees it. */
__attribute__((noinline)) int fold_owner(u32 index)
{
	struct owner *owner = owner_at(index);
	struct owner *parent;
	struct fold fold = {};

	if (!owner || !owner->parent)
		return 0;
	parent = owner_at(owner->parent);
	if (parent && owner->lost)
		ADD(parent->lost, owner->lost);
	fold.row = owner->head;
	fold.to = program_owner(index) ?: owner->parent;
	if (fold.row)
		bpf_loop(2 * OWNER_ROWS_MAX, fold_step, &fold, 0);
	give_owner(index, owner);
	return 0;
}

#endif

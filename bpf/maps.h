/* SPDX-License-Identifier: MIT */
/* The maps, and how rows and owners are taken from and given back to them. */
#ifndef STRACED_MAPS_H
#define STRACED_MAPS_H

#define INLINE static __attribute__((always_inline))

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct task_state);
} tasks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct running);
} running SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, ROWS_DEFAULT);
	__type(key, u32);
	__type(value, struct row);
} rows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, OWNERS_DEFAULT);
	__type(key, u32);
	__type(value, struct owner);
} owners SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, ROWS_DEFAULT);
	__uint(value_size, sizeof(u32));
} free_rows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, OWNERS_DEFAULT);
	__uint(value_size, sizeof(u32));
} free_owners SEC(".maps");

/* All zeros, to wipe a row with. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct row);
} blank_row SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

struct control control;

/* Linux 6.2; used by the programs for preemptible kernels only. */
extern struct task_struct *bpf_task_from_pid(s32 pid) __attribute__((section(".ksyms"), weak));
extern void bpf_task_release(struct task_struct *task) __attribute__((section(".ksyms"), weak));

/* Makes the layout known in the object's BTF. */
struct event *event_layout;

const volatile struct limits limits = { ROWS_DEFAULT, OWNERS_DEFAULT, ROWS_DEFAULT, ROWS_DEFAULT, OWNERS_DEFAULT,
					OWNERS_DEFAULT };

#define ADD(place, n) ((void)__sync_fetch_and_add(&(place), (n)))

/*
 * Adds, and is a full barrier. On x86-64 both are; on arm64 an add whose old value nobody wants orders nothing (stadd),
 * while one that returns it does (ldaddal; or a loop with a barrier behind it).
 */
#define ADD_FULL(place, n)                                                   \
	({                                                                   \
		typeof(place) added_to = __sync_fetch_and_add(&(place), (n)); \
		barrier_var(added_to);                                       \
	})

INLINE struct row *row_at(u32 index)
{
	return bpf_map_lookup_elem(&rows, &index);
}

INLINE struct owner *owner_at(u32 index)
{
	return bpf_map_lookup_elem(&owners, &index);
}

/*
 * A row changed. The byte is read first, since most of the time it is set already and its cache line shared. The writer
 * adds to the row, passes a barrier (ADD_FULL), and then looks at the byte; the reader clears the byte, passes a barrier,
 * and then reads the row. So either the reader sees the add, or the writer sees that the byte was cleared.
 */
INLINE void touch(u32 index)
{
	u8 *touched = &control.touched[index & (ROWS_LIMIT - 1)];

	if (!*(volatile u8 *)touched)
		*(volatile u8 *)touched = 1;
}

/* In whose share a user takes rows and owners, so that one user cannot take them all. */
INLINE u32 payer_of(u32 uid)
{
	return uid ? 1 + uid % (PAYERS - 1) : 0;
}

INLINE u32 this_payer(void)
{
	return payer_of((u32)bpf_get_current_uid_gid());
}

INLINE u32 fresh_row(void)
{
	u32 index = 0;

	if (!bpf_map_pop_elem(&free_rows, &index))
		return index;
	if (control.next_row + 1 >= limits.rows_max)
		return 0;
	index = __sync_fetch_and_add(&control.next_row, 1) + 1;
	return index < limits.rows_max ? index : 0;
}

/* Index 0 is never given out: it means none. */
INLINE u32 take_row(u32 payer)
{
	u32 index;

	barrier_var(payer);	/* so that the verifier sees the bound */
	payer &= PAYERS - 1;
	if (payer && (control.rows_used[payer] >= limits.rows_of_user || control.rows_of_users >= limits.rows_of_users))
		return 0;
	index = fresh_row();
	if (!index)
		return 0;
	control.payer[index & (ROWS_LIMIT - 1)] = payer;
	ADD(control.rows_used[payer], 1);
	if (payer)
		ADD(control.rows_of_users, 1);
	return index;
}

INLINE void give_row(u32 index)
{
	u32 zero = 0, payer = control.payer[index & (ROWS_LIMIT - 1)];
	struct row *blank = bpf_map_lookup_elem(&blank_row, &zero);

	if (!blank)
		return;
	barrier_var(payer);
	payer &= PAYERS - 1;
	ADD(control.rows_used[payer], -1);
	if (payer)
		ADD(control.rows_of_users, -1);
	bpf_map_update_elem(&rows, &index, blank, 0);
	ADD_FULL(control.folding, 0);
	touch(index);
	bpf_map_push_elem(&free_rows, &index, 0);
}

INLINE u32 fresh_owner(void)
{
	u32 index = 0;

	if (!bpf_map_pop_elem(&free_owners, &index))
		return index;
	if (control.next_owner + 1 >= limits.owners_max)
		return 0;
	index = __sync_fetch_and_add(&control.next_owner, 1) + 1;
	return index < limits.owners_max ? index : 0;
}

INLINE u32 take_owner(u32 payer)
{
	u32 index;

	barrier_var(payer);	/* so that the verifier sees the bound */
	payer &= PAYERS - 1;
	if (payer &&
	    (control.owners_used[payer] >= limits.owners_of_user || control.owners_of_users >= limits.owners_of_users))
		return 0;
	index = fresh_owner();
	if (!index)
		return 0;
	ADD(control.owners_used[payer], 1);
	if (payer)
		ADD(control.owners_of_users, 1);
	return index;
}

INLINE void unpay_owner(u32 payer)
{
	barrier_var(payer);	/* so that the verifier sees the bound */
	payer &= PAYERS - 1;
	ADD(control.owners_used[payer], -1);
	if (payer)
		ADD(control.owners_of_users, -1);
}

INLINE void give_owner(u32 index, struct owner *owner)
{
	unpay_owner(owner->payer);
	owner->head = 0;
	owner->rows = 0;
	owner->lost = 0;
	owner->state = OWNER_FREE;
	bpf_map_push_elem(&free_owners, &index, 0);
}

#endif

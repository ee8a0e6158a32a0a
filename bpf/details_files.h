/* SPDX-License-Identifier: MIT */
/*
 * Sums by file and peer, for sessions that want them: at the exit of a call, by what its first descriptor stands for, by
 * what it has opened, or else by its path. A file is its inode, a peer an address and a port; of connections that were
 * accepted the peer is the address, and the port one's own. Names that the key does not say are told once, through the
 * ring of slow calls.
 */
#ifndef STRACED_DETAILS_FILES_H
#define STRACED_DETAILS_FILES_H

#define PATH_WORDS 64	/* of a path, so many tell it from others; and its length */
#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define SLOW_NAME 2
#define SOL_SOCKET 1
#define SO_ERROR 4
#define POLLERR 8

#include "details_peers.h"

struct file_row {
	u64 calls;
	u64 errors;
	u64 bytes;
	u64 wall_ns;
	u64 waiting_ns;
	u64 max_ns;
	u64 replies;
	u64 reply_ns;
	u64 reply_max_ns;
	u64 syncs;
	u64 sync_ns;
	u32 named;
	u32 error;	/* the last one that says much, or else the last */
	u32 histogram[HIST_SIZE];
};

/* Make the layouts known in the object's BTF. */
struct file_row *file_row_layout;
struct file_told *file_told_layout;

struct {
	__uint(type, 1);	/* BPF_MAP_TYPE_HASH */
	__uint(max_entries, 1);	/* set before the load */
	__type(key, struct file_key);
	__type(value, struct file_row);
} file_rows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct file_row);
} blank_file SEC(".maps");

enum turn_kind { TURN_SENT = 1, TURN_RECEIVED, TURN_SYNCED };

/* A socket at which it is the peer's turn. */
struct turn {
	struct file_key key;
	u64 socket;
};

/* When something was last sent; of sockets that are never heard of again the oldest go. */
struct {
	__uint(type, 9);	/* BPF_MAP_TYPE_LRU_HASH */
	__uint(max_entries, 64);	/* set before the load */
	__type(key, struct turn);
	__type(value, u64);
} turns SEC(".maps");

/* Returns where the name ends that stands in the scratch place then; 0: there is none. */
INLINE u32 key_of_file(struct file_key *key, u64 address, u32 use, long result)
{
	struct file___open *file = (void *)address;
	struct inode *inode = BPF_CORE_READ(file, f_inode);

	key->kind = BY_INODE;
	key->one = (u64)inode;
	key->two = BPF_CORE_READ(inode, i_ino) ^ (u64)BPF_CORE_READ(inode, i_generation) << 32;
	if ((BPF_CORE_READ(inode, i_mode) & S_IFMT) == S_IFSOCK)
		return key_of_socket(key, address, use, result);
	return 0;
}

/* The path stands in the scratch place behind the key; a relative one is another in each directory. */
INLINE bool key_of_path(struct file_key *key, struct scratch *scratch, struct task_struct___files *task, s32 directory)
{
	struct blob *blob = (struct blob *)(scratch->bytes + sizeof(struct file_told));
	u64 file;

	if (blob->kind & BLOB_UNREAD || !blob->bytes)
		return false;
	key->kind = BY_PATH;
	key->one = hash_of(blob);
	key->two = 0;
	if (*(u8 *)(blob + 1) == '/')
		return true;
	if (directory == WORKING_DIRECTORY) {
		key->two = (u64)BPF_CORE_READ(task, fs, pwd.dentry);
	} else {
		file = file_at(task, directory);
		key->two = file ? (u64)BPF_CORE_READ((struct file___open *)file, f_path.dentry) : 1;
	}
	return true;
}

INLINE struct file_row *file_row_of(struct file_key *key, struct slow_limit *limit)
{
	struct file_row *row = bpf_map_lookup_elem(&file_rows, key), *blank;
	u32 zero = 0;

	if (row)
		return row;
	blank = bpf_map_lookup_elem(&blank_file, &zero);
	if (blank)
		bpf_map_update_elem(&file_rows, key, blank, 1 /* BPF_NOEXIST */);
	row = bpf_map_lookup_elem(&file_rows, key);
	if (row)
		return row;
	key->kind = BY_OTHERS;	/* there since the session began */
	key->port = 0;
	key->one = key->two = 0;
	return bpf_map_lookup_elem(&file_rows, key);
}

/* Of somebody who asked whether he would have to wait, or what it is: that says little of a file or peer. */
INLINE bool says_little(u32 error)
{
	switch (error) {
	case 0:
	case INTERRUPTED:
	case AGAIN:
	case NO_TERMINAL:
	case NO_SEEK:
	case NOT_CONNECTED:
	case ALREADY:
	case IN_PROGRESS:
		return true;
	}
	return false;
}

/* The last error that says much, or else the last. */
INLINE void note_error(struct file_row *row, u32 error)
{
	if (!says_little(error) || says_little(row->error))
		row->error = error;
}

INLINE void raise(u64 *longest, u64 value)
{
	for (int i = 0; i < 8; i++) {
		u64 old = *(volatile u64 *)longest;

		if (old >= value || __sync_val_compare_and_swap(longest, old, value) == old)
			break;
	}
}

INLINE void add_call(struct file_row *row, const struct outcome *outcome, u32 flags)
{
	u32 bucket = bucket_of(outcome->duration_ns);

	ADD(row->calls, 1);
	ADD(row->wall_ns, outcome->duration_ns);
	ADD(row->waiting_ns, outcome->waiting_ns);
	if (outcome->result < 0 && outcome->result >= -4095) {
		ADD(row->errors, 1);
		note_error(row, -outcome->result);
	} else if (flags & DETAIL_BYTES && outcome->result > 0) {
		ADD(row->bytes, outcome->result);
	}
	if (bucket < HIST_SIZE)
		ADD(row->histogram[bucket], 1);
	raise(&row->max_ns, outcome->duration_ns);
}

/* Tells what a new row is about; where there is no room for that, the next call of the row tries again. */
INLINE void tell_name(struct scratch *scratch, struct file_key *key, struct file_row *row, u64 file, s32 directory, u32 at)
{
	struct file_told *told = (struct file_told *)scratch->bytes;

	if (key->kind == BY_OTHERS || key->kind >= BY_FAMILY || *(volatile u32 *)&row->named ||
	    __sync_lock_test_and_set(&row->named, 1))
		return;
	if (key->kind == BY_PATH)
		at = name_descriptor(at, 7, directory, 0);
	else if (key->kind == BY_INODE)
		at = name_file(sizeof(*told), 0, file, 0);
	told->head.session = key->session;
	told->head.peeked = SLOW_NAME;
	told->key = *key;
	barrier_var(at);
	if (at > SCRATCH_BYTES || bpf_ringbuf_output(&slow_calls, scratch->bytes, at, 0))
		*(volatile u32 *)&row->named = 0;
}

/* The descriptor that poll(2) waits for, if it is only one; -1. */
INLINE s32 polled(struct scratch *scratch)
{
	s32 number = -1;

	if (scratch->args[1] == 1)
		bpf_probe_read_user(&number, sizeof(number), (void *)scratch->args[0]);
	return number;
}

/* Whether who waits for a socket waits for a peer: neither that of a server, nor what is no socket at all. */
INLINE bool is_of_peer(struct file_key *key)
{
	u32 kind = key->kind & KIND_MASK;

	return kind == BY_UNIX || (kind >= BY_PEER && kind < BY_OWN) || (kind == BY_OWN && !key->port);
}

/* Whether it is a peer that was called, and not one that calls. */
INLINE bool is_called(struct file_key *key)
{
	u32 kind = key->kind & KIND_MASK;

	return kind == BY_UNIX || kind == BY_PEER || kind == BY_PEER_6;
}

/* What getsockopt(2) has told of a connect that went on. */
INLINE void note_socket_error(struct scratch *scratch, struct file_row *row, long result)
{
	u32 error = 0;

	if (!result && scratch->args[1] == SOL_SOCKET && scratch->args[2] == SO_ERROR &&
	    !bpf_probe_read_user(&error, sizeof(error), (void *)scratch->args[3]) && error)
		note_error(row, error);
}

/* poll(2) has told that there is an error, and leaves it where it is: who is not interested in which never asks. */
INLINE void note_polled_error(struct scratch *scratch, struct file_row *row, u64 file, long result)
{
	struct socket *socket = BPF_CORE_READ((struct file___open *)file, private_data);
	struct sock___error *sock = (struct sock___error *)BPF_CORE_READ(socket, sk);
	u64 polled = 0;

	if (result == 1 && !bpf_probe_read_user(&polled, sizeof(polled), (void *)scratch->args[0]) && polled >> 48 & POLLERR)
		note_error(row, BPF_CORE_READ(sock, sk_err));
}

/*
 * How long a peer takes to reply: from when something was last sent to it until something comes. It is told of those that
 * were called, and also where a program waits for many of them at once, so that none of its calls lasts.
 */
__attribute__((noinline)) int note_turn(struct file_key *key, struct outcome *outcome, u64 file, u32 turn)
{
	struct turn this = {};
	struct file_row *row;
	u64 *sent, now;

	if (!key || !outcome || !is_called(key))
		return 0;
	this.key = *key;
	this.socket = BPF_CORE_READ((struct file___open *)file, f_inode, i_ino);
	now = outcome->end_ns;
	if (turn == TURN_SENT) {
		if (outcome->result > 0)
			bpf_map_update_elem(&turns, &this, &now, 0);
		return 0;
	}
	sent = bpf_map_lookup_elem(&turns, &this);
	if (!sent || outcome->result == -AGAIN || outcome->result == -INTERRUPTED)
		return 0;
	now -= *sent;
	bpf_map_delete_elem(&turns, &this);
	row = bpf_map_lookup_elem(&file_rows, &this.key);
	if (!row || outcome->result <= 0 || (s64)now < 0)
		return 0;
	ADD(row->replies, 1);
	ADD(row->reply_ns, now);
	raise(&row->reply_max_ns, now);
	return 0;
}

/* A call of the current task has returned. */
__attribute__((noinline)) int add_to_file(struct outcome *outcome)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *state = state_of(task);
	struct detail_plan *details;
	struct slow_limit *limit;
	struct scratch *scratch;
	struct file_row *row;
	struct plan *plan;
	struct file_key key = {};
	u32 session, at = sizeof(struct file_told), first = 0;
	s32 directory = WORKING_DIRECTORY;
	bool by_path;
	u64 file = 0;

	if (!state || !outcome)
		return 0;
	session = session_of(state);
	limit = bpf_map_lookup_elem(&slow_limits, &session);
	details = detail_plan_of(outcome->key);
	plan = plan_of(outcome->key);
	if (!limit || !details || !plan || !limit->files || (details->flags & DETAIL_WAITS && details->address != POLLED))
		return 0;
	by_path = plan->captures[0].kind == BLOB_PATH && !plan->captures[0].bytes;
	if (!by_path && !details->descriptors && details->address != POLLED)
		return 0;
	if (plan->flags & PLAN_EXEC && !outcome->result)
		return 0;
	scratch = take_scratch();
	if (!scratch) {
		ADD(limit->unplaced, 1);
		return 0;
	}
	key.session = session;
	scratch->args[TASK_PLACE] = (u64)task;
	arguments_in((struct pt_regs *)bpf_task_pt_regs(task), outcome->key, scratch->args, ARGUMENTS);
	while (first < 5 && !(details->descriptors >> first & 1))
		first++;
	if (by_path && details->flags & DETAIL_OPENS && outcome->result >= 0) {
		file = file_at((void *)task, outcome->result);
	} else if (by_path) {
		if (details->descriptors)
			directory = scratch->args[first & 7];
		at = read_blob(scratch, at, plan->captures[0].argument, BLOB_PATH);
		if (at == sizeof(struct file_told))
			goto out;
		if (!key_of_path(&key, scratch, (void *)task, directory)) {	/* an empty one: it is the descriptor itself */
			if (!details->descriptors)
				goto out;
			file = file_at((void *)task, directory);
		}
	} else {
		file = file_at((void *)task, details->address == POLLED ? polled(scratch) : scratch->args[first & 7]);
	}
	if (file)
		at = key_of_file(&key, file, details->address, outcome->result);
	else if (key.kind != BY_PATH)
		goto out;
	if (details->address == POLLED && !is_of_peer(&key))
		goto out;
	row = file_row_of(&key, limit);
	if (row) {
		add_call(row, outcome, details->flags);
		if (details->address == SOCKET_ERROR)
			note_socket_error(scratch, row, outcome->result);
		if (details->address == POLLED)
			note_polled_error(scratch, row, file, outcome->result);
		if (details->turn == TURN_SYNCED) {
			ADD(row->syncs, 1);
			ADD(row->sync_ns, outcome->duration_ns);
		} else if (details->turn && file)
			note_turn(&key, outcome, file, details->turn);
		tell_name(scratch, &key, row, file, directory, at);
	} else {
		ADD(limit->unplaced, 1);
	}
out:
	give_scratch(scratch);
	return 0;
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Sums by file and peer, for sessions that want them: at the exit of a call, by what its first descriptor stands for, by
 * what it has opened, or else by its path. A file is its inode, a peer an address and a port; of connections that were
 * accepted the peer is the address, and the port one's own. Its name is told once, through the ring of slow calls.
 */
#ifndef STRACED_DETAILS_FILES_H
#define STRACED_DETAILS_FILES_H

#define PATH_WORDS 64	/* of a path, so many tell it from others; and its length */
#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define FIRST_EPHEMERAL 32768
#define SLOW_NAME 2

enum file_kind { BY_INODE = 1, BY_PATH, BY_OTHERS, BY_PEER = 16, BY_PEER_6, BY_CLIENT, BY_CLIENT_6, BY_OWN, BY_OWN_6 };

struct file_key {
	u32 session;
	u16 kind;
	u16 port;
	u64 one;	/* inode, hash of the path, address */
	u64 two;	/* its number and generation, the rest of the address */
};

struct file_row {
	u64 calls;
	u64 errors;
	u64 bytes;
	u64 wall_ns;
	u64 waiting_ns;
	u64 max_ns;
	u32 named;
	u32 error;	/* the last one */
	u32 histogram[HIST_SIZE];
};

struct file_told {
	struct slow_head head;
	struct file_key key;
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

INLINE void key_of_socket(struct file_key *key, struct file___open *file)
{
	struct socket *socket = BPF_CORE_READ(file, private_data);
	struct sock *sock = BPF_CORE_READ(socket, sk);
	u16 family = BPF_CORE_READ(sock, __sk_common.skc_family);
	u16 own, peer;

	if (family != AF_INET && family != AF_INET6)
		return;
	own = BPF_CORE_READ(sock, __sk_common.skc_num);
	peer = __builtin_bswap16(BPF_CORE_READ(sock, __sk_common.skc_dport));
	if (!peer && !own)
		return;
	key->kind = !peer ? BY_OWN : own < FIRST_EPHEMERAL && peer >= FIRST_EPHEMERAL ? BY_CLIENT : BY_PEER;
	key->port = key->kind == BY_PEER ? peer : own;
	if (family == AF_INET) {
		key->one = peer ? BPF_CORE_READ(sock, __sk_common.skc_daddr) : BPF_CORE_READ(sock, __sk_common.skc_rcv_saddr);
		key->two = 0;
		return;
	}
	key->kind++;
	if (peer)
		BPF_CORE_READ_INTO(&key->one, sock, __sk_common.skc_v6_daddr);
	else
		BPF_CORE_READ_INTO(&key->one, sock, __sk_common.skc_v6_rcv_saddr);
}

INLINE void key_of_file(struct file_key *key, u64 address)
{
	struct file___open *file = (void *)address;
	struct inode *inode = BPF_CORE_READ(file, f_inode);

	key->kind = BY_INODE;
	key->one = (u64)inode;
	key->two = BPF_CORE_READ(inode, i_ino) ^ (u64)BPF_CORE_READ(inode, i_generation) << 32;
	if ((BPF_CORE_READ(inode, i_mode) & S_IFMT) == S_IFSOCK)
		key_of_socket(key, file);
}

/* The path stands in the scratch place behind the key; a relative one is another in each directory. */
INLINE bool key_of_path(struct file_key *key, struct scratch *scratch, struct task_struct___files *task, s32 directory)
{
	struct blob *blob = (struct blob *)(scratch->bytes + sizeof(struct file_told));
	u64 *words = (u64 *)(blob + 1);
	u64 hash = 0xcbf29ce484222325ULL + blob->bytes;
	u32 length = blob->bytes;
	u64 file;

	if (blob->kind & BLOB_UNREAD || !length)
		return false;
	for (int i = 0; i < PATH_WORDS; i++) {
		if (8 * i >= length)
			break;
		hash = (hash ^ words[i]) * 0x100000001b3ULL;
		hash ^= hash >> 29;
	}
	key->kind = BY_PATH;
	key->one = hash;
	key->two = 0;
	if ((u8)words[0] == '/')
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

INLINE void add_call(struct file_row *row, const struct outcome *outcome, u32 flags)
{
	u32 bucket = bucket_of(outcome->duration_ns);

	ADD(row->calls, 1);
	ADD(row->wall_ns, outcome->duration_ns);
	ADD(row->waiting_ns, outcome->waiting_ns);
	if (outcome->result < 0 && outcome->result >= -4095) {
		ADD(row->errors, 1);
		row->error = -outcome->result;
	} else if (flags & DETAIL_BYTES && outcome->result > 0) {
		ADD(row->bytes, outcome->result);
	}
	if (bucket < HIST_SIZE)
		ADD(row->histogram[bucket], 1);
	for (int i = 0; i < 8; i++) {
		u64 max = *(volatile u64 *)&row->max_ns;

		if (max >= outcome->duration_ns || __sync_val_compare_and_swap(&row->max_ns, max, outcome->duration_ns) == max)
			break;
	}
}

/* Tells what a new row is about; where there is no room for that, the next call of the row tries again. */
INLINE void tell_name(struct scratch *scratch, struct file_key *key, struct file_row *row, u64 file, s32 directory, u32 at)
{
	struct file_told *told = (struct file_told *)scratch->bytes;

	if (*(volatile u32 *)&row->named || __sync_lock_test_and_set(&row->named, 1) || key->kind == BY_OTHERS)
		return;
	if (key->kind == BY_PATH)
		at = name_descriptor(at, 7, directory, 0);
	else
		at = name_file(sizeof(*told), 0, file, 0);
	told->head.session = key->session;
	told->head.peeked = SLOW_NAME;
	told->key = *key;
	barrier_var(at);
	if (at > SCRATCH_BYTES || bpf_ringbuf_output(&slow_calls, scratch->bytes, at, 0))
		*(volatile u32 *)&row->named = 0;
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
	if (!limit || !details || !plan || !limit->files || details->flags & DETAIL_WAITS)
		return 0;
	by_path = plan->captures[0].kind == BLOB_PATH && !plan->captures[0].bytes;
	if (!by_path && !details->descriptors)
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
		if (at == sizeof(struct file_told) || !key_of_path(&key, scratch, (void *)task, directory))
			goto out;
	} else {
		file = file_at((void *)task, scratch->args[first & 7]);
	}
	if (file)
		key_of_file(&key, file);
	else if (key.kind != BY_PATH)
		goto out;
	row = file_row_of(&key, limit);
	if (row) {
		add_call(row, outcome, details->flags);
		tell_name(scratch, &key, row, file, directory, at);
	} else {
		ADD(limit->unplaced, 1);
	}
out:
	give_scratch(scratch);
	return 0;
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * What a descriptor stands for: the path of its file, piece by piece from the end, up to the root of its task; the ends of
 * its socket. bpf_d_path() is not for programs on these tracepoints. What is read may change meanwhile, as with /proc.
 */
#ifndef STRACED_DETAILS_NAMES_H
#define STRACED_DETAILS_NAMES_H

#include "kernel_files.h"

#define NAME_BYTES 1024	/* of a path: its end, where it is longer */
#define PIECES_MAX 64
#define PIECE_BYTES 256
#define UNIX_NAME_BYTES 112
#define WORKING_DIRECTORY (-100)	/* AT_FDCWD */
#define TASK_PLACE 7		/* of scratch->args: whose names are told */
#define SOCKFS_MAGIC 0x534f434b
#define IS_TCP 6
#define FIRST_EPHEMERAL 32768
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10

enum { BLOB_FILE = BLOB_WORDS + 1, BLOB_SOCKET };
enum file_flags { FILE_DELETED = 1 };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct inet_bind_bucket {
	signed char fastreuse;
};

struct inet_connection_sock {
	struct inet_bind_bucket *icsk_bind_hash;
};

struct inet_sock {
	u16 inet_sport;	/* stays when the connection is reset */
};

struct sock_common___bound {
	int skc_bound_dev_if;
};

struct sock___bound {
	struct sock_common___bound __sk_common;
	u8 sk_userlocks : 4;
};

#pragma clang attribute pop

/* Before the pieces of a path, each ended by a zero, the last one first. */
struct file_name {
	u32 mode;
	u32 flags;
	u64 inode;
	u64 magic;	/* of the file system */
	u32 device;
	u32 pieces;
};

/* Before the name of a socket of AF_UNIX. */
struct socket_name {
	u16 family;
	u16 type;
	u16 protocol;
	u16 state;
	u16 local_port;
	u16 peer_port;
	u32 of_peer;	/* of AF_UNIX: the name is the other end's; else: that end has called this one */
	u64 inode;
	u8 local[16];
	u8 peer[16];
};

/* Make the layouts known in the object's BTF. */
struct file_name *file_name_layout;
struct socket_name *socket_name_layout;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct scratch);
} peek_scratch SEC(".maps");

/* The place of this CPU, or that of the iterator, which may run only once at a time. */
INLINE struct scratch *scratch_of(bool peeking)
{
	u32 zero = 0;

	return peeking ? bpf_map_lookup_elem(&peek_scratch, &zero) : bpf_map_lookup_elem(&scratches, &zero);
}

struct path_walk {
	struct dentry___tree *dentry;
	struct mount *mount;
	struct dentry___tree *root;
	struct mount *root_mount;
	u32 at;
	u32 end;
	u32 pieces;
	u32 cut;
};

INLINE struct mount *mount_of(struct vfsmount *mnt)
{
	return (void *)mnt - bpf_core_field_offset(struct mount, mnt);
}

/* Where a walk is stands in the scratch place: Linux 6.1 adds up the stacks of all that are in each other, up to 512. */
INLINE struct path_walk *walk_of(struct scratch *scratch)
{
	return (struct path_walk *)scratch->walk;
}

static long path_step(u32 i, void *data)
{
	struct scratch *scratch = scratch_of(*(u32 *)data);
	struct dentry___tree *dentry;
	struct path_walk *walk;
	struct mount *mount;
	long found;
	u32 at;

	if (!scratch)
		return 1;
	walk = walk_of(scratch);
	dentry = walk->dentry;
	mount = walk->mount;
	at = walk->at;
	if (!dentry || (dentry == walk->root && mount == walk->root_mount))
		return 1;
	if (dentry == BPF_CORE_READ(mount, mnt.mnt_root)) {
		struct mount *above = BPF_CORE_READ(mount, mnt_parent);

		if (!above || above == mount)
			return 1;
		walk->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		walk->mount = above;
		return 0;
	}
	if (at + PIECE_BYTES > walk->end || walk->pieces >= PIECES_MAX) {
		walk->cut = 1;
		return 1;
	}
	barrier_var(at);
	found = bpf_probe_read_kernel_str(scratch->bytes + (at & (SCRATCH_BYTES - 1)), PIECE_BYTES,
					  BPF_CORE_READ(dentry, d_name.name));
	if (found <= 0)
		return 1;
	walk->at = at + found;
	walk->pieces++;
	struct dentry___tree *parent = BPF_CORE_READ(dentry, d_parent);

	if (parent == dentry)
		return 1;
	walk->dentry = parent;
	return 0;
}

/*
 * The path of a dentry, as a blob; returns where the next one begins. Functions that are not static are verified once,
 * and take numbers: addresses in the kernel are only ever read at.
 */
__attribute__((noinline)) int name_path(u32 at, u32 argument, u64 dentry_address, u64 mnt_address, u32 peeking)
{
	struct scratch *scratch = scratch_of(peeking);
	struct dentry___tree *dentry = (void *)dentry_address;
	struct task_struct___files *task;
	struct path_walk *walk;
	struct super_block *super;
	struct file_name *name;
	struct vfsmount *root;
	struct inode *inode;

	if (!scratch)
		return at;
	task = (void *)scratch->args[TASK_PLACE];
	walk = walk_of(scratch);
	walk->dentry = dentry;
	walk->mount = mount_of((void *)mnt_address);
	walk->pieces = 0;
	walk->cut = 0;
	name = blob_bytes(scratch, at);
	inode = BPF_CORE_READ(dentry, d_inode);
	super = BPF_CORE_READ(inode, i_sb);
	walk->root = BPF_CORE_READ(task, fs, root.dentry);
	root = BPF_CORE_READ(task, fs, root.mnt);
	walk->root_mount = mount_of(root);
	walk->at = at + sizeof(struct blob) + sizeof(*name);
	walk->end = walk->at + NAME_BYTES;
	name->mode = BPF_CORE_READ(inode, i_mode);
	name->inode = BPF_CORE_READ(inode, i_ino);
	name->magic = BPF_CORE_READ(super, s_magic);
	name->device = BPF_CORE_READ(super, s_dev);
	name->flags = !BPF_CORE_READ(dentry, d_hash.pprev) && BPF_CORE_READ(dentry, d_parent) != dentry ? FILE_DELETED : 0;
	bpf_loop(2 * PIECES_MAX, path_step, &peeking, 0);
	name = blob_bytes(scratch, at);
	name->pieces = walk->pieces;
	return end_blob(scratch, at, walk->at - at - sizeof(struct blob), argument,
			walk->cut ? BLOB_FILE | BLOB_CUT : BLOB_FILE);
}

/*
 * Whether a connection was accepted, or made by connect(2): that takes only ports whose bucket says that nobody has bound
 * them. Of other protocols, and of connections that were reset, the ports are all that there is to tell.
 */
INLINE bool is_accepted(struct sock *sock, u16 protocol, u16 own, u16 peer)
{
	struct inet_bind_bucket *bucket = 0;

	if (protocol == IS_TCP)
		bucket = BPF_CORE_READ((struct inet_connection_sock *)sock, icsk_bind_hash);
	if (!bucket)
		return own && own < FIRST_EPHEMERAL && peer >= FIRST_EPHEMERAL;
	return BPF_CORE_READ(bucket, fastreuse) >= 0 && (own < FIRST_EPHEMERAL || peer >= FIRST_EPHEMERAL);
}

/* Of an address of IPv6 of which each link has one: where it has zeros, bytes 4 to 7, its interface is told. */
INLINE bool is_of_link(u64 high)
{
	return (high & 0xc0ff) == 0x80fe;
}

__attribute__((noinline)) int name_socket(u32 at, u32 argument, u64 file_address, u32 peeking)
{
	struct scratch *scratch = scratch_of(peeking);
	struct file___open *file = (void *)file_address;
	struct socket *socket = BPF_CORE_READ(file, private_data);
	struct sock *sock = BPF_CORE_READ(socket, sk);
	struct unix_address *address = 0;
	struct socket_name *name;
	u32 bytes = 0;

	if (!scratch)
		return at;
	name = blob_bytes(scratch, at);
	__builtin_memset(name, 0, sizeof(*name));
	name->inode = BPF_CORE_READ(file, f_inode, i_ino);
	name->family = BPF_CORE_READ(sock, __sk_common.skc_family);
	name->type = BPF_CORE_READ(sock, sk_type);
	name->protocol = BPF_CORE_READ(sock, sk_protocol);
	name->state = BPF_CORE_READ(sock, __sk_common.skc_state);
	if (name->family == AF_INET || name->family == AF_INET6) {
		name->local_port = BPF_CORE_READ(sock, __sk_common.skc_num);
		name->peer_port = __builtin_bswap16(BPF_CORE_READ(sock, __sk_common.skc_dport));
		name->of_peer = is_accepted(sock, name->protocol, name->local_port, name->peer_port);
	}
	if (name->family == AF_INET) {
		*(u32 *)name->local = BPF_CORE_READ(sock, __sk_common.skc_rcv_saddr);
		*(u32 *)name->peer = BPF_CORE_READ(sock, __sk_common.skc_daddr);
	} else if (name->family == AF_INET6) {
		BPF_CORE_READ_INTO(&name->local, sock, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&name->peer, sock, __sk_common.skc_v6_daddr);
		if (is_of_link(*(u64 *)name->peer))
			*(u32 *)(name->peer + 4) = BPF_CORE_READ((struct sock___bound *)sock, __sk_common.skc_bound_dev_if);
	} else if (name->family == AF_UNIX) {
		struct sock *peer = BPF_CORE_READ((struct unix_sock *)sock, peer);

		address = peer ? BPF_CORE_READ((struct unix_sock *)peer, addr) : 0;
		name->of_peer = !!address;
		address = address ?: BPF_CORE_READ((struct unix_sock *)sock, addr);
	}
	if (address) {
		u32 to = at + sizeof(struct blob) + sizeof(*name);

		bytes = BPF_CORE_READ(address, len);
		bytes = bytes > UNIX_NAME_BYTES ? UNIX_NAME_BYTES : bytes;
		barrier_var(bytes);
		barrier_var(to);
		if (bytes > UNIX_NAME_BYTES ||
		    bpf_probe_read_kernel(scratch->bytes + (to & (SCRATCH_BYTES - 8)), bytes,
					  (void *)address + bpf_core_field_offset(struct unix_address, name)))
			bytes = 0;
	}
	return end_blob(scratch, at, sizeof(*name) + bytes, argument, BLOB_SOCKET);
}

/* What an open file is. */
INLINE u32 name_file(u32 at, u32 argument, u64 file_address, u32 peeking)
{
	struct file___open *file = (void *)file_address;

	if (!file)
		return at;
	if (BPF_CORE_READ(file, f_inode, i_sb, s_magic) == SOCKFS_MAGIC)
		return name_socket(at, argument, file_address, peeking);
	return name_path(at, argument, (u64)BPF_CORE_READ(file, f_path.dentry), (u64)BPF_CORE_READ(file, f_path.mnt), peeking);
}

/* The open file of a descriptor; 0: there is none. */
INLINE u64 file_at(struct task_struct___files *task, u32 number)
{
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file___open **files;
	u64 file = 0;

	if (!table || number >= BPF_CORE_READ(table, max_fds))
		return 0;
	files = BPF_CORE_READ(table, fd);
	bpf_probe_read_kernel(&file, sizeof(file), files + number);
	return file;
}

/* What a descriptor of the task of the scratch place is. */
__attribute__((noinline)) int name_descriptor(u32 at, u32 argument, u32 number, u32 peeking)
{
	struct scratch *scratch = scratch_of(peeking);
	struct task_struct___files *task;

	if (!scratch)
		return at;
	task = (void *)scratch->args[TASK_PLACE];
	if ((s32)number == WORKING_DIRECTORY)
		return name_path(at, argument, (u64)BPF_CORE_READ(task, fs, pwd.dentry), (u64)BPF_CORE_READ(task, fs, pwd.mnt),
				 peeking);
	return name_file(at, argument, file_at(task, number), peeking);
}

#endif

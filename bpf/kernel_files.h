/* SPDX-License-Identifier: MIT */
/* The kernel's types of files, mounts and sockets, with only the fields that are read; see vmlinux_min.h. */
#ifndef STRACED_KERNEL_FILES_H
#define STRACED_KERNEL_FILES_H

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct super_block {
	unsigned long s_magic;
	u32 s_dev;
};

struct inode {
	u16 i_mode;
	u32 i_generation;
	unsigned long i_ino;
	struct super_block *i_sb;
};

struct hlist_bl_node {
	struct hlist_bl_node **pprev;
};

struct dentry___tree {
	struct hlist_bl_node d_hash;
	struct dentry___tree *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
};

struct vfsmount {
	struct dentry___tree *mnt_root;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry___tree *mnt_mountpoint;
	struct vfsmount mnt;
};

struct path___tree {
	struct vfsmount *mnt;
	struct dentry___tree *dentry;
};

struct file___open {
	struct path___tree f_path;
	struct inode *f_inode;
	void *private_data;
};

struct fdtable {
	unsigned int max_fds;
	struct file___open **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct fs_struct {
	struct path___tree root;
	struct path___tree pwd;
};

struct mm_struct___exe {
	struct file___open *exe_file;
};

struct task_struct___files {
	struct files_struct *files;
	struct fs_struct *fs;
	struct mm_struct___exe *mm;
};

struct in6_addr {
	u8 in6_u[16];
};

struct sock_common {
	u16 skc_family;
	u8 skc_state;
	u16 skc_num;
	u16 skc_dport;	/* in the network's order */
	u32 skc_daddr;
	u32 skc_rcv_saddr;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};

struct sock {
	struct sock_common __sk_common;
	u16 sk_type;
	u16 sk_protocol;
};

struct socket {
	struct sock *sk;
};

struct sockaddr_un {
	u16 sun_family;
	char sun_path[108];
};

struct unix_address {
	int len;
	struct sockaddr_un name[];
};

struct unix_sock {
	struct unix_address *addr;
	struct sock *peer;
};

#pragma clang attribute pop
#endif

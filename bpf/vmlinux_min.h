/* SPDX-License-Identifier: MIT */
/*
 * The few kernel types that the programs look into, with only the fields they read. CO-RE finds each field by
 * name in the BTF of the running kernel, so neither order nor size matter here.
 */
#ifndef STRACED_VMLINUX_MIN_H
#define STRACED_VMLINUX_MIN_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef short __s16;
typedef unsigned int __u32;
typedef int __s32;
typedef unsigned long long __u64;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef __u8 u8;
typedef __u16 u16;
typedef __s16 s16;
typedef __u32 u32;
typedef __s32 s32;
typedef __u64 u64;
typedef __s64 s64;
typedef _Bool bool;
#define true 1
#define false 0

enum bpf_map_type_min {
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_STACK = 23,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_TASK_STORAGE = 29,
};

enum {
	BPF_F_NO_PREALLOC = 1,
	BPF_F_MMAPABLE = 1024,
	BPF_LOCAL_STORAGE_GET_F_CREATE = 1,
};

/* include/uapi/linux/bpf.h: its layout is fixed */
struct bpf_raw_tracepoint_args {
	u64 args[3];
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct pid_namespace;
struct bpf_local_storage;

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

struct list_head {
	struct list_head *next;
};

struct signal_struct {
	unsigned int flags;
	int group_exit_code;
	struct list_head thread_head;
};

/* x86 has status, arm64 preempt_count */
struct thread_info {
	unsigned long flags;
	u32 status;
	u64 preempt_count;
};

/* x86-64, Linux 6.2 to 6.14 */
struct pcpu_hot {
	int preempt_count;
};

typedef struct {
	u32 val;
} kuid_t;

typedef struct {
	u32 val;
} kgid_t;

/* Two words of 32 bits before Linux 6.3: the same 64. */
typedef struct {
	u64 val;
} kernel_cap_t;

struct user_namespace {
	struct user_namespace *parent;
	int level;
	kuid_t owner;
};

struct cred {
	kuid_t uid;
	kgid_t gid;
	kuid_t suid;
	kgid_t sgid;
	kuid_t euid;
	kgid_t egid;
	kuid_t fsuid;
	kgid_t fsgid;
	kernel_cap_t cap_permitted;
	struct user_namespace *user_ns;
};

struct qstr {
	const unsigned char *name;
};

struct dentry {
	struct qstr d_name;
};

struct path {
	struct dentry *dentry;
};

struct file {
	struct cred *f_cred;
	struct path f_path;
};

struct mm_struct {
	unsigned long arg_start;
	unsigned long arg_end;
	unsigned long saved_auxv[2];
	struct file *exe_file;
};

/* A word, and since Linux 6.18 a bitmap. */
struct mm_struct___word {
	unsigned long flags;
};

typedef struct {
	unsigned long bits[1];
} mm_flags_t;

struct mm_struct___bitmap {
	mm_flags_t flags;
};

/* In Linux 7.x it is a state of the execve, and no more the memory, that says whether a task is dumpable. */
enum task_dumpable {
	TASK_DUMPABLE_OFF,
	TASK_DUMPABLE_OWNER,
};

struct task_exec_state {
	enum task_dumpable dumpable;
};

struct task_struct___executed {
	struct task_exec_state *exec_state;
};

struct task_struct {
	struct thread_info thread_info;
	unsigned int flags;
	int pid;
	int tgid;
	int exit_code;
	u64 start_boottime;
	struct task_struct *group_leader;
	struct signal_struct *signal;
	struct list_head thread_node;
	struct pid *thread_pid;
	struct mm_struct *mm;
	struct cred *real_cred;
	struct cred *cred;
	struct bpf_local_storage *bpf_storage;
	char comm[16];
};

struct sigaction {
	void *sa_handler;
	unsigned long sa_flags;
};

struct k_sigaction {
	struct sigaction sa;
};

/* What a tracepoint tells by perf's way. */
struct trace_event_raw_sys_enter {
	long id;
};

struct trace_event_raw_sys_exit {
	long id;
	long ret;
};

struct trace_event_raw_signal_deliver {
	unsigned long sa_handler;
	unsigned long sa_flags;
};

struct trace_event_raw_sched_process_fork {
	int child_pid;
};

struct trace_event_raw_sched_process_exec {
	u32 __data_loc_filename;
};

struct pt_regs;
struct kernel_siginfo;

struct linux_binprm {
	const char *filename;
};

struct pt_regs___x86 {
	unsigned long orig_ax;
	unsigned long ip;
	unsigned long sp;
};

struct pt_regs___arm64 {
	int syscallno;
	u64 pc;
	u64 sp;
};

struct seq_file {
	unsigned long size;
	unsigned long count;
};

struct bpf_iter_meta {
	struct seq_file *seq;
	u64 session_id;
	u64 seq_num;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

#pragma clang attribute pop

#endif

/* SPDX-License-Identifier: MIT */
/* What each record begins with, and where it has that from. */
#ifndef STRACED_RECORD_HEAD_H
#define STRACED_RECORD_HEAD_H

struct record {
	u16 size;	/* with arguments and blobs; a multiple of 8 */
	u8 kind;
	u8 nargs;
	u32 tid;
	u32 pid;
	u32 key;
	u64 end_ns;
	u64 duration_ns;
	u64 waiting_ns;
	s64 result;
	u64 args[ARGUMENTS];	/* as many as there are */
};

/* Makes the layout known in the object's BTF. */
struct record *record_layout;

#define RECORD_HEAD (sizeof(struct record) - ARGUMENTS * sizeof(u64))

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct pt_regs___x86_arguments {
	unsigned long di, si, dx, r10, r8, r9, bx, cx, bp;
};

struct pt_regs___arm64_arguments {
	u64 regs[8];
	u64 orig_x0;
};

#pragma clang attribute pop

/*
 * An argument of the call that the registers are of, before they are overwritten by execve or sigreturn. Each register is
 * named: no verifier lets a number that is not constant choose among them.
 */
INLINE u64 argument_in(struct pt_regs *regs, u32 abi, int i)
{
	struct pt_regs___arm64_arguments *arm = (void *)regs;
	struct pt_regs___x86_arguments *x86 = (void *)regs;
	bool i386 = abi == ABI_I386;
	u64 value = 0;

	if (is_arm64()) {
		switch (i) {
		case 0: value = arm->orig_x0; break;
		case 1: value = arm->regs[1]; break;
		case 2: value = arm->regs[2]; break;
		case 3: value = arm->regs[3]; break;
		case 4: value = arm->regs[4]; break;
		case 5: value = arm->regs[5]; break;
		}
		return abi == ABI_ARM ? (u32)value : value;
	}
	switch (i) {
	case 0: return i386 ? (u32)x86->bx : x86->di;
	case 1: return i386 ? (u32)x86->cx : x86->si;
	case 2: return i386 ? (u32)x86->dx : x86->dx;
	case 3: return i386 ? (u32)x86->si : x86->r10;
	case 4: return i386 ? (u32)x86->di : x86->r8;
	}
	return i386 ? (u32)x86->bp : x86->r9;
}

INLINE void arguments_in(struct pt_regs *regs, u32 key, u64 *args, u32 nargs)
{
#pragma unroll
	for (int i = 0; i < ARGUMENTS; i++)
		if (i < nargs)
			args[i] = argument_in(regs, key >> KEY_NR_BITS, i);
}

INLINE u32 tid_of(struct task_struct *task)
{
	return control.self_level ? pid_in_namespace(task) : task->pid;
}

INLINE u32 tgid_of(struct task_struct *task)
{
	return control.self_level ? pid_in_namespace(task->group_leader) : task->tgid;
}

INLINE void fill(struct record *record, const struct outcome *outcome, u32 size, u32 nargs, struct task_struct *task)
{
	record->size = size;
	record->kind = outcome->kind;
	record->nargs = nargs;
	record->tid = tid_of(task);
	record->pid = tgid_of(task);
	record->key = outcome->key;
	record->end_ns = outcome->end_ns;
	record->duration_ns = outcome->duration_ns;
	record->waiting_ns = outcome->waiting_ns;
	record->result = outcome->result;
}

#endif

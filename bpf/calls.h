/* SPDX-License-Identifier: MIT */
/* From a system call's registers to its row. */
#ifndef STRACED_CALLS_H
#define STRACED_CALLS_H

#define TS_COMPAT 0x2			/* arch/x86/include/asm/thread_info.h */
#define TIF_32BIT_ARM64 22		/* arch/arm64/include/asm/thread_info.h */
#define X32_SYSCALL_BIT 0x40000000

INLINE bool is_arm64(void)
{
	return !bpf_core_field_exists(((struct pt_regs___x86 *)0)->orig_ax);
}

INLINE u32 key_of(struct task_struct *task, long nr)
{
	u32 abi = ABI_X86_64;

	if (is_arm64())
		abi = task->thread_info.flags & (1 << TIF_32BIT_ARM64) ? ABI_ARM : ABI_ARM64;
	else if (task->thread_info.status & TS_COMPAT)
		abi = ABI_I386;
	else if (nr & X32_SYSCALL_BIT && nr > 0) {
		abi = ABI_X32;
		nr &= ~(long)X32_SYSCALL_BIT;
	}
	if (nr < 0 || nr > KEY_NR_MASK)
		nr = KEY_NR_MASK;
	return abi << KEY_NR_BITS | nr;
}

INLINE long number_in(struct pt_regs *regs)
{
	if (is_arm64())
		return ((struct pt_regs___arm64 *)regs)->syscallno;
	return (int)((struct pt_regs___x86 *)regs)->orig_ax;
}

INLINE u64 ip_in(struct pt_regs *regs)
{
	return is_arm64() ? ((struct pt_regs___arm64 *)regs)->pc : ((struct pt_regs___x86 *)regs)->ip;
}

INLINE u64 sp_in(struct pt_regs *regs)
{
	return is_arm64() ? ((struct pt_regs___arm64 *)regs)->sp : ((struct pt_regs___x86 *)regs)->sp;
}

/* What it returns is the register of the code that was interrupted, not a result. */
INLINE bool is_sigreturn(u32 key)
{
	u32 nr = key & KEY_NR_MASK;

	switch (key >> KEY_NR_BITS) {
	case ABI_X86_64:
		return nr == 15;
	case ABI_I386:
	case ABI_ARM:
		return nr == 119 || nr == 173;
	case ABI_X32:
		return nr == 513;
	case ABI_ARM64:
		return nr == 139;
	}
	return false;
}

INLINE bool is_restart_syscall(u32 key)
{
	u32 nr = key & KEY_NR_MASK;

	switch (key >> KEY_NR_BITS) {
	case ABI_X86_64:
	case ABI_X32:
		return nr == 219;
	case ABI_I386:
	case ABI_ARM:
		return nr == 0;
	case ABI_ARM64:
		return nr == 128;
	}
	return false;
}

/* Whether its other side comes back in the child, which never entered it. */
INLINE bool makes_tasks(u32 key)
{
	u32 nr = key & KEY_NR_MASK;

	if (nr == 435)	/* clone3, everywhere */
		return true;
	switch (key >> KEY_NR_BITS) {
	case ABI_X86_64:
	case ABI_X32:
		return nr >= 56 && nr <= 58;
	case ABI_I386:
	case ABI_ARM:
		return nr == 2 || nr == 120 || nr == 190;
	case ABI_ARM64:
		return nr == 220;
	}
	return false;
}

/* The index of the row of a key; made if need be; 0 and a lost call where there is no room. */
INLINE u32 row_of(struct running *run, u32 key)
{
	u32 place = (key ^ run->owner * 40503) & (CACHE_SIZE - 1);
	u32 index = run->cache[place];
	struct row *row = row_at(index);

	if (row && row->key == key && row->owner == run->owner)
		return index;
	index = find_row(run->owner, key) ?: make_row(run->owner, key);
	if (!index) {
		struct owner *owner = owner_at(run->owner);

		if (owner)
			ADD(owner->lost, 1);
	}
	run->cache[place] = index;
	return index;
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Whose a task is, by the rule of ptrace(2), for a session of one user: all ids are theirs, it is dumpable, it holds no
 * capability that they lack, it is in no user namespace but one that they made, and its program did not begin with more
 * rights than its caller had.
 */
#ifndef STRACED_RIGHTS_H
#define STRACED_RIGHTS_H

#define AT_SECURE 23			/* include/uapi/linux/auxvec.h */
#define AUXV_PAIRS 22			/* the fewest that a kernel has room for */
#define MMF_DUMPABLE_MASK 3		/* include/linux/mm_types.h, sched/coredump.h */
#define SUID_DUMP_USER 1
#define NAMESPACES_MAX 33		/* kernel/user_namespace.c: so deeply they nest */
#define NOBODY (1ULL << 32)
#define UNKNOWN_MAKER (2ULL << 32)

/*
 * Whether the program of a task was given rights by its execve: set-user-ID, set-group-ID or file capabilities. The
 * kernel notes it down for the dynamic linker, and there it stays, whatever the program drops, for its forks, too.
 */
__attribute__((noinline)) static bool began_secure(struct task_struct *task)
{
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	char *auxv = mm ? (char *)&mm->saved_auxv : 0;
	u64 pair[2];

	if (!auxv)
		return false;
	for (int i = 0; i < AUXV_PAIRS; i++) {
		if (bpf_probe_read_kernel(pair, sizeof(pair), auxv + i * sizeof(pair)) || !pair[0])
			break;
		if (pair[0] == AT_SECURE)
			return pair[1] == 1;
		/* a 32-bit program's: two in the room of one */
		if (pair[0] == (1ULL << 32 | AT_SECURE) || pair[1] == (1ULL << 32 | AT_SECURE))
			return true;
	}
	return false;
}

INLINE bool is_dumpable(struct task_struct *task, struct mm_struct *mm)
{
	struct task_struct___executed *executed = (void *)task;
	u64 flags = 0;

	if (bpf_core_field_exists(executed->exec_state))
		return BPF_CORE_READ(executed, exec_state, dumpable) == TASK_DUMPABLE_OWNER;
	if (bpf_core_field_exists(((struct mm_struct___bitmap *)0)->flags))
		bpf_probe_read_kernel(&flags, sizeof(flags), (void *)&((struct mm_struct___bitmap *)mm)->flags);
	else
		bpf_probe_read_kernel(&flags, sizeof(flags), (void *)&((struct mm_struct___word *)mm)->flags);
	return (flags & MMF_DUMPABLE_MASK) == SUID_DUMP_USER;
}

/*
 * Who made the user namespace at `address`, or the outermost one that it is nested in: that is who has all rights in it.
 * Nobody in the first one of all, which is the sessions' own. Not static: verified once, not at each of its callers.
 */
__attribute__((noinline)) u64 namespace_maker(u64 address)
{
	struct user_namespace *inner = (void *)address;

	for (int i = 0; i <= NAMESPACES_MAX; i++) {
		int level = BPF_CORE_READ(inner, level);

		if (!level)
			return NOBODY;
		if (level == 1)
			return BPF_CORE_READ(inner, owner.val);
		inner = BPF_CORE_READ(inner, parent);
	}
	return UNKNOWN_MAKER;
}

/*
 * Whether whoever has these credentials is out of the user's reach: in a user namespace all are that somebody else made,
 * whatever they hold. In one that the user made nobody has more than the user.
 */
INLINE bool holds_more(struct cred *cred, struct owner *session)
{
	u64 maker = namespace_maker((u64)BPF_CORE_READ(cred, user_ns));
	u64 held = 0;

	if (maker != NOBODY)
		return maker != session->uid;
	bpf_probe_read_kernel(&held, sizeof(held), (void *)&cred->cap_permitted);
	return held & ~session->capabilities;
}

/* Whether a task is wholly the user's of a session now. */
__attribute__((noinline)) static bool is_users(struct owner *session, struct task_struct *task)
{
	struct cred *cred = BPF_CORE_READ(task, real_cred);
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	u32 uid = session->uid, gid = session->gid;

	if (!cred || !mm)
		return false;
	if (BPF_CORE_READ(cred, uid.val) != uid || BPF_CORE_READ(cred, euid.val) != uid ||
	    BPF_CORE_READ(cred, suid.val) != uid || BPF_CORE_READ(cred, fsuid.val) != uid)
		return false;
	if (BPF_CORE_READ(cred, gid.val) != gid || BPF_CORE_READ(cred, egid.val) != gid ||
	    BPF_CORE_READ(cred, sgid.val) != gid || BPF_CORE_READ(cred, fsgid.val) != gid)
		return false;
	return !holds_more(cred, session) && is_dumpable(task, mm) && !began_secure(task);
}

INLINE void set_flags(struct owner *owner, u32 flags)
{
	__sync_fetch_and_or(&owner->flags, flags);
}

/*
 * Notes down who called the execve that the program of a process began with, which is not who it is now after a daemon of
 * root's dropped its rights; and whether that gave it rights. It is the caller who opened the program's file.
 */
__attribute__((noinline)) static int note_beginning(struct owner *process, struct task_struct *task)
{
	struct cred *caller = BPF_CORE_READ(task, mm, exe_file, f_cred);

	process->uid = caller ? BPF_CORE_READ(caller, uid.val) : 0;
	process->gid = caller ? BPF_CORE_READ(caller, gid.val) : 0;
	if (began_secure(task))
		set_flags(process, OWNER_ELEVATED);
	return 0;
}

INLINE bool began_as_user(struct owner *session, struct task_struct *task)
{
	struct cred *caller = BPF_CORE_READ(task, mm, exe_file, f_cred);

	return caller && BPF_CORE_READ(caller, uid.val) == session->uid && BPF_CORE_READ(caller, gid.val) == session->gid;
}

/* Whether an execve made a process somebody else's than the user's of its session. */
INLINE bool left_user(u32 session_index, struct task_struct *task)
{
	struct owner *session = owner_at(session_index);

	if (!session || !(session->flags & SESSION_ONE_USER) || is_users(session, task))
		return false;
	set_flags(session, SESSION_LOST_USER);
	return true;
}

/* Whether a process, with its first task, may be counted in a session that is strict about its user. */
INLINE bool is_foreign(struct owner *session, struct task_struct *task)
{
	if (!(session->flags & SESSION_STRICT) || is_users(session, task))
		return false;
	set_flags(session, SESSION_LOST_USER);
	return true;
}

#endif

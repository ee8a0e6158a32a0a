/* SPDX-License-Identifier: MIT */
/*
 * Which program a process runs, by the name of its file, and the owners that inherit from the processes of one program.
 * A tree of many short processes is then told apart by program, in the memory of a few: not by pid, nor by what they
 * call themselves.
 */
#ifndef STRACED_PROGRAMS_H
#define STRACED_PROGRAMS_H

/* Reads the name of the program of a task; the words are 0 behind it, so that names can be compared by word. */
__attribute__((noinline)) static int program_in(struct task_struct *task, u64 *name)
{
	const unsigned char *text = BPF_CORE_READ(task, mm, exe_file, f_path.dentry, d_name.name);

	for (int i = 0; i < PROGRAM_WORDS; i++)
		name[i] = 0;
	if (text)
		bpf_probe_read_kernel_str(name, PROGRAM_WORDS * sizeof(u64), text);
	return 0;
}

INLINE bool same_program(u64 *one, u64 *other)
{
	for (int i = 0; i < PROGRAM_WORDS; i++)
		if (one[i] != other[i])
			return false;
	return true;
}

/* Notes down the program of a process before it has rows. */
INLINE void note_program(struct owner *process, struct owner *session, struct task_struct *task)
{
	u64 name[PROGRAM_WORDS] = {};

	if (session && session->flags & SESSION_PROGRAMS)
		program_in(task, name);
	for (int i = 0; i < PROGRAM_WORDS; i++)
		process->program[i] = name[i];
}

struct program_walk {
	u64 name[PROGRAM_WORDS];
	u32 at;
	u32 found;
};

static long program_step(u32 i, void *data)
{
	struct program_walk *walk = data;
	struct owner *owner = owner_at(walk->at);

	if (!owner || !walk->at)
		return 1;
	if (same_program(owner->program, walk->name)) {
		walk->found = walk->at;
		return 1;
	}
	walk->at = owner->sibling;
	return 0;
}

/* Rows of an owner that is full are not made fuller: the names of programs are the first that one does without. */
INLINE bool has_room(struct owner *session)
{
	u32 payer = session->payer;

	if (session->program_count >= PROGRAMS_MAX)
		return false;
	barrier_var(payer);	/* so that the verifier sees the bound */
	payer &= PAYERS - 1;
	return control.rows_used[payer] < (payer ? limits.rows_of_user : limits.rows_max) / 2;
}

INLINE u32 make_program(struct owner *ended, struct owner *session)
{
	u32 index = has_room(session) ? take_owner(session->payer) : 0;
	struct owner *owner = owner_at(index);

	if (!index || !owner)
		return 0;
	owner->kind = KIND_PROGRAM;
	owner->payer = session->payer;
	owner->flags = 0;
	owner->parent = owner->session = ended->session;
	owner->live = 0;
	owner->deferred = 0;
	owner->pid = 0;
	for (int i = 0; i < PROGRAM_WORDS; i++)
		owner->program[i] = ended->program[i];
	owner->state = OWNER_LIVE;
	return index;
}

/* The owner of the program of an ended process, among those from `head` on; 0: there is none yet. */
__attribute__((noinline)) u32 find_program(u32 index, u32 head)
{
	struct owner *ended = owner_at(index);
	struct program_walk walk = {};

	if (!ended || !head)
		return 0;
	for (int i = 0; i < PROGRAM_WORDS; i++)
		walk.name[i] = ended->program[i];
	walk.at = head;
	bpf_loop(2 * PROGRAMS_MAX, program_step, &walk, 0);
	return walk.found;
}

/*
 * Who inherits from an ended process in place of its session: the owner of its program; 0: nobody does. Not in a loop:
 * Linux 6.1 allows none around a callback. Whoever loses the race three times goes without a name.
 */
__attribute__((noinline)) u32 program_owner(u32 index)
{
	struct owner *ended = owner_at(index);
	struct owner *session = ended ? owner_at(ended->session) : 0;
	struct owner *owner;
	u32 head, found, made;

	if (!session || ended->kind != KIND_PROCESS || !(session->flags & SESSION_PROGRAMS) || !ended->program[0])
		return 0;
	head = *(volatile u32 *)&session->programs;
	found = find_program(index, head);
	if (found)
		return found;
	made = make_program(ended, session);
	owner = made ? owner_at(made) : 0;
	if (!owner)
		return 0;
#pragma clang loop unroll(full)
	for (int i = 0; i < 3; i++) {
		owner->sibling = head;
		if (__sync_val_compare_and_swap(&session->programs, head, made) == head) {
			ADD(session->program_count, 1);
			return made;
		}
		head = *(volatile u32 *)&session->programs;
		found = find_program(index, head);	/* another CPU was first */
		if (found)
			break;
	}
	give_owner(made, owner);
	return found;
}

#endif

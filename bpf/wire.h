/* SPDX-License-Identifier: MIT */
/*
 * All that crosses between the programs and user space. src/straced/tracers/ebpf/wire.py mirrors it and is
 * checked against the BTF of the object when it is loaded.
 *
 * Rows of counters belong to owners. An owner is a process, a thread (when threads are told apart) or a session,
 * which inherits the rows of those that ended: thread -> process -> session. Where a session tells programs apart, those
 * of one program stand between: process -> program -> session.
 */
#ifndef STRACED_WIRE_H
#define STRACED_WIRE_H

#define ROWS_DEFAULT 32768
#define ROWS_LIMIT 65536	/* a row index fits 16 bits, see running.cache */
#define OWNERS_DEFAULT 16384
#define OWNER_ROWS_MAX 1024	/* different calls of one owner; what goes beyond is counted as lost */
#define SLOTS 10
#define EXTRA_MAX 16	/* rows that share the slots of one call */
#define PAYERS 1024	/* a power of two: 0 is root, the others by user, several users each where there are so many */

#define PROGRAM_WORDS 4	/* of 8 bytes: the last one is a zero */
#define PROGRAMS_MAX 128	/* of a session; what more there are is added to the session itself */

/* Durations: 1 << HIST_STEPS_LOG2 buckets an octave, from 2^6 ns to 2^40 ns; straced.model.histogram has the same. */
#define HIST_STEPS_LOG2 2
#define HIST_FIRST_OCTAVE 6
#define HIST_OCTAVES 34
#define HIST_SIZE (HIST_OCTAVES << HIST_STEPS_LOG2)

/* A key is the ABI in the upper 4 bits and the number, without x32's bit, in the lower 28. Never 0. */
#define KEY_NR_BITS 28
#define KEY_NR_MASK 0x0fffffff
enum abi { ABI_X86_64 = 1, ABI_I386 = 2, ABI_X32 = 3, ABI_ARM64 = 4, ABI_ARM = 5 };

enum owner_state { OWNER_FREE, OWNER_LIVE, OWNER_ENDED };
enum owner_kind { KIND_SESSION = 1, KIND_PROCESS = 2, KIND_THREAD = 3, KIND_PROGRAM = 4 };
enum owner_flags {
	OWNER_KEEP = 1,		/* not folded when it ends: the target itself */
	OWNER_QUIET = 2,	/* not counted itself, its children are */
	SESSION_FOLLOW = 4,
	SESSION_PER_THREAD = 8,
	SESSION_CLOSED = 16,
	SESSION_ONE_USER = 32,	/* for a caller who may only see processes of the user in owner.uid */
	SESSION_LOST_USER = 64,	/* a process was not the user's, or no longer, and was let go or handed to the heir */
	SESSION_STRICT = 128,	/* not the user's either: what was not theirs from its execve on, or forks as another */
	OWNER_ELEVATED = 256,	/* a process whose execve gave it rights at some time; whatever it drops, it stays so */
	OWNER_LEFT = 512,	/* the process is not the user's any more, and is not counted here from there on */
	SESSION_PROGRAMS = 1024,	/* what ended is told apart by program; not with SESSION_PER_THREAD */
	OWNER_PAST = 2048,	/* the process has gone on to another program, and to another owner */
};

/*
 * Counters of one call of one owner. A slot is a code in the upper 16 bits and a count in the lower 48: an errno (1
 * to 4095), or SLOT_CARRY + a bucket whose 32 bits overflowed that often. More codes than slots go on in the row extra.
 */
#define SLOT_CARRY 4096
struct row {
	u64 calls;	/* entered */
	u64 untimed;	/* denied by seccomp, or ended with their thread: not in the histogram */
	u64 wall_ns;	/* written last: a reader that sees a call here sees the rest of it */
	u64 waiting_ns;
	u64 restarts;
	u64 max_ns;
	u64 min_ns;	/* 0: none yet */
	u32 owner;	/* 0: free */
	u32 key;	/* 0: continues another row */
	u32 next;	/* row of the same owner */
	u32 extra;
	u64 birth_ns;	/* tells a row from the one that had its place before */
	u64 slots[SLOTS];
	u32 histogram[HIST_SIZE];
};

struct owner {
	u32 state;
	u32 kind;
	u32 flags;
	u32 parent;	/* who inherits the rows; 0 for a session */
	u32 session;
	u32 head;	/* first row */
	u32 rows;
	u32 live;	/* threads of a process */
	u32 deferred;	/* ended threads of a process that wait to be folded */
	u32 pid;	/* tgid or tid, as straced sees it */
	u32 host_pid;
	u32 exit_code;	/* as wait(2) has it */
	u32 processes;	/* of a session, ended ones included */
	u32 threads;
	u32 uid;		/* of a session with SESSION_ONE_USER; of a process: who called its execve */
	u32 payer;		/* in whose share of the owners this one is */
	u64 start_ns;	/* since boot */
	u64 lost;	/* calls that found no room for a row */
	u64 capabilities;	/* of a session with SESSION_ONE_USER: those that the user has, too */
	u32 gid;	/* as uid; both in the initial user namespace */
	u32 heir;		/* the session that counts what is not the user's; 0: nobody does */
	char comm[16];
	u64 program[PROGRAM_WORDS];	/* the name of the file that runs, cut, with zeros behind it; none: not known */
	u32 programs;	/* of a session: the first owner of a program */
	u32 sibling;	/* of a program: the next one */
	u32 program_count;	/* of a session */
	u32 unused;
};

/* All rows of an owner together. */
struct sums {
	u64 calls;
	u64 errors;
	u64 wall_ns;
	u64 waiting_ns;
	u64 in_flight;
	u64 standing;	/* in flight, in rows in which nothing happened since the sum before */
};

enum { EVENT_FORK = 1, EVENT_EXEC = 2, EVENT_EXIT = 3 };
struct event {
	u64 time_ns;
	u32 kind;
	u32 session;
	u32 pid;
	u32 tid;
	u32 child;
	u32 exit_code;
	char comm[16];
};

/* Set before the load, in .rodata. */
struct limits {
	u32 rows_max;
	u32 owners_max;
	u32 rows_of_user;	/* most rows of one user but root */
	u32 rows_of_users;	/* and of all of them together; what is left is root's */
	u32 owners_of_user;
	u32 owners_of_users;
};

/* Global state; in .bss, so user space sees it by mmap. */
struct control {
	u32 epoch;		/* changes with every mark and unmark, see struct running */
	u32 hold;		/* a read is under way: nothing may be folded */
	u32 folding;		/* folds under way */
	u32 next_row;		/* highest given out; free ones below it are on a stack */
	u32 next_owner;
	u32 listening;		/* somebody wants events */
	u32 self_level;		/* PID namespace of user space */
	u64 self_namespace;
	u32 mark_owner;		/* parameters and result of the task iterators */
	u32 marked;
	u32 whole;		/* the task that was visited last is the last of its process's threads */
	u64 lost_folds;		/* calls of ended tasks that could not be handed on */
	u64 lost_tasks;		/* tasks that could not be followed */
	u64 lost_errnos;
	u64 lost_events;
	u64 shared_owners;	/* processes counted into their parent for want of an owner */
	u64 skipped_enters;	/* calls counted when they returned: the kernel skipped the program, or seccomp denied them */
	u64 skipped_exits;	/* calls counted without their end */
	u8 touched[ROWS_LIMIT];	/* by row: changed since the reader last cleared it */
	u32 rows_of_users;	/* in use by all but root */
	u32 owners_of_users;
	u32 rows_used[PAYERS];
	u32 owners_used[PAYERS];
	u16 payer[ROWS_LIMIT];	/* by row: in whose share it is */
};

/* What `serve` is asked for. */
enum request_op { REQUEST_HOLD = 1, REQUEST_RESUME, REQUEST_FOLD, REQUEST_UNBIAS, REQUEST_WHOAMI, REQUEST_OWNER,
		  REQUEST_SUM, REQUEST_GIVE_ROW, REQUEST_GIVE_OWNER };

/* What is known of a traced task: its presence in task storage is what makes it a target. */
#define SUSPENDED_MAX 4		/* a power of two */
enum task_flags {
	TASK_EXISTED = 1,	/* at attach: its first exit may lack an enter */
	TASK_FRESH = 2,		/* the child side of a clone: likewise */
	TASK_QUIET = 4,
	TASK_SUSPENDED = 8,	/* there are interrupted calls */
};
enum task_counted { COUNT_NOT_YET, COUNT_LIVE, COUNT_ENDED };

/* A call in flight. */
struct call {
	u64 enter_ns;
	u64 waiting_ns;
	u32 key;	/* 0: none */
	u32 row;	/* 0: not counted */
};

/* A call that left the kernel to be restarted. */
struct suspended {
	u32 row;
	u32 key;
	u64 wall_ns;
	u64 waiting_ns;
	u64 ip;
	u64 sp;
	s32 ret;	/* 0: a handler runs first, and then it is restarted */
	u32 unused;
};

struct task_state {
	struct call call;	/* while the task does not run; else struct running has it */
	u64 off_ns;		/* switched out since, inside a call */
	u64 marked_ns;		/* tells this entry from an earlier one of the same task */
	u32 flags;
	u32 owner;
	u32 process;
	u32 counted;		/* whether it stands in owner.live */
	u32 depth;		/* of suspended */
	u32 unused;
	struct suspended suspended[SUSPENDED_MAX];
};

/*
 * The task that runs on this CPU, kept here between two context switches so that a call needs no look-up of its state.
 * It is valid for this task, and while epoch is control.epoch; else it may have been marked or unmarked meanwhile.
 */
#define CACHE_SIZE 1024
struct running {
	u64 task;	/* its address */
	u32 epoch;
	u32 target;
	struct call call;
	u64 marked_ns;
	u32 flags;
	u32 owner;
	u16 cache[CACHE_SIZE];	/* row by owner and number; a hint, checked on use */
};

#endif

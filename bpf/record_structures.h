/* SPDX-License-Identifier: MIT */
/*
 * Structures behind arguments, in a function of its own: it is verified once, and calls without any do not pass it.
 *
 * How many bytes are read is fixed, or said by the call itself: by an argument, by an int that an argument points to, by
 * the result, or by the request of ioctl(2) and fcntl(2). So nothing is read but what the call was about.
 *
 * What a call overwrites is read when it begins (GIVEN): the length of an address, a timeout. That is kept with the
 * task, of one call at a time, and only of the few calls that have such an argument; of recv(2), which has none, nothing:
 * a read of address 0 is a page fault, and took longer than the call. A call that is begun anew after a signal is read anew.
 */
#ifndef STRACED_RECORD_STRUCTURES_H
#define STRACED_RECORD_STRUCTURES_H

#define GIVEN_BYTES 16
#define GIVEN_PLACE 8		/* added to the number of the argument */
#define MESSAGE_BYTES 56	/* struct msghdr */
#define MESSAGE_CONTROL_AT 32	/* msg_control and msg_controllen */
#define MESSAGE_NAME 16
#define MESSAGE_CONTROL 17
#define FIRST_PAGE 4096		/* nothing is mapped below: a flag or a number, and no address */

enum sized { SIZED_FIXED, SIZED_ARGUMENT, SIZED_RESULT = 7, SIZED_INT, SIZED_IOCTL = 16, SIZED_FCNTL,
	     SIZED_OPTION, SIZED_ASKED_OPTION };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct signal_set {
	u64 sig[1];
};

struct task_struct___blocked {
	struct signal_set blocked;
};

#pragma clang attribute pop

/* Of requests of terminals (asm-generic/ioctls.h): what their text shows of struct termios and the like, or an int. */
INLINE u32 ioctl_bytes(u64 request)
{
	u32 number = request & 0xff;

	if ((request & 0xff00) != 0x5400)
		return 0;
	if ((number >= 0x01 && number <= 0x04) || (number >= 0x2a && number <= 0x2d))	/* TCGETS to TCSETSF, TCGETS2 */
		return 16;
	if ((number >= 0x05 && number <= 0x08) || number == 0x13 || number == 0x14)	/* TCGETA, TIOCGWINSZ */
		return 8;
	return number == 0x12 ? 0 : 4;	/* TIOCSTI is given what somebody types */
}

/* Options of sockets that are no secrets: of SOL_IP, SOL_SOCKET, SOL_TCP, SOL_UDP, SOL_IPV6. Keys of TCP, SOL_ALG and SOL_TLS are. */
INLINE bool is_plain_option(u32 level, u32 option)
{
	if (level == 6)
		return option != 14 && option != 32 && option != 33 && option < 37;	/* TCP_MD5SIG, FASTOPEN_KEY, AO */
	return level < 2 || level == 17 || level == 41;
}

/* Of commands with a struct flock (asm-generic/fcntl.h): F_GETLK to F_SETLKW, F_OFD_*; F_SETOWN_EX and F_GETOWN_EX. */
INLINE u32 fcntl_bytes(u32 command)
{
	if ((command >= 5 && command <= 7) || (command >= 36 && command <= 38))
		return 32;
	return command == 15 || command == 16 ? 8 : 0;
}

INLINE u32 bytes_of(struct scratch *scratch, struct capture capture, long result)
{
	u32 bytes = 0, place = capture.sized;

	switch (capture.sized) {
	case SIZED_FIXED:
		return capture.bytes;
	case SIZED_RESULT:
		return result;
	case SIZED_IOCTL:
		return ioctl_bytes(scratch->args[1]);
	case SIZED_FCNTL:
		return fcntl_bytes(scratch->args[1]);
	case SIZED_OPTION:
	case SIZED_ASKED_OPTION:
		if (!is_plain_option(scratch->args[1], scratch->args[2]))
			return 0;
		if (capture.sized == SIZED_OPTION)
			return scratch->args[4];
		place = 4;
	}
	if (capture.sized < SIZED_RESULT)
		return scratch->args[(capture.sized - SIZED_ARGUMENT) & 7];
	if (bpf_probe_read_user(&bytes, sizeof(bytes), (void *)scratch->args[place & 7]))
		return 0;
	return bytes;
}

/* Reads bytes as one blob; none at all where there is nothing to be read. */
INLINE u32 read_bytes(struct scratch *scratch, u32 at, u64 address, u32 bytes, u32 most, u32 argument, u32 kind)
{
	u32 taken = bytes > most ? most : bytes;

	if (address < FIRST_PAGE || !bytes)
		return at;
	barrier_var(taken);
	if (taken > STRUCTURE_BYTES || bpf_probe_read_user(blob_bytes(scratch, at), taken, (void *)address))
		return end_blob(scratch, at, 0, argument, kind | BLOB_UNREAD);
	return end_blob(scratch, at, taken, argument, bytes > most ? kind | BLOB_CUT : kind);
}

/* A struct msghdr, and what it points to but the contents of its buffers. */
INLINE u32 read_message(struct scratch *scratch, u32 at, u32 argument)
{
	u64 address = scratch->args[argument & 7], part[2] = {};	/* where, and how long: little stack, as Linux 6.1 asks */

	at = read_bytes(scratch, at, address, MESSAGE_BYTES, MESSAGE_BYTES, argument, BLOB_BYTES_IN);
	if (bpf_probe_read_user(part, sizeof(part), (void *)address))
		return at;
	at = read_bytes(scratch, at, part[0], part[1], ADDRESS_BYTES, MESSAGE_NAME, BLOB_ADDRESS_IN);
	if (bpf_probe_read_user(part, sizeof(part), (void *)(address + MESSAGE_CONTROL_AT)))
		return at;
	return read_bytes(scratch, at, part[0], part[1], ADDRESS_BYTES, MESSAGE_CONTROL, BLOB_BYTES_IN);
}

#ifdef RECORDING

/* What a task has given to the call in which it is. */
struct given {
	u32 key;
	u32 unused;
	u64 bytes[GIVEN_BYTES / 8];
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct given);
} givens SEC(".maps");

__attribute__((noinline)) static int take_given(struct task_struct *task, struct plan *plan, u32 key)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	struct given *given = bpf_task_storage_get(&givens, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!given)
		return 0;
	given->key = 0;
#pragma unroll
	for (int i = 0; i < CAPTURES; i++) {
		u32 bytes = plan->captures[i].bytes;
		u64 address;

		if (plan->captures[i].kind != BLOB_GIVEN)
			continue;
		address = argument_in(regs, key >> KEY_NR_BITS, plan->captures[i].argument);
		barrier_var(bytes);
		if (address >= FIRST_PAGE && bytes <= GIVEN_BYTES && !bpf_probe_read_user(given->bytes, bytes, (void *)address))
			given->key = key;
	}
	return 0;
}

/* A call begins. */
INLINE void record_entered(struct task_struct *task, u32 key)
{
	struct plan *plan = plan_of(key);

	if (plan && plan->flags & PLAN_GIVEN)
		take_given(task, plan, key);
}

INLINE u32 read_given(struct scratch *scratch, u32 at, struct capture capture, u32 key)
{
	struct given *given = bpf_task_storage_get(&givens, bpf_get_current_task_btf(), 0, 0);
	u64 *to = blob_bytes(scratch, at);

	if (!given || !key || given->key != key)
		return at;
	given->key = 0;
	to[0] = given->bytes[0];
	to[1] = given->bytes[1];
	return end_blob(scratch, at, capture.bytes & 31, GIVEN_PLACE + capture.argument, BLOB_GIVEN);
}

#else

/* Nothing. What the compiler sees unused it does not pass, and the verifier wants every argument. */
INLINE u32 read_given(struct scratch *scratch, u32 at, struct capture capture, u32 key)
{
	barrier_var(key);
	return at;
}

#endif

/* Reads what one capture says into the scratch place; returns where the next one begins. `key` is 0 of a call whose begin was not seen. */
__attribute__((noinline)) int read_structure(u32 at, u32 captured, long result, u32 key)
{
	struct task_struct___blocked *task = (void *)bpf_get_current_task_btf();
	union { u32 word; struct capture capture; } which = { captured };
	struct capture capture = which.capture;
	u32 zero = 0;
	struct scratch *scratch = bpf_map_lookup_elem(&scratches, &zero);

	if (!scratch)
		return at;
	switch (capture.kind) {
	case BLOB_GIVEN:
		return read_given(scratch, at, capture, key);
	case BLOB_MESSAGE:
		return read_message(scratch, at, capture.argument);
	case BLOB_BLOCKED:
		*(u64 *)blob_bytes(scratch, at) = task->blocked.sig[0];
		return end_blob(scratch, at, sizeof(u64), capture.argument, BLOB_BYTES_OUT);
	}
	return read_bytes(scratch, at, scratch->args[capture.argument & 7], bytes_of(scratch, capture, result), capture.bytes,
			  capture.argument, capture.kind);
}

#endif

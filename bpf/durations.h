/* SPDX-License-Identifier: MIT */
/* Durations: their bucket, the shortest, the longest. */
#ifndef STRACED_DURATIONS_H
#define STRACED_DURATIONS_H

INLINE u32 log2_u64(u64 value)
{
	u32 shift, result;

	result = (value > 0xffffffff) << 5;
	value >>= result;
	shift = (value > 0xffff) << 4;
	value >>= shift;
	result |= shift;
	shift = (value > 0xff) << 3;
	value >>= shift;
	result |= shift;
	shift = (value > 0xf) << 2;
	value >>= shift;
	result |= shift;
	shift = (value > 0x3) << 1;
	value >>= shift;
	result |= shift;
	return result | value >> 1;
}

INLINE u32 bucket_of(u64 duration_ns)
{
	u32 octave, bucket;

	if (duration_ns < 1 << HIST_FIRST_OCTAVE)
		return 0;
	octave = log2_u64(duration_ns);
	bucket = (octave - HIST_FIRST_OCTAVE) << HIST_STEPS_LOG2;
	bucket += (duration_ns >> (octave - HIST_STEPS_LOG2)) & ((1 << HIST_STEPS_LOG2) - 1);
	return bucket < HIST_SIZE ? bucket : HIST_SIZE - 1;
}

INLINE void lower_min(struct row *row, u64 value)
{
	for (int i = 0; i < 8; i++) {
		u64 old = *(volatile u64 *)&row->min_ns;

		if (old && old <= value)
			return;
		if (__sync_val_compare_and_swap(&row->min_ns, old, value) == old)
			return;
	}
}

INLINE void raise_max(struct row *row, u64 value)
{
	for (int i = 0; i < 8; i++) {
		u64 old = *(volatile u64 *)&row->max_ns;

		if (old >= value)
			return;
		if (__sync_val_compare_and_swap(&row->max_ns, old, value) == old)
			return;
	}
}

#endif

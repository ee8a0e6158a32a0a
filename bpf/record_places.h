/* SPDX-License-Identifier: MIT */
/* Where what is said of each call by its number stands. */
#ifndef STRACED_RECORD_PLACES_H
#define STRACED_RECORD_PLACES_H

#define NUMBERS 2048	/* of an ABI; those from the last one on share it */
#define PLACES (6 * NUMBERS)

INLINE u32 place_of(u32 key)
{
	u32 nr = key & KEY_NR_MASK;

	return (key >> KEY_NR_BITS) * NUMBERS + (nr < NUMBERS ? nr : NUMBERS - 1);
}

#endif

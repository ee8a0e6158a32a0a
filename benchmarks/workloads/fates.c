/* Counts the records of a .strc file by the key of their call, without the code that it is to check: the layout is that
 * of docs/records.md. Prints "KEY COUNT" for each. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define KEYS (16 << 12) /* the ABI and 12 bits of the number */

struct chunk {
	uint32_t mark;
	uint16_t kind, cpu;
	uint64_t bytes;
	uint32_t checksums[2];
};

struct record {
	uint16_t size;
	uint8_t kind, nargs;
	uint32_t tid, pid, key;
};

static uint64_t found[KEYS];

static void count(const char *at, const char *end)
{
	for (const struct record *each; at + sizeof(*each) <= end; at += each->size) {
		int kind = (each = (const void *)at)->kind & 63;

		if (each->size < 8)
			exit(3);
		if (kind >= 1 && kind <= 3) /* CALL, START, UNFINISHED */
			found[each->key >> 28 << 12 | (each->key & 0xfff)]++;
	}
}

int main(int argc, char **argv)
{
	FILE *file = fopen(argv[1], "rb");
	struct chunk chunk;

	if (!file || fseek(file, 16, SEEK_SET))
		return 1;
	while (fread(&chunk, sizeof(chunk), 1, file) == 1) {
		uint64_t whole = (chunk.bytes + 7) & ~7ULL;
		char *bytes = malloc(whole);

		if (chunk.mark != 0x4b4e4843 || !bytes || fread(bytes, 1, whole, file) != whole)
			return 2;
		if (chunk.kind == 2)
			count(bytes, bytes + chunk.bytes);
		free(bytes);
	}
	for (uint32_t i = 0; i < KEYS; i++)
		if (found[i])
			printf("%u %lu\n", i >> 12 << 28 | (i & 0xfff), (unsigned long)found[i]);
	return 0;
}

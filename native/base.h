/* What all parts share: memory, strings kept once, ordered maps. No Python, no I/O, no global state but one jump. */
#ifndef STRACED_BASE_H
#define STRACED_BASE_H

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifndef __SIZEOF_INT128__
#error "a 64-bit machine is needed; elsewhere the Python reader serves"
#endif
typedef unsigned __int128 wide; /* sums of ns: a damaged log may say 99999999.9 s a million times */

struct took { /* how long a call took, and the part of that in which its thread waited; -1: not told */
    int64_t ns, waiting;
};

#define EXPORT __attribute__((visibility("default")))
#define OUT_OF_MEMORY (-1)

static _Thread_local jmp_buf *when_full; /* where an entry point goes on when memory is out */

#define GUARDED(failure) \
    jmp_buf here; \
    when_full = &here; \
    if (setjmp(here)) return failure

static void *resized(void *old, size_t count, size_t size)
{
    void *new = count > SIZE_MAX / size ? NULL : realloc(old, count * size);
    if (!new) longjmp(*when_full, 1);
    return new;
}

static void *zeroed(size_t count, size_t size)
{
    void *new = calloc(count ? count : 1, size);
    if (!new) longjmp(*when_full, 1);
    return new;
}

/* --- bytes ----------------------------------------------------------------------------------------------------------- */

enum { DIGIT = 1, LETTER = 2, OF_CLOCK = 4 };
static const unsigned char kinds[256] = {
    ['0' ... '9'] = DIGIT | OF_CLOCK, [':'] = OF_CLOCK, ['.'] = OF_CLOCK,
    ['A' ... 'Z'] = LETTER, ['a' ... 'z'] = LETTER, ['_'] = LETTER,
};

static inline int is_digit(char c) { return (unsigned char)(c - '0') < 10; }
static inline int is_letter(char c) { return kinds[(unsigned char)c] & LETTER; }
static inline int is_word(char c) { return kinds[(unsigned char)c] & (LETTER | DIGIT); }
static inline int is_of_clock(char c) { return kinds[(unsigned char)c] & OF_CLOCK; }

static inline int starts(const char *text, const char *end, const char *with, size_t length)
{
    return (size_t)(end - text) >= length && !memcmp(text, with, length);
}
#define STARTS(text, end, literal) starts(text, end, literal, sizeof(literal) - 1)

static inline int ends(const char *text, const char *end, const char *with, size_t length)
{
    return (size_t)(end - text) >= length && !memcmp(end - length, with, length);
}
#define ENDS(text, end, literal) ends(text, end, literal, sizeof(literal) - 1)

static inline const char *find(const char *text, const char *end, const char *what, size_t length)
{
    return text < end ? memmem(text, (size_t)(end - text), what, length) : NULL;
}
#define FIND(text, end, literal) find(text, end, literal, sizeof(literal) - 1)

static inline const char *find_last(const char *text, const char *end, char c)
{
    return text < end ? memrchr(text, c, (size_t)(end - text)) : NULL;
}

static inline uint64_t mixed(uint64_t a, uint64_t b)
{
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t word_at(const char *text)
{
    uint64_t word;
    memcpy(&word, text, 8);
    return word;
}

static inline uint64_t hash_of(const char *text, size_t length, uint64_t seed)
{
    uint64_t hash = seed ^ (length * 0x9E3779B97F4A7C15u), word = 0;
    if (length >= 8) {
        const char *last = text + length - 8;
        for (; text < last; text += 8) hash = mixed(hash ^ word_at(text), 0xA0761D6478BD642Fu);
        word = word_at(last);
    } else {
        for (size_t each = 0; each < length; each++) word = word << 8 | (unsigned char)text[each];
    }
    return mixed(hash ^ word, 0xE7037ED1A0B428DBu);
}

/* --- strings, each kept once ----------------------------------------------------------------------------------------- */

struct str {
    uint64_t hash;
    uint32_t refs, length;
    int64_t place; /* of the row that belongs to it; -1: none */
    char text[];
};

struct strings {
    struct str **slots;
    size_t room, used; /* room is a power of two */
    uint64_t seed;
};

static void strings_widen(struct strings *all)
{
    size_t room = all->room ? all->room * 2 : 256;
    struct str **slots = zeroed(room, sizeof *slots);
    for (size_t each = 0; each < all->room; each++) {
        struct str *string = all->slots[each];
        if (!string) continue;
        size_t slot = string->hash & (room - 1);
        while (slots[slot]) slot = (slot + 1) & (room - 1);
        slots[slot] = string;
    }
    free(all->slots);
    all->slots = slots;
    all->room = room;
}

static struct str *str_seek(struct strings *all, const char *text, size_t length, uint64_t hash, size_t *place)
{
    size_t slot = hash & (all->room - 1);
    for (struct str *string; (string = all->slots[slot]); slot = (slot + 1) & (all->room - 1))
        if (string->hash == hash && string->length == length && !memcmp(string->text, text, length)) break;
    *place = slot;
    return all->slots[slot];
}

/* The string of a text, with one reference more. */
static struct str *str_of(struct strings *all, const char *text, size_t length)
{
    if (all->used * 2 >= all->room) strings_widen(all);
    uint64_t hash = hash_of(text, length, all->seed);
    size_t slot;
    struct str *string = str_seek(all, text, length, hash, &slot);
    if (!string) {
        string = resized(NULL, 1, sizeof *string + length);
        *string = (struct str){.hash = hash, .refs = 0, .length = (uint32_t)length, .place = -1};
        memcpy(string->text, text, length);
        all->slots[slot] = string;
        all->used++;
    }
    string->refs++;
    return string;
}

static inline struct str *str_hold(struct str *string)
{
    string->refs++;
    return string;
}

static void str_drop(struct strings *all, struct str *string)
{
    if (!string || --string->refs) return;
    size_t mask = all->room - 1, hole = string->hash & mask;
    while (all->slots[hole] != string) hole = (hole + 1) & mask;
    for (size_t next = (hole + 1) & mask; all->slots[next]; next = (next + 1) & mask) {
        size_t home = all->slots[next]->hash & mask;
        if (((next - home) & mask) < ((next - hole) & mask)) continue; /* it is at its place, or behind the hole */
        all->slots[hole] = all->slots[next];
        hole = next;
    }
    all->slots[hole] = NULL;
    all->used--;
    free(string);
}

static void strings_free(struct strings *all)
{
    for (size_t each = 0; each < all->room; each++) free(all->slots[each]);
    free(all->slots);
    *all = (struct strings){.seed = all->seed};
}

#endif

/* The tally, as the library gives it. Sums leave it as little-endian 64-bit words in a buffer of the tally's own. */
#ifndef STRACED_TALLY_API_H
#define STRACED_TALLY_API_H

#include "clocks.h"
#include "counting.h"

struct buffer {
    char *bytes;
    size_t length, room;
};

static void put(struct buffer *buffer, const void *bytes, size_t length)
{
    if (buffer->room - buffer->length < length) {
        size_t room = buffer->room * 2 + length + 4096;
        buffer->bytes = resized(buffer->bytes, room, 1);
        buffer->room = room;
    }
    memcpy(buffer->bytes + buffer->length, bytes, length);
    buffer->length += length;
}

static void put_word(struct buffer *buffer, uint64_t word) { put(buffer, &word, sizeof word); }

static void put_wide(struct buffer *buffer, wide number)
{
    put_word(buffer, (uint64_t)number);
    put_word(buffer, (uint64_t)(number >> 64));
}

static void put_str(struct buffer *buffer, const struct str *string)
{
    put_word(buffer, string->length);
    put(buffer, string->text, string->length);
}

struct tally_handle {
    struct tally tally;
    struct buffer out;
};

static struct str *key_str(const struct key *key, int part) { return (struct str *)(uintptr_t)key->part[part]; }

static struct form form_of(const int32_t *flags)
{
    return (struct form){flags[0], flags[1], flags[2], flags[3], flags[4], flags[5]};
}

/* flags: comm, clock, relative_too, brackets, durations, paths, ticks */
EXPORT struct tally_handle *straced_tally_new(const int32_t *flags, uint64_t most_bursts, uint64_t seed)
{
    struct tally_handle *handle = calloc(1, sizeof *handle);
    if (!handle) return NULL;
    handle->tally.form = form_of(flags);
    handle->tally.with_ticks = flags[6];
    handle->tally.most_bursts = most_bursts;
    handle->tally.strings.seed = seed;
    return handle;
}

static void rows_clear(struct tally *tally)
{
    for (size_t each = 0; each < tally->names_count; each++) {
        tally->names[each].name->place = -1;
        str_drop(&tally->strings, tally->names[each].name);
        free(tally->names[each].buckets);
    }
    tally->names_count = 0;
    free(tally->rows);
    free(tally->errno_counts);
    tally->rows = NULL;
    tally->errno_counts = NULL;
    keymap_free(&tally->row_keys);
    keymap_free(&tally->errno_keys);
}

EXPORT void straced_tally_free(struct tally_handle *handle)
{
    struct tally *tally = &handle->tally;
    rows_clear(tally);
    free(tally->names);
    free(tally->bursts);
    free(tally->ticks);
    free(tally->others);
    free(tally->births);
    free(tally->pending);
    keymap_free(&tally->burst_keys);
    keymap_free(&tally->tick_keys);
    strings_free(&tally->strings);
    free(handle->out.bytes);
    free(handle);
}

/* The number of its lines; OUT_OF_MEMORY. told: lines handed back, births, whether calls are interrupted, rows, names, ticks */
EXPORT int64_t straced_tally_feed(struct tally_handle *handle, const char *block, size_t size, uint64_t first, uint64_t *told)
{
    GUARDED(OUT_OF_MEMORY);
    struct tally *tally = &handle->tally;
    int64_t lines = tally_block(tally, block, size, first);
    told[0] = tally->others_count;
    told[1] = tally->births_count;
    told[2] = (uint64_t)tally->restarts;
    told[3] = tally->row_keys.count;
    told[4] = tally->names_count;
    told[5] = tally->tick_keys.count;
    return lines;
}

EXPORT const struct span *straced_tally_others(const struct tally_handle *handle) { return handle->tally.others; }
EXPORT const struct span *straced_tally_births(const struct tally_handle *handle) { return handle->tally.births; }

/* The ticks so far, which begin anew: (tid, lines, text). */
EXPORT int64_t straced_tally_ticks(struct tally_handle *handle, const char **bytes)
{
    GUARDED(OUT_OF_MEMORY);
    struct tally *tally = &handle->tally;
    handle->out.length = 0;
    for (size_t each = 0; each < tally->tick_keys.count; each++) {
        put_word(&handle->out, tally->tick_keys.keys[each].part[0]);
        put_word(&handle->out, tally->ticks[each]);
        put_str(&handle->out, key_str(&tally->tick_keys.keys[each], 1));
    }
    for (size_t each = 0; each < tally->tick_keys.count; each++)
        str_drop(&tally->strings, key_str(&tally->tick_keys.keys[each], 1));
    keymap_free(&tally->tick_keys);
    free(tally->ticks);
    tally->ticks = NULL;
    tally->tick_text = NULL;
    *bytes = handle->out.bytes;
    return (int64_t)handle->out.length;
}

/* The sums of names and rows, which begin anew. */
EXPORT int64_t straced_tally_rows(struct tally_handle *handle, const char **bytes)
{
    GUARDED(OUT_OF_MEMORY);
    struct tally *tally = &handle->tally;
    struct buffer *out = &handle->out;
    out->length = 0;
    put_word(out, tally->names_count);
    for (size_t each = 0; each < tally->names_count; each++) {
        const struct name_sums *name = &tally->names[each];
        put_str(out, name->name);
        put_word(out, name->buckets != NULL);
        if (name->buckets) put(out, name->buckets, BUCKETS * sizeof *name->buckets);
    }
    put_word(out, tally->row_keys.count);
    for (size_t each = 0; each < tally->row_keys.count; each++) {
        const struct tally_row *row = &tally->rows[each];
        put(out, tally->row_keys.keys[each].part, 2 * sizeof(uint64_t));
        put(out, row, 8 * sizeof(uint64_t));
        put_wide(out, row->sum_ns);
        put_wide(out, row->waiting_ns);
    }
    put_word(out, tally->errno_keys.count);
    for (size_t each = 0; each < tally->errno_keys.count; each++) {
        put(out, tally->errno_keys.keys[each].part, 2 * sizeof(uint64_t));
        put_word(out, tally->errno_counts[each]);
    }
    rows_clear(tally);
    *bytes = out->bytes;
    return (int64_t)out->length;
}

/* The bursts of errors: clock, name, errno, count, line of the first. */
EXPORT int64_t straced_tally_bursts(struct tally_handle *handle, const char **bytes)
{
    GUARDED(OUT_OF_MEMORY);
    struct tally *tally = &handle->tally;
    struct buffer *out = &handle->out;
    out->length = 0;
    for (size_t each = 0; each < tally->burst_keys.count; each++) {
        for (int part = 0; part < 3; part++) put_str(out, key_str(&tally->burst_keys.keys[each], part));
        put(out, &tally->bursts[each], sizeof tally->bursts[each]);
    }
    *bytes = out->bytes;
    return (int64_t)out->length;
}

EXPORT int straced_clocks(const int32_t *flags, const char *block, size_t size, int64_t *ends)
{
    struct form form = form_of(flags);
    return clocks_in_order(&form, block, size, &ends[0], &ends[1]);
}

EXPORT size_t straced_count(const char *block, size_t size)
{
    size_t count = 0;
    const char *p = block, *end = block + size;
    while (p < end && (p = memchr(p, '\n', (size_t)(end - p)))) count++, p++;
    return count;
}

EXPORT int straced_contains(const char *block, size_t size, const char *what, size_t length)
{
    return memmem(block, size, what, length) != NULL;
}

#endif

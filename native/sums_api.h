/* What the ordered pass found, packed: paths, locks, polls, signals. */
#ifndef STRACED_SUMS_API_H
#define STRACED_SUMS_API_H

#include "ordered_api.h"

static void put_row(struct buffer *out, const struct path_row *row)
{
    put_str(out, row->path);
    put(out, (const char *)row + offsetof(struct path_row, line), 9 * sizeof(uint64_t)); /* line .. untold */
    put_wide(out, row->in_bytes);
    put_wide(out, row->out_bytes);
    put_wide(out, row->tiny_ns);
    put_wide(out, row->sync_ns);
    put_wide(out, row->tiny_waiting);
    put_wide(out, row->sync_waiting);
    put_word(out, row->by_count);
    for (size_t each = 0; each < row->by_count; each++) {
        put_word(out, (uint64_t)row->by[each].pid);
        put_word(out, (uint64_t)row->by[each].name->place);
        put_word(out, row->by[each].count);
        put_wide(out, row->by[each].ns);
        put_word(out, (uint64_t)row->by[each].longest);
        put_wide(out, row->by[each].waiting);
    }
    put_word(out, row->errno_count);
    for (size_t each = 0; each < row->errno_count; each++) {
        put_str(out, row->errnos[each].code);
        put_word(out, row->errnos[each].count);
    }
}

static void put_names(struct buffer *out, const struct ordered *core)
{
    put_word(out, core->names.used);
    for (size_t each = 0; each < core->names.room; each++) {
        if (!core->names.slots[each]) continue;
        put_str(out, core->names.slots[each]);
        put_word(out, (uint64_t)core->names.slots[each]->place);
    }
}

/* Names; paths, and how many were folded; locks; polls; signals. */
EXPORT int64_t straced_ordered_sums(struct ordered_handle *handle, const char **bytes)
{
    GUARDED(OUT_OF_MEMORY);
    const struct ordered *core = &handle->core;
    struct buffer *out = &handle->out;
    out->length = 0;
    put_names(out, core);
    put_word(out, core->files.count);
    for (size_t each = 0; each < core->files.count; each++) put_row(out, &core->files.rows[each]);
    put_word(out, core->files.folded);
    put_word(out, core->lock_keys.count);
    for (size_t each = 0; each < core->lock_keys.count; each++) {
        const struct lock_row *row = &core->locks[each];
        put_word(out, core->lock_keys.keys[each].part[0]);
        put_str(out, key_str(&core->lock_keys.keys[each], 1));
        put_word(out, row->waits);
        put_wide(out, row->ns);
        put_word(out, (uint64_t)row->longest);
        put_word(out, row->line);
        put_wide(out, row->waiting);
        put_word(out, row->untold);
    }
    put_word(out, core->idle_keys.count);
    for (size_t each = 0; each < core->idle_keys.count; each++) {
        const struct key *key = &core->idle_keys.keys[each];
        put_word(out, key->part[0]);
        put_word(out, (uint64_t)key_str(key, 1)->place);
        put_str(out, key_str(key, 2));
        put_word(out, key->part[3]);
        put_word(out, core->idle[each].count);
        put_wide(out, core->idle[each].ns);
        put_word(out, core->idle[each].line);
    }
    put_word(out, core->signal_keys.count);
    for (size_t each = 0; each < core->signal_keys.count; each++) {
        put_str(out, key_str(&core->signal_keys.keys[each], 0));
        put_word(out, core->signals[each]);
    }
    *bytes = out->bytes;
    return (int64_t)out->length;
}

#endif

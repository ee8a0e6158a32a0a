/* Descriptor tables, as analysis/fd_table.py has them, and the tasks that share them. */
#ifndef STRACED_TABLES_H
#define STRACED_TABLES_H

#include <stdio.h>

#include "base.h"

#define MOST_LABELS 4096 /* of descriptors of which nothing is known */

struct entry {
    int64_t fd;
    struct str *name;  /* NULL: nothing is known of it */
    struct str *label; /* what it is called then; NULL: not asked for yet */
    uint8_t used, cloexec;
};

struct table {
    uint32_t refs;
    struct str *origin, *folder;
    struct entry *entries; /* open addressing; room is a power of two */
    size_t room, used;
};

static inline size_t fd_home(const struct table *table, int64_t fd)
{
    return (size_t)mixed((uint64_t)fd ^ 0x8BB84B93962EACC9u, 0xA0761D6478BD642Fu) & (table->room - 1);
}

static struct entry *entry_seek(const struct table *table, int64_t fd)
{
    if (!table->room) return NULL;
    size_t slot = fd_home(table, fd);
    while (table->entries[slot].used && table->entries[slot].fd != fd) slot = (slot + 1) & (table->room - 1);
    return &table->entries[slot];
}

static struct entry *entry_of(const struct table *table, int64_t fd)
{
    struct entry *entry = entry_seek(table, fd);
    return entry && entry->used ? entry : NULL;
}

static struct entry *entry_made(struct table *table, int64_t fd)
{
    if (table->used * 2 >= table->room) {
        struct table old = *table;
        size_t room = old.room ? old.room * 2 : 16;
        table->entries = zeroed(room, sizeof *table->entries);
        table->room = room;
        for (size_t each = 0; each < old.room; each++)
            if (old.entries[each].used) *entry_seek(table, old.entries[each].fd) = old.entries[each];
        free(old.entries);
    }
    struct entry *entry = entry_seek(table, fd);
    if (!entry->used) {
        *entry = (struct entry){.fd = fd, .used = 1};
        table->used++;
    }
    return entry;
}

static void entry_remove(struct strings *strings, struct table *table, struct entry *entry)
{
    str_drop(strings, entry->name);
    str_drop(strings, entry->label);
    size_t mask = table->room - 1, hole = (size_t)(entry - table->entries);
    for (size_t next = (hole + 1) & mask; table->entries[next].used; next = (next + 1) & mask) {
        size_t home = fd_home(table, table->entries[next].fd);
        if (((next - home) & mask) < ((next - hole) & mask)) continue;
        table->entries[hole] = table->entries[next];
        hole = next;
    }
    table->entries[hole] = (struct entry){0};
    table->used--;
}

/* What a descriptor stands for, as str_hold; a number alone when it was not seen to be opened. */
static struct str *table_name(struct strings *strings, struct table *table, int64_t fd)
{
    struct entry *entry = entry_of(table, fd);
    if (entry && entry->name && entry->name->length) return str_hold(entry->name);
    if (!entry && table->used < MOST_LABELS) entry = entry_made(table, fd);
    struct str *label = entry ? entry->label : NULL;
    if (!label) {
        size_t room = table->origin->length + 64;
        char *text = resized(NULL, room, 1);
        int length = snprintf(text, room, "fd %lld%.*s (opened before the trace)", (long long)fd,
                              (int)table->origin->length, table->origin->text);
        label = str_of(strings, text, (size_t)length);
        free(text);
        if (!entry) return label;
        entry->label = label;
    }
    return str_hold(label);
}

/* A descriptor gets a name; `name` becomes the table's. cloexec < 0: as it was. */
static void table_set(struct strings *strings, struct table *table, int64_t fd, struct str *name, int cloexec)
{
    struct entry *entry = entry_made(table, fd);
    str_drop(strings, entry->name);
    entry->name = name;
    if (cloexec >= 0) entry->cloexec = (uint8_t)cloexec;
}

static void table_close(struct strings *strings, struct table *table, int64_t fd)
{
    struct entry *entry = entry_of(table, fd);
    if (entry) entry_remove(strings, table, entry);
}

/* Close the descriptors that are named and in a range, or, with only_cloexec, marked. */
static void table_close_many(struct strings *strings, struct table *table, int64_t first, int64_t last, int only_cloexec)
{
    int64_t *fds = resized(NULL, table->used + 1, sizeof *fds);
    size_t count = 0;
    for (size_t each = 0; each < table->room; each++) {
        struct entry *entry = &table->entries[each];
        if (entry->used && entry->fd >= first && entry->fd <= last && (!only_cloexec || entry->cloexec))
            fds[count++] = entry->fd;
    }
    for (size_t each = 0; each < count; each++) table_close(strings, table, fds[each]);
    free(fds);
}

static struct table *table_new(struct str *origin, struct str *folder)
{
    struct table *table = zeroed(1, sizeof *table);
    table->refs = 1;
    table->origin = origin;
    table->folder = folder;
    return table;
}

static struct table *table_copy(const struct table *other)
{
    struct entry *entries = zeroed(other->room, sizeof *entries);
    struct table *table = table_new(str_hold(other->origin), str_hold(other->folder));
    table->entries = entries;
    table->room = other->room;
    table->used = other->used;
    for (size_t each = 0; each < other->room; each++) {
        struct entry *entry = &entries[each];
        *entry = other->entries[each];
        if (entry->name) str_hold(entry->name);
        if (entry->label) str_hold(entry->label);
    }
    return table;
}

static void table_drop(struct strings *strings, struct table *table)
{
    if (!table || --table->refs) return;
    for (size_t each = 0; each < table->room; each++) {
        str_drop(strings, table->entries[each].name);
        str_drop(strings, table->entries[each].label);
    }
    str_drop(strings, table->origin);
    str_drop(strings, table->folder);
    free(table->entries);
    free(table);
}

#endif

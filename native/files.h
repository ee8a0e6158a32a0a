/* The sums of each path, as analysis/file_stats.py has them; beyond a limit the smallest rows are merged. */
#ifndef STRACED_FILES_H
#define STRACED_FILES_H

#include "keymap.h"

#define FEW 8
#define OTHER_PID (-1)
#define TINY_BYTES 512

struct by { /* the calls of one name and process */
    int64_t pid;
    struct str *name;
    uint64_t count;
    int64_t longest;
    wide ns, waiting;
};
struct errno_count {
    struct str *code;
    uint64_t count;
};

struct path_row {
    struct str *path;
    uint64_t line, errors, opens, transfers, tiny, tiny_bytes, empty, syncs;
    uint64_t untold; /* timed calls whose waiting is not known */
    wide in_bytes, out_bytes, tiny_ns, sync_ns, tiny_waiting, sync_waiting;
    struct by *by;
    struct errno_count *errnos;
    size_t by_count, by_room, errno_count, errno_room, last;
    struct keymap by_index, errno_index; /* used when there are more than a few */
};

struct files {
    struct strings *strings;
    struct path_row *rows; /* in the order in which they were met */
    size_t count, room;
    size_t most_paths, most_of_each;
    uint64_t folded;
    struct str *other; /* the name of the row of all others */
};

static int64_t by_find(const struct path_row *row, int64_t pid, const struct str *name)
{
    if (row->by_count > FEW) {
        struct key key = {{(uint64_t)pid, (uint64_t)(uintptr_t)name}};
        return keymap_find(&row->by_index, &key);
    }
    for (size_t each = 0; each < row->by_count; each++)
        if (row->by[each].pid == pid && row->by[each].name == name) return (int64_t)each;
    return -1;
}

static size_t by_add(struct path_row *row, int64_t pid, struct str *name)
{
    if (row->by_count == row->by_room) {
        size_t room = row->by_room ? row->by_room * 2 : 2;
        row->by = resized(row->by, room, sizeof *row->by);
        row->by_room = room;
    }
    row->by[row->by_count++] = (struct by){.pid = pid, .name = str_hold(name)};
    if (row->by_count > FEW)
        for (size_t each = row->by_index.count; each < row->by_count; each++) {
            struct key key = {{(uint64_t)row->by[each].pid, (uint64_t)(uintptr_t)row->by[each].name}};
            keymap_place(&row->by_index, &key, NULL, 0);
        }
    return row->by_count - 1;
}

/* The sums of a process and call in a row; of too many, all others of that call share one. */
static struct by *by_of(struct path_row *row, int64_t pid, struct str *name, size_t most)
{
    if (row->last < row->by_count && row->by[row->last].pid == pid && row->by[row->last].name == name)
        return &row->by[row->last];
    int64_t place = by_find(row, pid, name);
    if (place < 0 && row->by_count >= most) {
        pid = OTHER_PID;
        place = by_find(row, pid, name);
    }
    row->last = place >= 0 ? (size_t)place : by_add(row, pid, name);
    return &row->by[row->last];
}

static void errno_add(struct path_row *row, struct str *code, uint64_t count)
{
    int64_t place = -1;
    struct key key = {{(uint64_t)(uintptr_t)code}};
    if (row->errno_count > FEW) place = keymap_find(&row->errno_index, &key);
    else
        for (size_t each = 0; each < row->errno_count; each++)
            if (row->errnos[each].code == code) place = (int64_t)each;
    if (place < 0) {
        if (row->errno_count == row->errno_room) {
            size_t room = row->errno_room ? row->errno_room * 2 : 2;
            row->errnos = resized(row->errnos, room, sizeof *row->errnos);
            row->errno_room = room;
        }
        place = (int64_t)row->errno_count;
        row->errnos[row->errno_count++] = (struct errno_count){str_hold(code), 0};
        if (row->errno_count > FEW)
            for (size_t each = row->errno_index.count; each < row->errno_count; each++) {
                struct key one = {{(uint64_t)(uintptr_t)row->errnos[each].code}};
                keymap_place(&row->errno_index, &one, NULL, 0);
            }
    }
    row->errnos[place].count += count;
}

static void row_free(struct strings *strings, struct path_row *row)
{
    for (size_t each = 0; each < row->by_count; each++) str_drop(strings, row->by[each].name);
    for (size_t each = 0; each < row->errno_count; each++) str_drop(strings, row->errnos[each].code);
    free(row->by);
    free(row->errnos);
    keymap_free(&row->by_index);
    keymap_free(&row->errno_index);
    row->path->place = -1;
    str_drop(strings, row->path);
}

static void row_merge(struct path_row *row, const struct path_row *other, size_t most)
{
    row->errors += other->errors;
    row->opens += other->opens;
    row->transfers += other->transfers;
    row->tiny += other->tiny;
    row->tiny_bytes += other->tiny_bytes;
    row->empty += other->empty;
    row->syncs += other->syncs;
    row->in_bytes += other->in_bytes;
    row->out_bytes += other->out_bytes;
    row->tiny_ns += other->tiny_ns;
    row->sync_ns += other->sync_ns;
    row->tiny_waiting += other->tiny_waiting;
    row->sync_waiting += other->sync_waiting;
    row->untold += other->untold;
    for (size_t each = 0; each < other->by_count; each++) {
        struct by *mine = by_of(row, other->by[each].pid, other->by[each].name, most);
        mine->count += other->by[each].count;
        mine->ns += other->by[each].ns;
        mine->waiting += other->by[each].waiting;
        if (other->by[each].longest > mine->longest) mine->longest = other->by[each].longest;
    }
    for (size_t each = 0; each < other->errno_count; each++)
        errno_add(row, other->errnos[each].code, other->errnos[each].count);
}

#endif

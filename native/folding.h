/* What is done with rows of paths: one call more, or the smallest half merged. */
#ifndef STRACED_FOLDING_H
#define STRACED_FOLDING_H

#include "files.h"

struct ranked {
    wide ns;
    uint64_t count;
    size_t place;
};

static int by_time(const void *one, const void *other)
{
    const struct ranked *a = one, *b = other;
    if (a->ns != b->ns) return a->ns > b->ns ? -1 : 1;
    if (a->count != b->count) return a->count > b->count ? -1 : 1;
    return a->place < b->place ? -1 : a->place > b->place;
}

/* Keep the half with the most time, then calls; the rest becomes one row. */
static void files_fold(struct files *files)
{
    struct path_row other = {.path = str_hold(files->other)};
    struct ranked *ranked = resized(NULL, files->count, sizeof *ranked);
    size_t count = 0, half = files->most_paths / 2;
    for (size_t place = 0; place < files->count; place++) {
        const struct path_row *row = &files->rows[place];
        if (row->path == files->other) {
            str_drop(files->strings, other.path);
            other = *row;
            continue;
        }
        ranked[count] = (struct ranked){.place = place};
        for (size_t each = 0; each < row->by_count; each++) {
            ranked[count].ns += row->by[each].ns;
            ranked[count].count += row->by[each].count;
        }
        count++;
    }
    qsort(ranked, count, sizeof *ranked, by_time);
    struct path_row *rows = resized(NULL, files->room, sizeof *rows);
    for (size_t each = half; each < count; each++) {
        row_merge(&other, &files->rows[ranked[each].place], files->most_of_each);
        row_free(files->strings, &files->rows[ranked[each].place]);
    }
    for (size_t each = 0; each < half; each++) {
        rows[each] = files->rows[ranked[each].place];
        rows[each].path->place = (int64_t)each;
    }
    other.path->place = (int64_t)half;
    rows[half] = other;
    free(ranked);
    free(files->rows);
    files->rows = rows;
    files->folded += count - half;
    files->count = half + 1;
}

/* One call on a path; what is special about it is added by the caller. code: NULL for none, or for `?`. */
static struct path_row *row_use(struct files *files, struct str *path, struct str *name, int64_t pid, struct str *code,
                                struct took took, uint64_t line)
{
    if (path->place < 0) {
        if (files->count >= files->most_paths) files_fold(files);
        if (files->count == files->room) {
            size_t room = files->room ? files->room * 2 : 64;
            files->rows = resized(files->rows, room, sizeof *files->rows);
            files->room = room;
        }
    }
    if (path->place < 0) { /* the row of all others may have been made just now */
        files->rows[files->count] = (struct path_row){.path = str_hold(path), .line = line};
        path->place = (int64_t)files->count++;
    }
    struct path_row *row = &files->rows[path->place];
    struct by *sums = by_of(row, pid, name, files->most_of_each);
    sums->count++;
    if (took.ns >= 0) sums->ns += (wide)took.ns;
    if (took.ns > sums->longest) sums->longest = took.ns;
    if (took.waiting >= 0) sums->waiting += (wide)took.waiting;
    else row->untold += took.ns >= 0;
    if (code) {
        row->errors++;
        errno_add(row, code, 1);
    }
    return row;
}

static void add_transfer(struct path_row *row, uint64_t size, int out, struct took took)
{
    row->transfers++;
    if (out) row->out_bytes += size;
    else row->in_bytes += size;
    if (size == 0) {
        row->empty++;
    } else if (size < TINY_BYTES) {
        row->tiny++;
        row->tiny_bytes += size;
        row->tiny_ns += took.ns > 0 ? (wide)took.ns : 0;
        row->tiny_waiting += took.waiting > 0 ? (wide)took.waiting : 0;
    }
}

static void add_sync(struct path_row *row, struct took took)
{
    row->syncs++;
    row->sync_ns += took.ns > 0 ? (wide)took.ns : 0;
    row->sync_waiting += took.waiting > 0 ? (wide)took.waiting : 0;
}

static void files_free(struct files *files)
{
    for (size_t each = 0; each < files->count; each++) row_free(files->strings, &files->rows[each]);
    free(files->rows);
    files->rows = NULL;
    files->count = 0;
}

#endif

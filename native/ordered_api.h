/* The ordered pass, as the library gives it: a block at a time, and what Python needs for the lines handed back. */
#ifndef STRACED_ORDERED_API_H
#define STRACED_ORDERED_API_H

#include "passing.h"
#include "tally_api.h"

struct ordered_handle {
    struct ordered core;
    struct buffer out;
};

/* limits: paths, calls of each path, locks, polls */
EXPORT struct ordered_handle *straced_ordered_new(const int32_t *flags, const uint64_t *limits, uint64_t seed)
{
    GUARDED(NULL);
    struct ordered_handle *handle = zeroed(1, sizeof *handle);
    struct ordered *core = &handle->core;
    core->form = form_of(flags);
    core->strings.seed = seed;
    core->names.seed = ~seed;
    core->files.strings = &core->strings;
    core->files.most_paths = limits[0];
    core->files.most_of_each = limits[1];
    core->most_locks = limits[2];
    core->most_idle = limits[3];
    core->least_ns = -1;
    core->files.other = str_of(&core->strings, "(all other paths)", 17);
    return handle;
}

EXPORT void straced_ordered_free(struct ordered_handle *handle)
{
    struct ordered *core = &handle->core;
    for (size_t each = 0; each < core->tasks.room; each++)
        if (core->tasks.slots[each]) task_free(&core->strings, core->tasks.slots[each]);
    free(core->tasks.slots);
    files_free(&core->files);
    keymap_free(&core->lock_keys);
    keymap_free(&core->idle_keys);
    keymap_free(&core->signal_keys);
    free(core->locks);
    free(core->idle);
    free(core->signals);
    free(core->joined);
    free(core->events);
    free(core->roles);
    strings_free(&core->strings);
    strings_free(&core->names);
    free(handle->out.bytes);
    free(handle);
}

EXPORT int straced_ordered_role(struct ordered_handle *handle, const char *name, size_t length, int role)
{
    GUARDED(OUT_OF_MEMORY);
    struct str *string = role_name(&handle->core, name, length);
    handle->core.roles[string->place] = role >= 0 && role < ROLES ? role : -1;
    return 0;
}

EXPORT void straced_ordered_floor(struct ordered_handle *handle, const char *floor, size_t length, int64_t least_ns)
{
    handle->core.floor_length = length < FLOOR_BYTES ? length : FLOOR_BYTES;
    memcpy(handle->core.floor, floor, handle->core.floor_length);
    handle->core.least_ns = least_ns;
}

/* Read a block from the line that begins at `place` on. Returns where the line begins that Python has to read, or the size
   of the block; OUT_OF_MEMORY. told: the number of that line (of the last one), its length, and how many
   events were met before it, which are to be taken first. */
EXPORT int64_t straced_ordered_feed(struct ordered_handle *handle, const char *block, size_t size, size_t place,
                                    uint64_t before, uint64_t *told)
{
    GUARDED(OUT_OF_MEMORY);
    const char *end = block + size;
    told[0] = before;
    told[2] = handle->core.events_count = 0;
    for (const char *p = block + place; p < end;) {
        struct line line = {.start = p};
        line.end = memchr(p, '\n', (size_t)(end - p));
        if (!line.end) line.end = end;
        told[0]++;
        int done = pass_line(&handle->core, &line, block, told[0]);
        told[2] = handle->core.events_count;
        if (!done) {
            told[1] = (uint64_t)(line.end - line.start);
            return p - block;
        }
        p = line.end + 1;
    }
    return (int64_t)size;
}

EXPORT const struct event *straced_ordered_events(const struct ordered_handle *handle) { return handle->core.events; }

/* One call on a path. kind: 0 use, 1 opened, 2 read, 3 written, 4 synced; errno_length 0: none failed, or `?`. */
EXPORT int straced_ordered_use(struct ordered_handle *handle, int kind, const char *path, size_t path_length,
                               const char *name, size_t name_length, const char *code, size_t code_length, int returned,
                               uint64_t bytes, int64_t pid, int64_t ns, int64_t waiting, uint64_t line)
{
    GUARDED(OUT_OF_MEMORY);
    struct ordered *core = &handle->core;
    struct str *string = str_of(&core->strings, path, path_length);
    struct str *errno_string = code ? str_of(&core->strings, code, code_length) : NULL;
    struct str *call = role_name(core, name, name_length);
    struct took took = {ns, waiting};
    struct path_row *row = row_use(&core->files, string, call, pid, errno_string, took, line);
    if (kind == 1 && returned) row->opens++;
    if ((kind == 2 || kind == 3) && returned) add_transfer(row, bytes, kind == 3, took);
    if (kind == 4) add_sync(row, took);
    str_drop(&core->strings, errno_string);
    str_drop(&core->strings, string);
    return 0;
}

EXPORT int straced_ordered_lock(struct ordered_handle *handle, int64_t pid, const char *what, size_t length, int64_t ns,
                                int64_t waiting, uint64_t line)
{
    GUARDED(OUT_OF_MEMORY);
    struct str *string = str_of(&handle->core.strings, what, length);
    lock_waited(&handle->core, pid, string, (struct took){ns, waiting}, line);
    str_drop(&handle->core.strings, string);
    return 0;
}

EXPORT int straced_ordered_idle(struct ordered_handle *handle, int64_t pid, const char *name, size_t name_length,
                                const char *what, size_t length, int64_t fd, int64_t ns, uint64_t line)
{
    GUARDED(OUT_OF_MEMORY);
    struct ordered *core = &handle->core;
    struct str *string = str_of(&core->strings, what, length);
    idle_add(core, pid, role_name(core, name, name_length), string, fd, ns, line);
    str_drop(&core->strings, string);
    return 0;
}

#endif

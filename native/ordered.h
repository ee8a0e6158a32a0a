/* The state of the ordered pass: tasks, tables, paths, locks, polls for nothing, and what the effects of calls change. */
#ifndef STRACED_ORDERED_H
#define STRACED_ORDERED_H

#include "folding.h"
#include "sockets.h"
#include "tasks.h"

#define FLOOR_BYTES 10

struct lock_row {
    uint64_t waits, line;
    uint64_t untold; /* timed waits of which it is not known how long the thread was off the CPU */
    wide ns, waiting;
    int64_t longest;
};
struct idle_row {
    uint64_t count, line;
    wide ns;
};

enum event_kind { LEAVES = 1, ALL_LEAVE, ENDED, MAKES_TASK };
struct event { /* of a task, for the tree of processes, which Python has */
    uint64_t kind, line, clock, clock_length; /* the clock as a place in the block */
    int64_t tid, status; /* status -1: it is not told */
};

struct ordered {
    struct form form;
    struct strings strings, names; /* names: of calls that have a role; they stay */
    int *roles;
    size_t roles_count;
    struct tasks tasks;
    struct files files;
    struct keymap lock_keys, idle_keys, signal_keys;
    struct lock_row *locks; /* (pid, or -1 for a path; address or path) */
    struct idle_row *idle;  /* (pid, call, what, descriptor) */
    uint64_t *signals;
    size_t most_locks, most_idle;
    char floor[FLOOR_BYTES]; /* durations that read like this, or less, are none of the slowest */
    size_t floor_length;
    int64_t least_ns; /* a call that took no longer is none of them; -1: any may be */
    struct event *events; /* that Python has not taken yet */
    size_t events_count, events_room;
    char *joined;     /* the two halves of a call */
    size_t joined_room;
};

static uint64_t as_key(const void *string) { return (uint64_t)(uintptr_t)string; }

static struct str *role_name(struct ordered *core, const char *text, size_t length)
{
    struct str *name = str_of(&core->names, text, length);
    if (name->place >= 0) {
        str_drop(&core->names, name);
        return name;
    }
    core->roles = resized(core->roles, core->roles_count + 1, sizeof *core->roles);
    core->roles[core->roles_count] = -1;
    name->place = (int64_t)core->roles_count++;
    return name;
}

static void add_event(struct ordered *core, struct event event)
{
    if (core->events_count == core->events_room) {
        size_t room = core->events_room ? core->events_room * 2 : 64;
        core->events = resized(core->events, room, sizeof *core->events);
        core->events_room = room;
    }
    core->events[core->events_count++] = event;
}

static void lock_waited(struct ordered *core, int64_t pid, struct str *what, struct took took, uint64_t line)
{
    struct key key = {{(uint64_t)pid, as_key(what)}};
    int64_t place = keymap_find(&core->lock_keys, &key);
    if (place < 0) {
        if (core->lock_keys.count >= core->most_locks) return;
        place = (int64_t)keymap_place(&core->lock_keys, &key, &core->locks, sizeof *core->locks);
        str_hold(what);
        core->locks[place] = (struct lock_row){.longest = -1, .line = line};
    }
    struct lock_row *row = &core->locks[place];
    row->waits++;
    if (took.ns < 0) return;
    row->ns += (wide)took.ns;
    if (took.waiting >= 0) row->waiting += (wide)took.waiting;
    else row->untold++;
    if (took.ns > row->longest) {
        row->longest = took.ns;
        row->line = line;
    }
}

static void idle_add(struct ordered *core, int64_t pid, struct str *name, struct str *what, int64_t fd, int64_t ns,
                     uint64_t line)
{
    struct key key = {{(uint64_t)pid, as_key(name), as_key(what), (uint64_t)fd}};
    int64_t place = keymap_find(&core->idle_keys, &key);
    if (place < 0) {
        if (core->idle_keys.count >= core->most_idle) return;
        place = (int64_t)keymap_place(&core->idle_keys, &key, &core->idle, sizeof *core->idle);
        str_hold(what);
        core->idle[place].line = line;
    }
    core->idle[place].count++;
    if (ns > 0) core->idle[place].ns += (wide)ns;
}

/* One text behind another, as a string. */
static struct str *str_joined(struct strings *strings, const char *one, size_t length, const char *mark, const char *other,
                              size_t other_length)
{
    size_t mark_length = strlen(mark);
    char *text = resized(NULL, length + mark_length + other_length + 1, 1);
    memcpy(text, one, length);
    memcpy(text + length, mark, mark_length);
    memcpy(text + length + mark_length, other, other_length);
    struct str *string = str_of(strings, text, length + mark_length + other_length);
    free(text);
    return string;
}

/* A relative path, from the folder of the process. */
static struct str *in_folder(struct strings *strings, const struct table *table, const char *path, size_t length)
{
    size_t folder = table->folder->length;
    if (!folder) return str_of(strings, path, length);
    while (folder && table->folder->text[folder - 1] == '/') folder--;
    if (length >= 2 && path[0] == '.' && path[1] == '/') path += 2, length -= 2;
    return str_joined(strings, table->folder->text, folder, "/", path, length);
}

/* What a call is about. */
static struct str *target(struct ordered *core, struct task *task, const struct call *call)
{
    struct strings *strings = &core->strings;
    if (!call->has_fd) {
        if (call->relative) return in_folder(strings, task->table, call->path, call->path_length);
        return str_of(strings, call->path, call->path_length);
    }
    struct str *base = table_name(strings, task->table, call->fd);
    int folder = base->length == 8 && !memcmp(base->text, "AT_FDCWD", 8);
    if (!call->path || (!call->path_length && !folder)) return base;
    struct str *path = folder
                           ? str_of(strings, call->path, call->path_length)
                           : str_joined(strings, base->text, base->length, "/", call->path, call->path_length);
    str_drop(strings, base);
    return path;
}

/* Whether the descriptors of the task's process have to be known. */
static int needs_table(const struct call *call)
{
    switch (call->effect) {
    case NOTHING: case FUTEX: case IDLE: return 0;
    case DUP: case SET_CLOEXEC: case PIPE: case NEW_FD: return 1;
    case OPEN: case CLOSE: case ACCEPT: case PEER: return call->has_fd || call->relative || call->has_value;
    default: return call->has_fd || call->relative;
    }
}

#endif

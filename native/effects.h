/* What calls change, as analysis/effects.py. */
#ifndef STRACED_EFFECTS_H
#define STRACED_EFFECTS_H

#include "ordered.h"

static struct str *error_code(struct ordered *core, const struct call *call)
{
    if (!call->code || (call->code_length == 1 && *call->code == '?')) return NULL;
    return str_of(&core->strings, call->code, call->code_length);
}

static void pipe_ends(struct ordered *core, struct task *task, const struct call *call, uint64_t line)
{
    char label[80];
    int length = snprintf(label, sizeof label, "pipe of %lld, line %llu", (long long)task->tid, (unsigned long long)line);
    struct str *name = str_of(&core->strings, label, (size_t)length);
    table_set(&core->strings, task->table, call->fd, str_hold(name), call->cloexec);
    table_set(&core->strings, task->table, call->value, name, call->cloexec);
}

/* What a call that is about a path, socket or pipe adds to its sums, and what becomes of descriptors. */
static void on_target(struct ordered *core, struct task *task, struct str *name, const struct call *call,
                      struct took took, uint64_t line)
{
    struct strings *strings = &core->strings;
    struct str *path = call->effect == PEER ? str_of(strings, call->label, call->label_length) : target(core, task, call);
    if (call->effect == DUP) {
        table_set(strings, task->table, call->value, path, call->cloexec);
        return;
    }
    struct str *code = error_code(core, call);
    struct path_row *row = row_use(&core->files, path, name, task->pid, code, took, line);
    switch (call->effect) {
    case READ: case WRITE:
        if (!call->code) add_transfer(row, (uint64_t)call->value, call->effect == WRITE, took);
        break;
    case OPEN:
        if (!call->code) row->opens++;
        if (call->has_value) table_set(strings, task->table, call->value, str_hold(path), call->cloexec);
        break;
    case PEER:
        if (call->has_value) table_set(strings, task->table, call->value, str_hold(path), -1);
        break;
    case ACCEPT:
        if (call->has_value)
            table_set(strings, task->table, call->value, str_of(strings, call->label, call->label_length), call->cloexec);
        break;
    case CLOSE:
        if (call->has_value) table_close(strings, task->table, call->value);
        break;
    case SYNC:
        add_sync(row, took);
        break;
    case LOCK:
        lock_waited(core, -1, path, took, line);
        break;
    default:
        break;
    }
    str_drop(strings, code);
    str_drop(strings, path);
}

static void apply(struct ordered *core, struct task *task, struct str *name, const struct call *call, struct took took,
                  uint64_t line)
{
    struct strings *strings = &core->strings;
    struct str *string;
    switch (call->effect) {
    case NOTHING:
        break;
    case FUTEX:
        string = str_of(strings, call->label, call->label_length);
        lock_waited(core, task->pid, string, took, line);
        str_drop(strings, string);
        break;
    case IDLE:
        string = str_of(strings, call->label, call->label_length);
        idle_add(core, task->pid, name, string, call->value, took.ns, line);
        str_drop(strings, string);
        break;
    case PIPE:
        pipe_ends(core, task, call, line);
        break;
    case NEW_FD:
        string = str_of(strings, call->label, call->label_length);
        table_set(strings, task->table, call->value, string, call->cloexec);
        break;
    case SET_CLOEXEC:
        string = table_name(strings, task->table, call->value);
        table_set(strings, task->table, call->value, string, call->cloexec);
        break;
    default:
        on_target(core, task, name, call, took, line);
    }
}

#endif

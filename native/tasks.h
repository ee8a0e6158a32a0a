/* The tasks that lines are of, by TID. Who belongs to which process is known to Python, which makes and ends them. */
#ifndef STRACED_TASKS_H
#define STRACED_TASKS_H

#include "tables.h"

#define ROOMY 4096

struct task {
    int64_t tid, pid;
    struct table *table; /* NULL until a call needs it */
    struct str *entered; /* the name of the call that did not return yet; NULL: none */
    char *args;          /* its arguments */
    size_t args_length, args_room;
    uint64_t line;
    int said_pid; /* it asked getpid, and leads its process */
};

struct tasks {
    struct task **slots;
    size_t room, used;
};

static inline size_t task_home(size_t room, int64_t tid)
{
    return (size_t)mixed((uint64_t)tid ^ 0x2D358DCCAA6C78A5u, 0xE7037ED1A0B428DBu) & (room - 1);
}

static inline struct task *task_find(const struct tasks *tasks, int64_t tid)
{
    if (!tasks->room) return NULL;
    size_t slot = task_home(tasks->room, tid);
    while (tasks->slots[slot] && tasks->slots[slot]->tid != tid) slot = (slot + 1) & (tasks->room - 1);
    return tasks->slots[slot];
}

static void task_insert(struct tasks *tasks, struct task *task)
{
    size_t slot = task_home(tasks->room, task->tid);
    while (tasks->slots[slot]) slot = (slot + 1) & (tasks->room - 1);
    tasks->slots[slot] = task;
}

static struct task *task_new(struct tasks *tasks, int64_t tid, int64_t pid)
{
    if (tasks->used * 2 >= tasks->room) {
        size_t room = tasks->room ? tasks->room * 2 : 64;
        struct task **slots = zeroed(room, sizeof *slots);
        struct tasks old = *tasks;
        tasks->slots = slots;
        tasks->room = room;
        for (size_t each = 0; each < old.room; each++)
            if (old.slots[each]) task_insert(tasks, old.slots[each]);
        free(old.slots);
    }
    struct task *task = zeroed(1, sizeof *task);
    task->tid = tid;
    task->pid = pid;
    task_insert(tasks, task);
    tasks->used++;
    return task;
}

/* The call returned, or is forgotten. */
static void task_leaves_call(struct strings *strings, struct task *task)
{
    str_drop(strings, task->entered);
    task->entered = NULL;
    task->args_length = 0;
    if (task->args_room > ROOMY) {
        free(task->args);
        task->args = NULL;
        task->args_room = 0;
    }
}

/* The call that a task is in; `name` becomes the task's, and the arguments are copied. */
static void task_enters(struct strings *strings, struct task *task, struct str *name, const char *args, size_t length,
                        uint64_t line)
{
    if (task->args_room < length) {
        char *copy = resized(NULL, length, 1);
        memcpy(copy, args, length); /* they may lie in what is freed now */
        free(task->args);
        task->args = copy;
        task->args_room = length;
    } else if (length) {
        memmove(task->args, args, length);
    }
    task->args_length = length;
    task->line = line;
    str_drop(strings, task->entered);
    task->entered = name;
}

static void task_free(struct strings *strings, struct task *task)
{
    table_drop(strings, task->table);
    str_drop(strings, task->entered);
    free(task->args);
    free(task);
}

/* No line is of this task any longer; what Python has of it stays. */
static void task_unlink(struct tasks *tasks, const struct task *task)
{
    size_t mask = tasks->room - 1, hole = task_home(tasks->room, task->tid);
    while (tasks->slots[hole] && tasks->slots[hole] != task) hole = (hole + 1) & mask;
    if (!tasks->slots[hole]) return;
    for (size_t next = (hole + 1) & mask; tasks->slots[next]; next = (next + 1) & mask) {
        size_t home = task_home(tasks->room, tasks->slots[next]->tid);
        if (((next - home) & mask) < ((next - hole) & mask)) continue;
        tasks->slots[hole] = tasks->slots[next];
        hole = next;
    }
    tasks->slots[hole] = NULL;
    tasks->used--;
}

#endif

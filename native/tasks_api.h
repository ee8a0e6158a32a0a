/* Tasks and their tables, for the lines that Python reads. */
#ifndef STRACED_TASKS_API_H
#define STRACED_TASKS_API_H

#include "ordered_api.h"

EXPORT struct task *straced_task_new(struct ordered_handle *handle, int64_t tid, int64_t pid)
{
    GUARDED(NULL);
    return task_new(&handle->core.tasks, tid, pid);
}

EXPORT void straced_task_end(struct ordered_handle *handle, struct task *task)
{
    task_unlink(&handle->core.tasks, task);
    task_free(&handle->core.strings, task);
}

EXPORT int64_t straced_task_pid(const struct task *task) { return task->pid; }

/* Whether anything is known of it. */
EXPORT int straced_task_busy(const struct task *task) { return task->table || task->entered; }

EXPORT void straced_task_join(struct task *task, int64_t pid)
{
    task->pid = pid;
    task->said_pid = 0;
}

EXPORT struct table *straced_task_table(struct task *task)
{
    if (task->table) task->table->refs++;
    return task->table;
}

EXPORT void straced_task_share(struct ordered_handle *handle, struct task *task, struct table *table)
{
    if (table) table->refs++;
    table_drop(&handle->core.strings, task->table);
    task->table = table;
}

/* The call that a task is in: 1, with its name and arguments, good until the task changes; 0: it is in none. */
EXPORT int straced_task_entered(const struct task *task, const char **name, const char **args, uint64_t *told)
{
    if (!task->entered) return 0;
    *name = task->entered->text;
    *args = task->args;
    told[0] = task->entered->length;
    told[1] = task->args_length;
    told[2] = task->line;
    return 1;
}

EXPORT int straced_task_enter(struct ordered_handle *handle, struct task *task, const char *name, size_t name_length,
                              const char *args, size_t length, uint64_t line)
{
    GUARDED(OUT_OF_MEMORY);
    struct str *string = name ? str_of(&handle->core.strings, name, name_length) : NULL;
    if (string) task_enters(&handle->core.strings, task, string, args, length, line);
    else task_leaves_call(&handle->core.strings, task);
    return 0;
}

EXPORT struct table *straced_table_new(struct ordered_handle *handle, const char *origin, size_t origin_length,
                                       const char *folder, size_t folder_length)
{
    GUARDED(NULL);
    struct strings *strings = &handle->core.strings;
    struct str *whose = str_of(strings, origin, origin_length);
    return table_new(whose, str_of(strings, folder, folder_length));
}

EXPORT struct table *straced_table_copy(const struct table *table)
{
    GUARDED(NULL);
    return table_copy(table);
}

EXPORT void straced_table_drop(struct ordered_handle *handle, struct table *table)
{
    table_drop(&handle->core.strings, table);
}

/* The name of a descriptor, or NULL; which: 0; its origin: 1; its folder: 2. */
EXPORT const char *straced_table_text(const struct table *table, int which, int64_t fd, size_t *length)
{
    const struct entry *entry = which ? NULL : entry_of(table, fd);
    const struct str *string = which == 1 ? table->origin : which == 2 ? table->folder : entry ? entry->name : NULL;
    if (!string) return NULL;
    *length = string->length;
    return string->text;
}

/* cloexec: 0, 1, or -1: as it was. */
EXPORT int straced_table_set(struct ordered_handle *handle, struct table *table, int64_t fd, const char *name, size_t length,
                             int cloexec)
{
    GUARDED(OUT_OF_MEMORY);
    table_set(&handle->core.strings, table, fd, str_of(&handle->core.strings, name, length), cloexec);
    return 0;
}

EXPORT int straced_table_folder(struct ordered_handle *handle, struct table *table, const char *folder, size_t length)
{
    GUARDED(OUT_OF_MEMORY);
    struct str *string = str_of(&handle->core.strings, folder, length);
    str_drop(&handle->core.strings, table->folder);
    table->folder = string;
    return 0;
}

/* Close a range of descriptors; only_cloexec: those that an execve closes. */
EXPORT int straced_table_close(struct ordered_handle *handle, struct table *table, int64_t first, int64_t last,
                               int only_cloexec)
{
    GUARDED(OUT_OF_MEMORY);
    if (first == last && !only_cloexec) table_close(&handle->core.strings, table, first);
    else table_close_many(&handle->core.strings, table, first, last, only_cloexec);
    return 0;
}

#endif

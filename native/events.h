/* What lines say of tasks alone: signals, exits and ends. The tree of processes is Python's; it takes them as events. */
#ifndef STRACED_EVENTS_H
#define STRACED_EVENTS_H

#include "clocks.h"
#include "counting.h"
#include "ordered.h"

static struct event event_of(const struct line *line, const char *block, int64_t tid, uint64_t number)
{
    return (struct event){
        .line = number, .clock = (uint64_t)(line->clock - block), .clock_length = line->clock_length, .tid = tid,
    };
}

/* The end of a task. */
static int ends_task(struct ordered *core, const struct line *line, const char *p, const char *block, uint64_t number)
{
    if (line->clock_length && clock_ns(line->clock, line->clock_length) < 0) return 0;
    struct task *task = task_find(&core->tasks, line->tid);
    struct event event = event_of(line, block, line->tid, number);
    event.kind = ENDED;
    for (p += 16; is_digit(*p); p++) event.status = event.status * 10 + (*p - '0');
    add_event(core, event);
    if (task) task_unlink(&core->tasks, task);
    return 1;
}

/* The end of a task, or a signal whose name was met before, whole and in the form of its log. */
static int tells_of_task(struct ordered *core, struct line *line, const char *block, uint64_t number)
{
    if (!is_of_a_task(&core->form, line)) return 0;
    const char *p = behind_prefix(&core->form, line);
    if (*p == '+') return ends_task(core, line, p, block, number);
    p += 4;
    const char *end = memchr(p, ' ', (size_t)(line->end - p));
    struct str *name = str_of(&core->strings, p, (size_t)(end - p));
    struct key key = {{as_key(name)}};
    size_t before = core->signal_keys.count;
    size_t place = keymap_place(&core->signal_keys, &key, &core->signals, sizeof *core->signals);
    if (core->signal_keys.count > before) return 0; /* the first of its name is for Python; the key holds the name */
    str_drop(&core->strings, name);
    core->signals[place]++;
    return 1;
}

/* exit and exit_group: an event; 0: in doubt. */
static int leaves(struct ordered *core, const struct line *line, const struct task *task, const struct str *name,
                  const struct words *words, const char *block, uint64_t number)
{
    const char *p = words->args;
    int64_t status = 0;
    while (p < words->args_end && is_digit(*p) && p - words->args < 10) status = status * 10 + (*p++ - '0');
    if (p == words->args || p - words->args > 9) return 0;
    struct event event = event_of(line, block, task->tid, number);
    event.kind = IS(name, "exit_group") ? ALL_LEAVE : LEAVES;
    event.status = status & 0xFF;
    add_event(core, event);
    return 1;
}

#endif

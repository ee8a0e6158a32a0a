/* The ordered pass over a block: what is certain is done here, any other line is handed back to Python, in its turn. */
#ifndef STRACED_PASSING_H
#define STRACED_PASSING_H

#include "effects.h"
#include "events.h"

#define LONGEST_LINE 65536
#define UNFINISHED_BYTES 16

static inline uint64_t sorted_word(const char *text) /* words that sort as their texts do */
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return __builtin_bswap64(word_at(text));
#else
    return word_at(text);
#endif
}

static inline int text_order(const char *one, size_t length, const char *other, size_t other_length)
{
    if (length >= 8 && other_length >= 8) {
        uint64_t a = sorted_word(one), b = sorted_word(other);
        if (a != b) return a < b ? -1 : 1;
    }
    int order = memcmp(one, other, length < other_length ? length : other_length);
    return order ? order : (length > other_length) - (length < other_length);
}

/* A duration as duration_of reads it: ns; -1: none. */
static int64_t duration_of(const char *p, const char *end)
{
    return p > end || end - p > 22 ? -1 : seconds_ns(p, end, 8, 22);
}

/* What stands behind the last `<`, but for the `>`. */
static struct took last_duration(const char *rest, const char *end)
{
    struct took took = {-1, -1};
    const char *less = find_last(rest, end, '<'), *p = less ? less + 1 : rest;
    if (end == rest || p > end - 1) return took;
    const char *plus = memchr(p, '+', (size_t)(end - 1 - p));
    if (plus && (took.waiting = waiting_of(plus + 1, end - 1)) < 0) return took;
    took.ns = duration_of(p, plus ? plus : end - 1);
    return took.ns < 0 ? (struct took){-1, -1} : took;
}

/* How much of its arguments the beginning of a call has. */
static size_t begun_length(const struct task *task)
{
    const char *end = task->args + task->args_length;
    if (ENDS(task->args, end, "<unfinished ...>")) end -= UNFINISHED_BYTES;
    if (end > task->args && end[-1] == ' ') end--;
    return (size_t)(end - task->args);
}

/* Puts the halves of a call together: the length; 0: too long. */
static size_t join_halves(struct ordered *core, const struct task *task, const char *rest, const char *end)
{
    size_t begun = task->args_length ? begun_length(task) : 0, more = (size_t)(end - rest);
    if (begun + more > LONGEST_LINE) return 0;
    if (core->joined_room < LONGEST_LINE) {
        core->joined = resized(core->joined, LONGEST_LINE, 1);
        core->joined_room = LONGEST_LINE;
    }
    if (begun) memcpy(core->joined, task->args, begun);
    if (more) memcpy(core->joined + begun, rest, more);
    return begun + more;
}

static int enters(struct ordered *core, struct task *task, const struct line *line, uint64_t number)
{
    const char *args = line->rest;
    size_t length = (size_t)(line->end - line->rest);
    if (line->resumed) { /* and interrupted once more */
        length = join_halves(core, task, line->rest + 9, line->end);
        if (!length) return 0;
        args = core->joined;
    }
    struct str *name = str_of(&core->strings, line->name, line->name_length);
    task_enters(&core->strings, task, name, args, length, number);
    return 1;
}

static struct str *known_name(const struct ordered *core, const struct line *line)
{
    size_t slot;
    uint64_t hash = hash_of(line->name, line->name_length, core->names.seed);
    return str_seek((struct strings *)&core->names, line->name, line->name_length, hash, &slot);
}

/* getpid of a task that is known to lead its process says nothing new. */
static int says_nothing(struct task *task, const struct str *name, const struct words *words)
{
    struct call call = {0};
    if (!IS(name, "getpid")) return 0;
    fd_result(words, &call);
    if (!call.has_value || call.value != task->tid) return 0;
    if (task->said_pid) return 1;
    task->said_pid = 1;
    return 0;
}

/* Whether the line is done; 0: it is for Python. */
static int pass_line(struct ordered *core, struct line *line, const char *block, uint64_t number)
{
    if (line->end - line->start > LONGEST_LINE) return 0;
    if (!slice(&core->form, line)) return line->start == line->end || tells_of_task(core, line, block, number);
    if (line->clock_length > LONGEST_CLOCK || line->name_length > LONGEST_NAME) return 0;
    const char *rest = line->rest, *end = line->end;
    const char *tail = end - rest > FLOOR_BYTES ? end - FLOOR_BYTES : rest;
    size_t tail_length = (size_t)(end - tail);
    int timed = core->form.durations, angle = tail_length && (unsigned char)*tail >= '<';
    struct str *name = known_name(core, line);
    int role = name ? core->roles[name->place] : -1;
    if (!angle || text_order(tail, tail_length, core->floor, core->floor_length) > 0) {
        if (ENDS(rest, end, "<unfinished ...>")) {
            struct task *task = task_find(&core->tasks, line->tid);
            if (!task || !enters(core, task, line, number)) return 0;
            if (role == R_FORK) {
                struct event event = event_of(line, block, task->tid, number);
                event.kind = MAKES_TASK;
                add_event(core, event);
            }
            return 1;
        }
        if (ENDS(rest, end, "<detached ...>")) return 0;
        if (timed && tail_length && (*tail == '<' || end[-1] == '>')) {
            int64_t ns = last_duration(rest, end).ns;
            if (ns >= 0 && (core->least_ns < 0 || ns > core->least_ns)) return 0; /* one of the slowest */
        }
    }
    if (role < 0 && !line->resumed) return 1;
    struct task *task = task_find(&core->tasks, line->tid);
    if (!task) return 0;
    if (role < 0) {
        task_leaves_call(&core->strings, task);
        return 1;
    }
    if (role == R_FUTEX && timed && angle && text_order(tail, tail_length, "<0.000050>", 10) < 0) {
        if (line->resumed) task_leaves_call(&core->strings, task); /* a short wait is none */
        return 1;
    }
    if (line->resumed) {
        if (!task->entered || (end[-1] != '>' && !FIND(rest, end, " = "))) return 1;
        number = task->line; /* evidence is where the call began */
        size_t length = join_halves(core, task, rest + 9, end);
        if (!length) return 0;
        rest = core->joined;
        end = rest + length;
    }
    struct words words;
    struct call call = {0};
    if (!split_words(&core->form, rest, end, &words)) return 0;
    if (role == R_EXIT) {
        if (!leaves(core, line, task, name, &words, block, number)) return 0;
    } else if (role == R_IDENTITY) {
        if (!says_nothing(task, name, &words)) return 0;
    } else if (!decode(&core->form, role, name, &words, &call)) {
        return 0;
    }
    if (!task->table && needs_table(&call)) return 0;
    if (line->resumed) task_leaves_call(&core->strings, task);
    struct took took = {-1, -1};
    if (timed && end - rest >= 10 && end[-10] == '<') took.ns = duration_of(end - 9, end - 1);
    else if (timed && end[-1] == '>') took = last_duration(rest, end);
    apply(core, task, name, &call, took, number);
    return 1;
}

#endif

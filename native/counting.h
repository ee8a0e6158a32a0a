/* The pass of the tally over a block. */
#ifndef STRACED_COUNTING_H
#define STRACED_COUNTING_H

#include "bursts.h"

#define PID_MAX (1u << 22)

/* A signal or the end of a task, whole and in the form of its log: nothing that is counted here. */
static int is_of_a_task(const struct form *form, struct line *line)
{
    if (form->relative_too || form->brackets) return 0;
    const char *p = behind_prefix(form, line), *end = line->end;
    if (!p || line->tid > PID_MAX || line->clock_length > 30) return 0;
    if (STARTS(p, end, "+++ exited with ") && ENDS(p, end, " +++")) {
        const char *q = p + 16, *from = q;
        while (q < end && is_digit(*q)) q++;
        return q > from && q - from <= 10 && q + 4 == end;
    }
    if (STARTS(p, end, "--- SIG") && ENDS(p, end, "} ---")) {
        const char *q = p + 7;
        while (q < end && ((*q >= 'A' && *q <= 'Z') || is_digit(*q) || *q == '_' || *q == '+')) q++;
        return q > p + 7 && STARTS(q, end, " {");
    }
    return 0;
}

/* `NAME(...) = ?`, and no more: a call that did not return. */
static int returns_never(const struct form *form, const struct line *line)
{
    if (form->relative_too || form->brackets || line->tid > PID_MAX || line->clock_length > 30) return 0;
    if (line->resumed || !ENDS(line->rest, line->end, " = ?")) return 0;
    const char *p = line->end - 4;
    while (p > line->rest && p[-1] == ' ') p--;
    return p > line->rest && p[-1] == ')';
}

static int makes_tasks(const char *name, size_t length)
{
    const char *end = name + length;
    return (length == 5 && STARTS(name, end, "clone")) || (length == 6 && STARTS(name, end, "clone3"))
           || (length == 4 && STARTS(name, end, "fork")) || (length == 5 && STARTS(name, end, "vfork"));
}

static void count_line(struct tally *tally, struct line *line, const char *block, uint64_t number)
{
    struct span span = {(uint64_t)(line->start - block), (uint64_t)(line->end - line->start), number};
    if (!slice(&tally->form, line)) {
        if (line->start < line->end && !is_of_a_task(&tally->form, line))
            add_span(&tally->others, &tally->others_count, &tally->others_room, span);
        return;
    }
    if (line->name_length > LONGEST_NAME || line->clock_length > LONGEST_CLOCK) { /* damage */
        span.offset |= ALL_OF_IT;
        add_span(&tally->others, &tally->others_count, &tally->others_room, span);
        return;
    }
    if (makes_tasks(line->name, line->name_length))
        add_span(&tally->births, &tally->births_count, &tally->births_room, span);
    if (!line->resumed && line->name_length == 15 && !memcmp(line->name, "restart_syscall", 15)) tally->restarts = 1;
    char ended = 0;
    const char *tail = NULL;
    int64_t ns = -1;
    if (tally->form.durations) {
        ns = plain_duration(line->rest, line->end);
        if (ns < 0) tail = timed_tail(line->rest, line->end);
        if (ns < 0 && !tail && returns_never(&tally->form, line)) ended = '?';
    } else {
        ended = untimed_tail(line->rest, line->end);
    }
    int taken = ns >= 0 || tail || ended;
    if (!taken) add_span(&tally->others, &tally->others_count, &tally->others_room, span);
    int may_fail = ns >= 0 ? line->end - line->rest > 12 && line->end[-12] == ')'
                           : line->end[-1] == ')' || line->end[-1] == '>';
    if (!taken && !may_fail) return;
    const char *code;
    size_t length;
    if (!taken && !errno_of_line(line->start, line->end, &code, &length)) return;
    uint64_t name = name_place(tally, line->name, line->name_length);
    struct key key = {{line->tid, name}};
    size_t place = keymap_place(&tally->row_keys, &key, &tally->rows, sizeof *tally->rows);
    struct tally_row *row = &tally->rows[place];
    if (taken) {
        if (line->resumed) row->resumed++;
        else row->calls++;
        if (ns >= 0) add_time(tally, row, name, (uint64_t)ns);
        else if (tail) count_timed(tally, row, name, tail, line->end);
        else if (ended == 'd' || ended == '?') row->no_return++;
        else if (ended == 'u') row->unfinished++;
    }
    if (may_fail) add_error(tally, line, name, place, number);
}

/* Whether an interrupted call shows: `= ? ERESTART`. */
static int tells_of_restart(const char *block, const char *end)
{
    for (const char *p = block; (p = memchr(p, '?', (size_t)(end - p))); p++)
        if (p - block >= 2 && p[-1] == ' ' && p[-2] == '=' && STARTS(p, end, "? ERESTART")) return 1;
    return 0;
}

/* Counts a block that begins and ends with a newline; returns how many lines it holds. */
static int64_t tally_block(struct tally *tally, const char *block, size_t size, uint64_t first)
{
    const char *end = block + size;
    tally->others_count = tally->births_count = 0;
    tally->restarts = tells_of_restart(block, end);
    int64_t lines = 0;
    for (const char *p = block + 1; p < end; lines++) {
        struct line line = {.start = p};
        line.end = memchr(p, '\n', (size_t)(end - p));
        if (!line.end) break;
        count_line(tally, &line, block, first + (uint64_t)lines);
        if (tally->with_ticks && !(line.rest ? add_tick_of(tally, &line) : add_tick(tally, line.start, line.end))) {
            struct span span = {(uint64_t)(p - block) | ITS_TICK, (uint64_t)(line.end - p), first + (uint64_t)lines};
            add_span(&tally->others, &tally->others_count, &tally->others_room, span);
        }
        p = line.end + 1;
    }
    for (size_t each = 0; each < tally->pending_count; each++)
        add_burst(tally, &tally->pending[each].key, tally->pending[each].number);
    tally->pending_count = 0;
    return lines;
}

#endif

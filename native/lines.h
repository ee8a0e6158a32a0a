/* Takes a line apart as the regular expressions of parsing/line_format.py do: pid, clock, head, rest. */
#ifndef STRACED_LINES_H
#define STRACED_LINES_H

#include "base.h"

struct form { /* of cleaned lines: the pid is plain */
    int comm, clock, relative_too, brackets, durations, paths;
};

struct line {
    const char *start, *end; /* without its newline */
    const char *clock, *name, *rest; /* rest: behind the bracket, or behind the name of a resumed call */
    uint32_t clock_length, name_length;
    uint32_t tid;
    int resumed; /* `<... NAME resumed>`; else `NAME(` */
};

static inline const char *spaces(const char *p, const char *end)
{
    while (p < end && *p == ' ') p++;
    return p;
}

/* What stands before the call; NULL: something else. */
static inline __attribute__((always_inline)) const char *behind_prefix(const struct form *form, struct line *line)
{
    const char *p = line->start, *end = line->end, *from = p;
    uint32_t tid = 0;
    while (p < end && is_digit(*p) && p - from < 7) tid = tid * 10 + (uint32_t)(*p++ - '0');
    if (p == from) return NULL;
    line->tid = tid;
    if (form->comm && p < end && *p == '<') {
        p = memchr(p, '>', (size_t)(end - p));
        if (!p) return NULL;
        p++;
    }
    if (p >= end || *p != ' ') return NULL;
    p = spaces(p, end);
    line->clock = p;
    line->clock_length = 0;
    if (form->clock) {
        while (p < end && is_of_clock(*p)) p++;
        if (p == line->clock || p >= end || *p != ' ') return NULL;
        line->clock_length = (uint32_t)(p - line->clock);
        p++;
    }
    if (form->relative_too) { /* `(+     0.000123) ` */
        if (!STARTS(p, end, "(+")) return NULL;
        p = spaces(p + 2, end);
        const char *word = p;
        while (p < end && is_of_clock(*p) && p - word < 30) p++;
        if (p == word || !STARTS(p, end, ") ")) return NULL;
        p += 2;
    }
    for (int each = 0; each < form->brackets; each++) {
        if (p >= end || *p++ != '[') return NULL;
        while (p < end && *p != ']' && *p != '"' && *p != '(' && *p != '{') p++;
        if (!STARTS(p, end, "] ")) return NULL;
        p += 2;
    }
    return p;
}

/* Whether the line is that of a call, whole or half. */
static inline int slice(const struct form *form, struct line *line)
{
    const char *p = behind_prefix(form, line), *end = line->end;
    if (!p) return 0;
    line->resumed = STARTS(p, end, "<... ");
    if (line->resumed) p += 5;
    else if (p >= end || !is_letter(*p)) return 0;
    line->name = p;
    while (p < end && is_word(*p)) p++;
    line->name_length = (uint32_t)(p - line->name);
    if (line->resumed) {
        if (!line->name_length || !STARTS(p, end, " resumed>")) return 0;
        line->rest = p;
        return 1;
    }
    if (p >= end || *p != '(') return 0;
    line->rest = p + 1;
    return 1;
}

/* `0.000123` -> ns, as duration_of (at most `whole_most` digits before the point); -1: it is none. */
static inline int64_t seconds_ns(const char *p, const char *end, int whole_most, int fraction_most)
{
    int64_t whole = 0, fraction = 0;
    const char *from = p;
    while (p < end && is_digit(*p) && p - from <= whole_most) whole = whole * 10 + (*p++ - '0');
    if (p == from || p - from > whole_most || whole > 9000000000) return -1;
    if (p < end) {
        if (*p++ != '.') return -1;
        int digits = 0;
        for (; p < end; p++, digits++) {
            if (!is_digit(*p) || digits >= fraction_most) return -1;
            if (digits < 9) fraction = fraction * 10 + (*p - '0');
        }
        for (; digits < 9; digits++) fraction *= 10;
    }
    return whole * 1000000000 + fraction;
}

/* `<0.000123>` at the end of a line, the most frequent form: ns; -1: another form. */
static inline int64_t plain_duration(const char *text, const char *end)
{
    if (end - text < 10 || end[-1] != '>' || end[-10] != '<' || end[-8] != '.' || !is_digit(end[-9])) return -1;
    int64_t value = end[-9] - '0';
    for (const char *p = end - 7; p < end - 1; p++) {
        if (!is_digit(*p)) return -1;
        value = value * 10 + (*p - '0');
    }
    return value * 1000;
}

/* The waiting behind a duration of records, `+0.000001200`, without its sign; -1: it is none. */
static inline int64_t waiting_of(const char *p, const char *end)
{
    return end - p >= 11 && end[-10] == '.' ? seconds_ns(p, end, 8, 9) : -1;
}

#endif

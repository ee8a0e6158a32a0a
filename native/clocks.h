/* The clocks of a block, looked at every few kilobytes, as analysis/clocks.py does. */
#ifndef STRACED_CLOCKS_H
#define STRACED_CLOCKS_H

#include "lines.h"

#define STEP_BYTES 4096
#define CLOSE_NS (3600 * (int64_t)1000000000)
#define HALF_DAY_NS (43200 * (int64_t)1000000000)

static inline int two_digits(const char *p) { return is_digit(p[0]) && is_digit(p[1]); }

/* A clock as printed -> ns, as clock_ns of parsing/selection.py; -1: it is none. */
static int64_t clock_ns(const char *p, size_t length)
{
    const char *end = p + length;
    if (length >= 8 && p[2] == ':' && p[5] == ':') {
        if (!two_digits(p) || !two_digits(p + 3) || !two_digits(p + 6) || end[-1] == '.') return -1;
        int64_t minutes = ((p[0] - '0') * 10 + p[1] - '0') * 60 + (p[3] - '0') * 10 + p[4] - '0';
        int64_t rest = seconds_ns(p + 6, end, 2, 9);
        return rest < 0 ? -1 : minutes * 60 * 1000000000 + rest;
    }
    if (!length || end[-1] == '.' || length > 20) return -1;
    return seconds_ns(p, end, 10, 9); /* eleven digits of seconds and more are left to Python */
}

/* Where the clocks of a block are in order and close to each other: 1, and the first and the last of them. Else 0. */
static int clocks_in_order(const struct form *form, const char *block, size_t size, int64_t *first, int64_t *last)
{
    int64_t before = -1;
    const char *start = block, *end = block + size;
    for (size_t step = 0;; step += STEP_BYTES) {
        size_t limit = step < size - 1 ? step : size - 1;
        const char *place = limit ? find_last(block, block + limit, '\n') : block;
        if (!place) return 0;
        if (place != start || place == block) {
            struct line line = {.start = place + 1};
            line.end = memchr(line.start, '\n', (size_t)(end - line.start));
            if (!line.end || !behind_prefix(form, &line)) return 0;
            int64_t ns = clock_ns(line.clock, line.clock_length);
            if (ns < 0 || (before >= 0 && (ns < before || ns - before >= CLOSE_NS))) return 0;
            if (before < 0) *first = ns;
            *last = before = ns;
            start = place;
        }
        if (limit == size - 1) break;
    }
    return *last - *first < HALF_DAY_NS;
}

#endif

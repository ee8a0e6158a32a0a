/* Counts, errors, times and time steps of blocks: what analysis/tally.py does, for every line of a call. */
#ifndef STRACED_TALLY_H
#define STRACED_TALLY_H

#include "errors.h"
#include "keymap.h"

#define BUCKETS 136
#define LONGEST_NAME 200
#define LONGEST_CLOCK 100
/* What the Python reader does of a line that is handed back; without a mark, what it does of others than calls. */
#define ALL_OF_IT ((uint64_t)1 << 63)
#define ITS_TICK ((uint64_t)1 << 62)

struct tally_row {
    uint64_t calls, unfinished, resumed, no_return, timed;
    uint64_t min_ns, max_ns, waited; /* waited: of those that were timed, how many tell their waiting */
    wide sum_ns, waiting_ns;
};
struct burst {
    uint64_t count, line;
};
struct span {
    uint64_t offset, length, number;
};
struct name_sums {
    struct str *name;
    uint64_t *buckets; /* NULL: none of its calls was timed */
};
struct pending { /* a `= ? E...` of this block; these come after the others of it */
    struct key key;
    uint64_t number;
};

struct tally {
    struct form form;
    struct strings strings;
    struct name_sums *names;
    size_t names_count, names_room;
    struct keymap row_keys, errno_keys, burst_keys, tick_keys;
    struct tally_row *rows; /* (tid, name) */
    uint64_t *errno_counts; /* (row, errno) */
    struct burst *bursts;   /* (tenth of a second, name, errno) */
    uint64_t *ticks;        /* (tid, clock cut to a hundredth) */
    struct span *others, *births; /* of the last block */
    size_t others_count, others_room, births_count, births_room;
    struct pending *pending;
    size_t pending_count, pending_room;
    uint64_t most_bursts;
    int with_ticks, restarts;
    const char *tick_text;
    size_t tick_place;
    uint32_t tick_length, tick_tid;
    int tick_whole; /* it has both digits behind the point, so that what follows does not matter */
};

static void add_span(struct span **spans, size_t *count, size_t *room, struct span span)
{
    if (*count == *room) {
        size_t more = *room ? *room * 2 : 64;
        *spans = resized(*spans, more, sizeof **spans);
        *room = more;
    }
    (*spans)[(*count)++] = span;
}

static inline unsigned bucket_of(uint64_t ns)
{
    if (ns < 64) return 0;
    unsigned octave = 63 - (unsigned)__builtin_clzll(ns);
    unsigned index = ((octave - 6) << 2) + (unsigned)((ns >> (octave - 2)) & 3);
    return index < BUCKETS ? index : BUCKETS - 1;
}

static uint64_t name_place(struct tally *tally, const char *text, size_t length)
{
    if (tally->strings.room) {
        size_t slot;
        struct str *known = str_seek(&tally->strings, text, length, hash_of(text, length, tally->strings.seed), &slot);
        if (known && known->place >= 0) return (uint64_t)known->place;
    }
    struct str *name = str_of(&tally->strings, text, length);
    if (tally->names_count == tally->names_room) {
        size_t room = tally->names_room ? tally->names_room * 2 : 64;
        tally->names = resized(tally->names, room, sizeof *tally->names);
        tally->names_room = room;
    }
    tally->names[tally->names_count] = (struct name_sums){.name = name};
    name->place = (int64_t)tally->names_count;
    return tally->names_count++;
}

static void add_time(struct tally *tally, struct tally_row *row, uint64_t name, uint64_t ns)
{
    if (!row->timed++) row->min_ns = row->max_ns = ns;
    else if (ns < row->min_ns) row->min_ns = ns;
    else if (ns > row->max_ns) row->max_ns = ns;
    row->sum_ns += ns;
    struct name_sums *sums = &tally->names[name];
    if (!sums->buckets) sums->buckets = zeroed(BUCKETS, sizeof *sums->buckets);
    sums->buckets[bucket_of(ns)]++;
}

/* Behind the last `<` that a digit, `unfin` or `detac` follows; NULL: there is none. */
static const char *timed_tail(const char *from, const char *end)
{
    for (const char *p = end; (p = find_last(from, p, '<'));) {
        const char *q = p + 1;
        if (q < end && (is_digit(*q) || STARTS(q, end, "unfin") || STARTS(q, end, "detac"))) return q;
    }
    return NULL;
}

static int is_blank(const char *p, const char *end)
{
    for (; p < end; p++)
        if (*p != ' ' && (*p < '\t' || *p > '\r')) return 0;
    return 1;
}

/* `0.000123456`, or with the waiting behind it; ns -1: neither. */
static struct took took_of_tail(const char *tail, const char *end)
{
    struct took none = {-1, -1}, took = none;
    const char *plus = memchr(tail, '+', (size_t)(end - tail)), *stop = plus ? plus : end;
    took.ns = seconds_ns(tail, stop, 8, 9);
    if (took.ns < 0 || stop[-1] == '.') return none;
    if (plus && (took.waiting = waiting_of(plus + 1, end)) < 0) return none;
    return took;
}

static void count_timed(struct tally *tally, struct tally_row *row, uint64_t name, const char *tail, const char *end)
{
    const char *last = end;
    while (last > tail && last[-1] == '\r') last--;
    struct took took = last > tail && last[-1] == '>' ? took_of_tail(tail, last - 1) : (struct took){-1, -1};
    if (took.ns >= 0) {
        add_time(tally, row, name, (uint64_t)took.ns);
        if (took.waiting >= 0) {
            row->waited++;
            row->waiting_ns += (wide)took.waiting;
        }
    }
    else if (*tail == 'd') row->no_return++;
    else if (*tail == 'u') {
        if (STARTS(tail, end, "unfinished ...>") && is_blank(tail + 15, end)) row->unfinished++;
        else row->no_return++;
    }
}

/* The character that tells how a call without a duration ended; 0: none does. */
static char untimed_tail(const char *from, const char *end)
{
    for (const char *p = end; p-- > from;) {
        if (*p == '=' && end - p > 2 && p[1] == ' ' && (is_digit(p[2]) || p[2] == '-' || p[2] == '?')) return p[2];
        if (*p == '<' && (STARTS(p + 1, end, "unfin") || STARTS(p + 1, end, "detac"))) return p[1];
    }
    return 0;
}

#endif

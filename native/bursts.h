/* The errors of each tenth of a second, and the lines of each task in each hundredth. */
#ifndef STRACED_BURSTS_H
#define STRACED_BURSTS_H

#include "tally.h"

static int by_count(const void *one, const void *other)
{
    uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
    return a < b ? -1 : a > b;
}

static void drop_key(struct tally *tally, const struct key *key)
{
    for (int part = 0; part < 3; part++) str_drop(&tally->strings, (struct str *)(uintptr_t)key->part[part]);
}

/* Keep the larger half: a burst is large, or it is none. */
static void halve_bursts(struct tally *tally)
{
    size_t count = tally->burst_keys.count, kept = 0;
    uint64_t *sorted = resized(NULL, count, sizeof *sorted);
    for (size_t each = 0; each < count; each++) sorted[each] = tally->bursts[each].count;
    qsort(sorted, count, sizeof *sorted, by_count);
    uint64_t limit = sorted[count / 2];
    free(sorted);
    struct keymap old = tally->burst_keys;
    for (size_t each = 0; each < count; each++) {
        if (tally->bursts[each].count <= limit) {
            drop_key(tally, &old.keys[each]);
            continue;
        }
        old.keys[kept] = old.keys[each];
        tally->bursts[kept++] = tally->bursts[each];
    }
    tally->burst_keys.count = kept;
    memset(old.slots, 0, old.width * sizeof *old.slots);
    for (size_t each = 0; each < kept; each++)
        old.slots[keymap_slot(&tally->burst_keys, &old.keys[each])] = (uint32_t)each + 1;
}

/* One more; a new burst keeps the references to the strings of its key. */
static void add_burst(struct tally *tally, const struct key *key, uint64_t number)
{
    int64_t place = keymap_find(&tally->burst_keys, key);
    if (place >= 0) {
        tally->bursts[place].count++;
        drop_key(tally, key);
        return;
    }
    if (tally->burst_keys.count > tally->most_bursts) halve_bursts(tally);
    size_t new = keymap_place(&tally->burst_keys, key, &tally->bursts, sizeof *tally->bursts);
    tally->bursts[new] = (struct burst){1, number};
}

static void add_error(struct tally *tally, const struct line *line, uint64_t name, uint64_t row, uint64_t number)
{
    const char *code;
    size_t length;
    int kind = errno_of_line(line->start, line->end, &code, &length);
    if (!kind) return;
    uint64_t errno_place = name_place(tally, code, length);
    struct key key = {{row, errno_place}};
    size_t place = keymap_place(&tally->errno_keys, &key, &tally->errno_counts, sizeof *tally->errno_counts);
    tally->errno_counts[place]++;
    if (starts(code, code + length, "ERESTART", 8)) return;
    const char *point = line->clock_length ? memchr(line->clock, '.', line->clock_length) : NULL;
    size_t cut = point ? (size_t)(point - line->clock) + 2 : line->clock_length;
    if (cut > line->clock_length) cut = line->clock_length;
    struct str *tenth = str_of(&tally->strings, line->clock, cut);
    struct str *words[2] = {str_hold(tally->names[name].name), str_hold(tally->names[errno_place].name)};
    struct key when = {{(uint64_t)(uintptr_t)tenth, (uint64_t)(uintptr_t)words[0], (uint64_t)(uintptr_t)words[1]}};
    if (kind == 1) {
        add_burst(tally, &when, number);
        return;
    }
    if (tally->pending_count == tally->pending_room) {
        size_t room = tally->pending_room ? tally->pending_room * 2 : 16;
        tally->pending = resized(tally->pending, room, sizeof *tally->pending);
        tally->pending_room = room;
    }
    tally->pending[tally->pending_count++] = (struct pending){when, number};
}

/* Count a line for the time line: pid, spaces, and a clock of which at most two digits behind the point are taken.
   Returns 0 for a clock that is too long to be kept here. */
static inline int add_tick(struct tally *tally, const char *start, const char *end)
{
    const char *p = start;
    uint32_t tid = 0;
    while (p < end && is_digit(*p) && p - start < 7) tid = tid * 10 + (uint32_t)(*p++ - '0');
    if (p == start || p >= end || *p != ' ') return 1;
    p = spaces(p, end);
    const char *clock = p;
    while (p < end && (is_digit(*p) || *p == ':')) p++;
    if (p == clock) return 1;
    if (end - p > 1 && *p == '.' && is_digit(p[1])) p += end - p > 2 && is_digit(p[2]) ? 3 : 2;
    if (p - clock > LONGEST_CLOCK) return 0;
    uint32_t length = (uint32_t)(p - clock);
    if (tally->tick_text && tid == tally->tick_tid && length == tally->tick_length
        && !memcmp(clock, tally->tick_text, length)) {
        tally->ticks[tally->tick_place]++;
        return 1;
    }
    struct str *text = str_of(&tally->strings, clock, length);
    struct key key = {{tid, (uint64_t)(uintptr_t)text}};
    size_t before = tally->tick_keys.count;
    tally->tick_place = keymap_place(&tally->tick_keys, &key, &tally->ticks, sizeof *tally->ticks);
    if (tally->tick_keys.count == before) str_drop(&tally->strings, text); /* the key holds it already */
    tally->ticks[tally->tick_place]++;
    tally->tick_text = text->text; /* the key holds it until the ticks are taken */
    tally->tick_tid = tid;
    tally->tick_length = length;
    tally->tick_whole = length > 3 && clock[length - 3] == '.';
    return 1;
}

/* The same for a line that was sliced: most are in the same hundredth of a second as the one before. */
static inline int add_tick_of(struct tally *tally, const struct line *line)
{
    if (tally->tick_text && tally->tick_whole && line->tid == tally->tick_tid && line->clock_length >= tally->tick_length
        && !memcmp(line->clock, tally->tick_text, tally->tick_length)) {
        tally->ticks[tally->tick_place]++;
        return 1;
    }
    return add_tick(tally, line->start, line->end);
}

#endif

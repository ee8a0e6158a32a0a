/* Maps from keys of four numbers (or addresses of strings) to places 0, 1, 2, ... in the order in which they were met. */
#ifndef STRACED_KEYMAP_H
#define STRACED_KEYMAP_H

#include "base.h"

struct key {
    uint64_t part[4];
};

struct keymap {
    struct key *keys;
    uint32_t *slots; /* place + 1; 0: free */
    size_t count, room, width; /* width of slots is a power of two */
};

static inline uint64_t key_hash(const struct key *key)
{
    uint64_t hash = mixed(key->part[0] ^ 0x8BB84B93962EACC9u, key->part[1] ^ 0x2D358DCCAA6C78A5u);
    return mixed(hash ^ key->part[2], key->part[3] ^ 0x9E3779B97F4A7C15u);
}

static inline int key_same(const struct key *one, const struct key *other)
{
    return !memcmp(one, other, sizeof *one);
}

static size_t keymap_slot(const struct keymap *map, const struct key *key)
{
    size_t slot = key_hash(key) & (map->width - 1);
    while (map->slots[slot] && !key_same(&map->keys[map->slots[slot] - 1], key)) slot = (slot + 1) & (map->width - 1);
    return slot;
}

static void keymap_widen(struct keymap *map)
{
    size_t width = map->width ? map->width * 2 : 16;
    uint32_t *slots = zeroed(width, sizeof *slots);
    free(map->slots);
    map->slots = slots;
    map->width = width;
    for (size_t each = 0; each < map->count; each++)
        map->slots[keymap_slot(map, &map->keys[each])] = (uint32_t)each + 1;
}

/* The place of a key; -1: it is not there. */
static int64_t keymap_find(const struct keymap *map, const struct key *key)
{
    return map->width ? (int64_t)map->slots[keymap_slot(map, key)] - 1 : -1;
}

/* The place of a key; made (at the end) when it is new, with *values grown by a zeroed value for it. */
static size_t keymap_place(struct keymap *map, const struct key *key, void *values, size_t size)
{
    if (map->count * 2 >= map->width) keymap_widen(map);
    size_t slot = keymap_slot(map, key);
    if (map->slots[slot]) return map->slots[slot] - 1;
    char *array = NULL;
    if (values) memcpy(&array, values, sizeof array); /* the address of an array of any type */
    if (map->count == map->room) {
        size_t room = map->room ? map->room * 2 : 8;
        map->keys = resized(map->keys, room, sizeof *map->keys);
        if (values) {
            array = resized(array, room, size);
            memcpy(values, &array, sizeof array);
        }
        map->room = room;
    }
    if (values) memset(array + map->count * size, 0, size);
    map->keys[map->count] = *key;
    map->slots[slot] = (uint32_t)++map->count;
    return map->count - 1;
}

static void keymap_free(struct keymap *map)
{
    free(map->keys);
    free(map->slots);
    *map = (struct keymap){0};
}

#endif

/* The text of a call in pieces: arguments, result, errno, first descriptor, path. What is in doubt is left to Python. */
#ifndef STRACED_WORDS_H
#define STRACED_WORDS_H

#include "lines.h"

enum effect {
    NOTHING, USE, READ, WRITE, OPEN, DUP, SET_CLOEXEC, CLOSE, PIPE, NEW_FD, PEER, ACCEPT, SYNC, LOCK, FUTEX, IDLE
};

struct call { /* as analysis/decoded_call.py has it */
    enum effect effect;
    int has_fd, has_value, cloexec, relative;
    int64_t fd, value;
    const char *path, *code, *label; /* NULL: there is none; code `?`: it never returned */
    size_t path_length, code_length, label_length;
    char made[128]; /* room for a label */
};

struct words {
    const char *args, *args_end, *result, *end;
};

static inline int is_number(const char *p, const char *end)
{
    if (p == end || end - p > 12) return 0;
    for (; p < end; p++)
        if (!is_digit(*p)) return 0;
    return 1;
}

static inline int64_t number(const char *p, const char *end)
{
    int64_t value = 0;
    for (; p < end; p++) value = value * 10 + (*p - '0');
    return value;
}

static int count_of(const char *p, const char *end, char c)
{
    int count = 0;
    for (; p < end; p++) count += *p == c;
    return count;
}

/* Arguments and result; 0: in doubt. */
static int split_words(const struct form *form, const char *rest, const char *end, struct words *words)
{
    const char *sign = end;
    do {
        sign = find_last(rest, sign, '=');
    } while (sign && (sign == rest || sign + 1 >= end || sign[-1] != ' ' || sign[1] != ' '));
    if (!sign || sign + 2 >= end) return 0;
    *words = (struct words){rest, sign - 1, sign + 2, end};
    int plain = form->durations && end - words->result >= 10 && end[-10] == '<'
                && !memchr(words->result, '>', (size_t)(end - 1 - words->result));
    if (form->paths && !plain) {
        int arrows = 0;
        for (const char *p = words->result; p + 1 < end; p++) arrows += p[0] == '-' && p[1] == '>';
        if (count_of(words->result, end, '>') - arrows != count_of(words->result, end, '<')) return 0;
    }
    return 1;
}

static int take_errno(const struct words *words, struct call *call)
{
    const char *p = words->result;
    if (*p == '?') {
        call->code = p;
        call->code_length = 1;
    } else if (STARTS(p, words->end, "-1 ")) {
        const char *blank = p + 3 < words->end ? memchr(p + 3, ' ', (size_t)(words->end - p - 3)) : NULL;
        if (!blank || blank == p + 3 || p[3] == '?') return 0;
        call->code = p + 3;
        call->code_length = (size_t)(blank - call->code);
    }
    return 1;
}

static inline int is_code(const struct call *call, const char *code, size_t length)
{
    return call->code && call->code_length == length && !memcmp(call->code, code, length);
}

static uint64_t size_result(const struct words *words)
{
    const char *blank = memchr(words->result, ' ', (size_t)(words->end - words->result));
    const char *end = blank ? blank : words->end;
    return is_number(words->result, end) ? (uint64_t)number(words->result, end) : 0;
}

/* The descriptor that was returned, into value. */
static void fd_result(const struct words *words, struct call *call)
{
    const char *p = words->result;
    while (p < words->end && *p != ' ' && *p != '<') p++;
    call->has_value = is_number(words->result, p);
    if (call->has_value) call->value = number(words->result, p);
}

/* `</etc/passwd>` or `</dev/null<char 1:3>>`: behind it, with the path in *path; NULL: in doubt. */
static const char *bracketed(const char *p, const char *end, const char **path, size_t *length)
{
    const char *from = ++p, *inner = NULL;
    for (; p < end && *p != '>'; p++) {
        if (*p == ',' || *p == '\\' || *p == '"') return NULL;
        if (*p == '-' && p + 1 < end && p[1] == '>') p++;
        if (*p == '<') {
            if (inner || p[-1] == ' ') return NULL;
            inner = p;
        }
    }
    if (p >= end || p == from || inner == from) return NULL;
    *path = from;
    *length = (size_t)((inner ? inner : p) - from);
    if (inner && (++p >= end || *p != '>')) return NULL;
    return p + 1;
}

/* The first argument, where it is a descriptor: behind it; NULL: in doubt. */
static const char *first_fd(const struct words *words, struct call *call)
{
    const char *p = words->args, *end = words->args_end;
    while (p < end && is_digit(*p) && p - words->args < 10) p++;
    if (p == words->args || p - words->args > 9) return NULL;
    call->fd = number(words->args, p);
    if (p < end && *p == '<') {
        p = bracketed(p, end, &call->path, &call->path_length);
        if (!p) return NULL;
    } else {
        call->has_fd = 1;
    }
    if (p < end && *p == ',') return p;
    for (const char *q = p; q < end; q++)
        if (*q != ' ' && *q != ')') return NULL;
    return p;
}

/* `3, ""` or `3</etc/passwd>, ""`: what the descriptor stands for. */
static int take_base(const struct words *words, const char *quote, struct call *call)
{
    const char *p = words->args;
    while (p < quote && is_digit(*p) && p - words->args < 10) p++;
    if (p == words->args || p - words->args > 9) return 0;
    call->fd = number(words->args, p);
    call->has_fd = *p != '<';
    if (!call->has_fd) p = bracketed(p, quote, &call->path, &call->path_length);
    return p && quote - p == 2 && p[0] == ',' && p[1] == ' ';
}

/* The path argument, absolute, of the process's folder, or of a descriptor's; 0: in doubt. */
static int take_path(const struct words *words, struct call *call)
{
    const char *quote = memchr(words->args, '"', (size_t)(words->args_end - words->args));
    if (!quote) return 0;
    const char *from = quote + 1, *last = memchr(from, '"', (size_t)(words->args_end - from));
    if (!last || memchr(from, '\\', (size_t)(last - from))) return 0;
    call->path = from;
    call->path_length = (size_t)(last - from);
    if (*from == '/') return 1;
    if (last == from) return take_base(words, quote, call);
    if (quote == words->args || (quote - words->args == 10 && STARTS(words->args, quote, "AT_FDCWD, "))) {
        call->relative = 1;
        return 1;
    }
    const char *p = words->args;
    while (p < quote && is_digit(*p) && p - words->args < 10) p++;
    if (p == words->args || p - words->args > 9 || quote - p != 2 || p[0] != ',' || p[1] != ' ') return 0;
    call->has_fd = 1;
    call->fd = number(words->args, p);
    return 1;
}

#endif

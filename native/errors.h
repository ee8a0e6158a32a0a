/* The errno in which a line ends, as _ERROR of analysis/error_calls.py finds it. */
#ifndef STRACED_ERRORS_H
#define STRACED_ERRORS_H

#include "lines.h"

#define WORDS_MOST 200

static inline int is_words(const char *p, const char *end)
{
    for (; p < end; p++)
        if (*p == '<' || *p == '>' || *p == '"' || *p == '=') return 0;
    return 1;
}

/* `(No such file)`, or two of such, up to the end. */
static int is_explained(const char *p, const char *end)
{
    if (end - p < 2 || *p != '(' || end[-1] != ')') return 0;
    if (end - p > 2 * WORDS_MOST + 8 || !is_words(p, end)) return 0;
    if (end - p - 2 <= WORDS_MOST) return 1;
    for (const char *q = p + 1; q + 4 < end && q - p - 1 <= WORDS_MOST; q++)
        if (q[0] == ')' && q[1] == ' ' && q[2] == '(' && q[3] >= 'A' && q[3] <= 'Z' && end - 1 - (q + 4) <= WORDS_MOST)
            return 1;
    return 0;
}

/* 1: `= -1 E...`, 2: `= ? E...`, 0: neither. */
static int errno_of_line(const char *start, const char *end, const char **code, size_t *length)
{
    const char *p = end;
    if (p > start && p[-1] == '>') {
        const char *digits = --p;
        while (p > start && digits - p < 49 && (is_digit(p[-1]) || p[-1] == '.' || p[-1] == '+')) p--;
        if (p == digits || digits - p > 48 || p - start < 2 || p[-1] != '<' || p[-2] != ' ') return 0;
        p -= 2;
    }
    if (p == start || p[-1] != ')') return 0;
    const char *oldest = p - start > 600 ? p - 600 : start;
    const char *sign = find_last(oldest, p, '=');
    if (!sign) return 0;
    int kind = STARTS(sign, p, "= -1 E") ? 1 : STARTS(sign, p, "= ? E") ? 2 : 0;
    if (!kind) return 0;
    const char *from = sign + (kind == 1 ? 5 : 4), *q = from + 1;
    while (q < p && ((*q >= 'A' && *q <= 'Z') || is_digit(*q)) && q - from < 42) q++;
    if (q - from < 2 || q - from > 41 || q >= p || *q != ' ') return 0;
    if (!is_explained(q + 1, p)) return 0;
    *code = from;
    *length = (size_t)(q - from);
    return kind;
}

#endif

/* Decodes the frequent forms of calls, as analysis/decoders.py does all; 0: in doubt, which is no fault. */
#ifndef STRACED_DECODE_H
#define STRACED_DECODE_H

#include "words.h"

/* As analysis/roles.py numbers them. */
enum role {
    R_READ, R_WRITE, R_FD, R_OPEN, R_PATH, R_PATH_AT, R_DUP, R_CLOSE, R_PIPE, R_SOCKET, R_PEER, R_ACCEPT, R_NEWFD, R_SYNC,
    R_LOCK, R_FORK, R_EXEC, R_FUTEX, R_EXIT, R_CLOSE_RANGE, R_TWO_PATHS, R_TWO_PATHS_AT, R_SEND_FILE, R_MESSAGES, R_CHDIR,
    R_IDENTITY, R_POLL, ROLES
};

static inline int in_args(const struct words *words, const char *what, size_t length)
{
    return find(words->args, words->args_end, what, length) != NULL;
}
#define IN_ARGS(words, literal) in_args(words, literal, sizeof(literal) - 1)
#define IS(name, literal) ((name)->length == sizeof(literal) - 1 && !memcmp((name)->text, literal, sizeof(literal) - 1))

static int decode_open(const struct form *form, const struct words *words, struct call *call)
{
    call->effect = OPEN;
    if (!call->code) fd_result(words, call);
    call->cloexec = IN_ARGS(words, "CLOEXEC");
    if (!form->paths || call->code) return take_path(words, call);
    const char *p = words->result;
    while (p < words->end && is_digit(*p)) p++;
    if (p == words->end || *p == ' ') return take_path(words, call);
    if (*p != '<' || !call->has_value) return 0;
    p = bracketed(p, words->end, &call->path, &call->path_length);
    return p && (p == words->end || (words->end - p > 2 && p[0] == ' ' && p[1] == '<'
                                     && !memchr(p + 2, '<', (size_t)(words->end - p - 2))));
}

/* Whether the second argument may be a command in numbers (-X raw). */
static int is_raw(const struct words *words)
{
    const char *comma = memchr(words->args, ',', (size_t)(words->args_end - words->args));
    return comma && words->args_end - comma > 2 && comma[1] == ' ' && is_digit(comma[2]);
}

static int decode_dup(const struct str *name, const struct words *words, struct call *call)
{
    if (STARTS(name->text, name->text + name->length, "fcntl")) {
        if (IN_ARGS(words, "SETLKW") || is_raw(words)) return 0;
        if (!IN_ARGS(words, "F_DUPFD")) {
            if (call->code || !IN_ARGS(words, "F_SETFD")) return 1;
            if (!first_fd(words, call) || !call->has_fd) return 0;
            call->effect = SET_CLOEXEC;
            call->value = call->fd;
            call->has_value = 1;
            call->cloexec = IN_ARGS(words, "FD_CLOEXEC");
            return 1;
        }
    }
    if (call->code) return 1;
    fd_result(words, call);
    if (!call->has_value) return 1;
    call->effect = DUP;
    call->cloexec = IN_ARGS(words, "CLOEXEC");
    return first_fd(words, call) != NULL;
}

static int decode_pipe(const struct str *name, const struct words *words, struct call *call)
{
    const char *p = words->args, *end = words->args_end, *from = ++p;
    if (call->code || !STARTS(name->text, name->text + name->length, "pipe") || from > end || p[-1] != '[') return 0;
    while (p < end && is_digit(*p)) p++;
    if (p == from || p - from > 9 || !STARTS(p, end, ", ")) return 0;
    call->fd = number(from, p);
    from = p += 2;
    while (p < end && is_digit(*p)) p++;
    if (p == from || p - from > 9 || p >= end || *p != ']') return 0;
    call->value = number(from, p);
    call->cloexec = IN_ARGS(words, "CLOEXEC");
    call->effect = PIPE;
    return 1;
}

static int decode_poll(const struct str *name, const struct words *words, struct call *call)
{
    if (call->code) return 1;
    int epoll = name->text[0] == 'e';
    const char *p = epoll ? words->args : words->result, *end = epoll ? words->args_end : words->end;
    if (FIND(p, end, "POLLHUP") || FIND(p, end, "POLLERR") || FIND(p, end, "POLLNVAL")) return 0;
    if (words->result[0] != '0') return 1;
    if (!IS(name, "epoll_wait") && !IS(name, "poll")) return 0;
    p = words->args_end;
    while (p > words->args && (p[-1] == ' ' || p[-1] == ')')) p--;
    if (!ENDS(words->args, p, ", 0")) return p - words->args > 2; /* one word alone is no call of these */
    call->effect = IDLE;
    call->label = "zero";
    call->label_length = 4;
    call->value = -1;
    return 1;
}

static int decode_futex(const struct words *words, struct call *call)
{
    if (is_raw(words)) return 0;
    const char *end = words->args_end - words->args > 60 ? words->args + 60 : words->args_end;
    if (!FIND(words->args, end, "WAIT") || is_code(call, "EAGAIN", 6)) return 1;
    const char *comma = memchr(words->args, ',', (size_t)(words->args_end - words->args));
    if (!comma) return 0;
    call->effect = FUTEX;
    call->label = words->args;
    call->label_length = (size_t)(comma - words->args);
    return 1;
}

static int decode_fd(enum effect effect, const struct words *words, struct call *call)
{
    call->effect = effect;
    return first_fd(words, call) != NULL;
}

#endif

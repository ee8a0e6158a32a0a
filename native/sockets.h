/* Decodes the calls that make descriptors without a path: sockets, their peers, and what else is no file. */
#ifndef STRACED_SOCKETS_H
#define STRACED_SOCKETS_H

#include "decode.h"

static void add_label(struct call *call, const char *text, size_t length)
{
    if (call->label_length + length > sizeof call->made) return;
    memcpy(call->made + call->label_length, text, length);
    call->label_length += length;
    call->label = call->made;
}

static void add_lower(struct call *call, const char *from, const char *end)
{
    add_label(call, " ", 1);
    for (const char *p = from; p < end; p++) {
        char low = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
        add_label(call, &low, 1);
    }
}

static int decode_socket(const struct words *words, struct call *call)
{
    static const char *const kinds[] = {"STREAM", "DGRAM", "RAW", "SEQPACKET", "PACKET"};
    if (call->code) return 1;
    fd_result(words, call);
    if (!call->has_value) return 1;
    const char *p = words->args + 3, *end = words->args_end;
    if (!STARTS(words->args, end, "AF_")) return 0;
    while (p < end && is_word(*p)) p++;
    if (p == words->args + 3 || p - words->args > 60) return 0;
    add_label(call, "socket", 6);
    add_lower(call, words->args + 3, p);
    const char *kind = FIND(words->args, end, "SOCK_");
    if (!kind) return 0;
    size_t each = 0, count = sizeof kinds / sizeof *kinds;
    while (each < count && !starts(kind + 5, end, kinds[each], strlen(kinds[each]))) each++;
    if (each == count) return 0;
    add_lower(call, kind + 5, kind + 5 + strlen(kinds[each]));
    call->cloexec = IN_ARGS(words, "CLOEXEC");
    call->effect = NEW_FD;
    return 1;
}

static int decode_new_fd(const struct str *name, const struct words *words, struct call *call)
{
    if (call->code) return 1;
    fd_result(words, call);
    if (!call->has_value) return 1;
    call->effect = NEW_FD;
    call->cloexec = IN_ARGS(words, "CLOEXEC");
    call->label = name->text;
    call->label_length = name->length;
    while (call->label_length && call->label[call->label_length - 1] == '1') call->label_length--;
    return 1;
}

/* `{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("10.0.0.1")}`: 1; no address at all: 0; in doubt: -1. */
static int ipv4(const struct words *words, const char **port, size_t *port_length, const char **host, size_t *host_length)
{
    static const char lead[] = "{sa_family=AF_INET, sin_port=htons(", middle[] = "), sin_addr=inet_addr(\"";
    const char *end = words->args_end, *p = FIND(words->args, end, "_port=htons(");
    if (IN_ARGS(words, "sun_path=")) return -1;
    if (!p) return 0;
    p = FIND(words->args, end, lead);
    if (!p || FIND(words->args, p, "_port=htons(")) return -1;
    *port = p += sizeof lead - 1;
    while (p < end && is_digit(*p)) p++;
    *port_length = (size_t)(p - *port);
    if (!*port_length || *port_length > 5 || !STARTS(p, end, middle) || FIND(words->args, p, "inet_")) return -1;
    *host = p += sizeof middle - 1;
    while (p < end && (is_digit(*p) || *p == '.')) p++;
    *host_length = (size_t)(p - *host);
    return *host_length && *host_length < 20 && p < end && *p == '"' ? 1 : -1;
}

static int decode_peer(const struct str *name, const struct words *words, struct call *call)
{
    const char *port, *host;
    size_t port_length, host_length;
    int found = ipv4(words, &port, &port_length, &host, &host_length);
    if (found < 0 || !first_fd(words, call)) return 0;
    if (!found) {
        call->effect = USE;
        return 1;
    }
    call->effect = PEER;
    call->value = call->fd;
    call->has_value = !call->code || is_code(call, "EINPROGRESS", 11);
    add_label(call, IS(name, "connect") ? "to " : "at ", 3);
    add_label(call, host, host_length);
    add_label(call, ":", 1);
    add_label(call, port, port_length);
    return 1;
}

static int decode_accept(const struct words *words, struct call *call)
{
    const char *port, *host;
    size_t port_length, host_length;
    int found = ipv4(words, &port, &port_length, &host, &host_length);
    if (found < 0 || !first_fd(words, call)) return 0;
    if (found) {
        add_label(call, "from ", 5);
        add_label(call, host, host_length);
    } else {
        add_label(call, "accepted socket", 15);
    }
    if (!call->code) fd_result(words, call);
    call->cloexec = IN_ARGS(words, "CLOEXEC");
    call->effect = ACCEPT;
    return 1;
}

/* What a call is; 0: in doubt. */
static int decode(const struct form *form, int role, const struct str *name, const struct words *words, struct call *call)
{
    if (!take_errno(words, call)) return 0;
    switch (role) {
    case R_READ:
    case R_WRITE:
        call->value = call->code ? 0 : (int64_t)size_result(words);
        return decode_fd(role == R_READ ? READ : WRITE, words, call);
    case R_FD: return decode_fd(USE, words, call);
    case R_CLOSE:
        if (!decode_fd(CLOSE, words, call)) return 0;
        call->has_value = !call->code;
        call->value = call->fd;
        return memchr(words->args, ',', (size_t)(words->args_end - words->args)) == NULL;
    case R_SYNC: return decode_fd(SYNC, words, call);
    case R_LOCK: return IN_ARGS(words, "LOCK_UN") ? 1 : !is_raw(words) && decode_fd(LOCK, words, call);
    case R_OPEN: return decode_open(form, words, call);
    case R_PATH:
        if (IS(name, "mount")) return 0;
        /* fall through */
    case R_PATH_AT:
        call->effect = USE;
        return take_path(words, call);
    case R_TWO_PATHS:
    case R_TWO_PATHS_AT:
        if (IS(name, "symlink") || IS(name, "symlinkat")) return 0;
        call->effect = USE;
        return take_path(words, call);
    case R_DUP: return decode_dup(name, words, call);
    case R_PIPE: return decode_pipe(name, words, call);
    case R_SOCKET: return decode_socket(words, call);
    case R_NEWFD: return decode_new_fd(name, words, call);
    case R_PEER: return decode_peer(name, words, call);
    case R_ACCEPT: return decode_accept(words, call);
    case R_FUTEX: return decode_futex(words, call);
    case R_POLL: return decode_poll(name, words, call);
    default: return 0;
    }
}

#endif

"""Decodes the text of each kind of call: (name, arguments, result, errno, whether descriptors have paths)."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from straced.traces.analysis import effects, roles
from straced.traces.analysis.decoded_call import (
    NOTHING,
    DecodedCall,
    errno_of,
    fd_result,
    first_argument,
    is_number,
    path_of,
    result_path,
    size_result,
    target_of,
)
from straced.traces.analysis.fd_table import address, socket_name, split_fd
from straced.traces.analysis.idle_calls import kind_of
from straced.traces.analysis.raw_commands import in_words
from straced.traces.parsing.line import find_result
from straced.traces.parsing.line_format import Form

_FDS = re.compile(rb"\[(\d{1,10})(?:<[^>]*>)?, (\d{1,10})(?:<[^>]*>)?\]")
_STRING_FIRST = re.compile(rb'(?:"(?:[^"\\]|\\.)*"(?:\.\.\.)?|NULL|0x[0-9a-f]+), ?')
_MESSAGE_LENGTH = re.compile(rb"\bmsg_len=(\d{1,10})")
_STATUS = re.compile(rb"-?\d{1,10}|0x[0-9a-f]{1,8}")
_TGKILL = re.compile(rb"(\d{1,7})(?:<[^>]*>)?, (\d{1,7})")
_SECOND_PATH = frozenset({"mount", "symlink", "symlinkat"})
"""Calls whose first argument is no file that they touch."""
_CLOEXEC = b"CLOEXEC"
Errno = bytes | None
Decoder = Callable[[str, bytes, bytes, Errno, bool], DecodedCall]


def _transfer(name: str, args: bytes, result: bytes, errno: Errno, paths: bool, *, out: bool) -> DecodedCall:
    fd, path = target_of(args)
    effect = effects.write if out else effects.read
    return DecodedCall(effect, fd, path, errno, 0 if errno else size_result(result))


def _fd(name: str, args: bytes, result: bytes, errno: Errno, paths: bool) -> DecodedCall:
    return DecodedCall(effects.use, *target_of(args), errno)


def _path(name: str, args: bytes, result: bytes, errno: Errno, paths: bool) -> DecodedCall:
    fd, path, relative = path_of(behind_first(name, args), paths)
    return DecodedCall(effects.use, fd, path, errno, relative=relative)


def behind_first(name: str, args: bytes) -> bytes:
    """Return the arguments of a call without a first one that names no file: the source of a mount, a link's text."""
    match = _STRING_FIRST.match(args) if name in _SECOND_PATH else None
    return args[match.end() :] if match else args


def _chdir(name: str, args: bytes, result: bytes, errno: Errno, paths: bool) -> DecodedCall:
    fd, path, relative = (*target_of(args), False) if name == "fchdir" else path_of(args, paths)
    effect = effects.use if errno is not None else effects.chdir
    return DecodedCall(effect, fd, path, errno, relative=relative)


def _open(name: str, args: bytes, result: bytes, errno: Errno, paths: bool) -> DecodedCall:
    known = result_path(result) if paths and errno is None else None
    fd, path, relative = (None, known, False) if known else path_of(args, paths)
    new = fd_result(result) if errno is None else None
    return DecodedCall(effects.open_, fd, path, errno, new, _CLOEXEC in args, relative=relative)


def _dup(name: str, args: bytes, result: bytes, errno: Errno, paths: bool) -> DecodedCall:
    if name.startswith("fcntl"):
        args = in_words(name, args)
        if b"SETLKW" in args:
            return DecodedCall(effects.lock, *target_of(args), errno)
        if b"F_DUPFD" not in args:
            if errno is not None or b"F_SETFD" not in args:
                return NOTHING
            fd = split_fd(args.split(b",", 1)[0])[0]
            return NOTHING if fd is None else DecodedCall(effects.set_cloexec, value=fd, cloexec=b"FD_CLOEXEC" in args)
    new = fd_result(result) if errno is None else None
    return NOTHING if new is None else DecodedCall(effects.dup, *target_of(args), None, new, _CLOEXEC in args)


def _close(name: str, args: bytes, result: bytes, errno: Errno, paths: bool) -> DecodedCall:
    return DecodedCall(
        effects.close, *target_of(args), errno, split_fd(args.rstrip(b" )"))[0] if errno is None else None
    )


def _close_range(name: str, args: bytes, result: bytes, errno: Errno, paths: bool) -> DecodedCall:
    words = args.split(b",")
    if errno is not None or len(words) < 3 or not is_number(words[0]) or _CLOEXEC in args:
        return NOTHING
    last = words[1].strip()
    return DecodedCall(effects.close_range, fd=int(words[0]), value=int(last) if is_number(last) else 2**31)


def _pipe(name: str, args: bytes, result: bytes, errno: Errno, paths: bool) -> DecodedCall:
    pair = _FDS.search(args)
    if errno is not None or pair is None:
        return NOTHING
    label = b"pipe" if name.startswith("pipe") else b"socketpair"
    return DecodedCall(effects.pipe, int(pair[1]), value=int(pair[2]), cloexec=_CLOEXEC in args, label=label)


def _new_fd(name: str, args: bytes, result: bytes, errno: Errno, paths: bool) -> DecodedCall:
    new = fd_result(result) if errno is None else None
    label = socket_name(args) if name == "socket" else name.rstrip("1").encode()
    return NOTHING if new is None else DecodedCall(effects.new_fd, value=new, cloexec=_CLOEXEC in args, label=label)


def _peer(name: str, args: bytes, result: bytes, errno: Errno, paths: bool) -> DecodedCall:
    peer = address(args)
    if peer is None:
        return DecodedCall(effects.use, *target_of(args), errno)
    label = (b"to " if name == "connect" else b"at ") + peer
    named = errno is None or errno == b"EINPROGRESS"
    return DecodedCall(effects.peer, None, label, errno, split_fd(args.split(b",", 1)[0])[0] if named else None)


def _accept(name: str, args: bytes, result: bytes, errno: Errno, paths: bool) -> DecodedCall:
    peer = address(args)
    host = peer.rsplit(b":", 1)[0] if peer and not peer.startswith(b"unix") else peer
    label = b"from " + host if host else b"accepted socket"
    new = fd_result(result) if errno is None else None
    return DecodedCall(effects.accept, *target_of(args), errno, new, _CLOEXEC in args, label)


def _sync(name: str, args: bytes, result: bytes, errno: Errno, paths: bool) -> DecodedCall:
    return DecodedCall(effects.sync, *(target_of(args) if args[:1].isdigit() else (None, name.encode())), errno)


def _lock(name: str, args: bytes, result: bytes, errno: Errno, paths: bool) -> DecodedCall:
    return NOTHING if b"LOCK_UN" in in_words(name, args) else DecodedCall(effects.lock, *target_of(args), errno)


def _futex(name: str, args: bytes, result: bytes, errno: Errno, paths: bool) -> DecodedCall:
    if b"WAIT" not in in_words(name, args)[:60]:
        return NOTHING
    effect = effects.futex if errno != b"EAGAIN" else effects.futex_changed
    return DecodedCall(effect, label=args[: args.find(b",")])


def _fork(name: str, args: bytes, result: bytes, errno: Errno, paths: bool) -> DecodedCall:
    return DecodedCall(effects.fork, value=fd_result(result) if errno is None else None, args=args)


def _exec(name: str, args: bytes, result: bytes, errno: Errno, paths: bool) -> DecodedCall:
    fd, path, relative = path_of(args, paths)
    return DecodedCall(effects.exec_, fd, path, errno, args=args, relative=relative)


def _copy(name: str, args: bytes, result: bytes, errno: Errno, paths: bool) -> DecodedCall:
    """sendfile(to, from, ...), tee(from, to, ...), splice and copy_file_range(from, offset, to, ...)."""
    first, rest = target_of(args), _behind_comma(args)
    second = target_of(rest if name in ("sendfile", "sendfile64", "tee") else _behind_comma(rest))
    source, sink = (second, first) if name.startswith("sendfile") else (first, second)
    size = 0 if errno else size_result(result)
    return DecodedCall(effects.copy, *source, errno, size, other_fd=sink[0], other_path=sink[1])


def _behind_comma(args: bytes) -> bytes:
    return args[first_argument(args) + 1 :].lstrip()


def _messages(name: str, args: bytes, result: bytes, errno: Errno, paths: bool) -> DecodedCall:
    """sendmmsg and recvmmsg return how many messages went; their bytes stand in each (``msg_len=``)."""
    fd, path = target_of(args)
    effect = effects.write if name == "sendmmsg" else effects.read
    sizes = [int(size) for size in _MESSAGE_LENGTH.findall(args)]
    return DecodedCall(effect, fd, path, errno, 0 if errno else sum(sizes))


def _poll(name: str, args: bytes, result: bytes, errno: Errno, paths: bool) -> DecodedCall:
    kind = None if errno is not None else kind_of(name, args, result)
    return NOTHING if kind is None else DecodedCall(effects.idle, value=kind[1], label=kind[0].encode())


def _exit(name: str, args: bytes, result: bytes, errno: Errno, paths: bool) -> DecodedCall:
    match = _STATUS.match(args)
    return DecodedCall(effects.exit_, value=int(match[0], 0) & 0xFF if match else None, args=args)


def _identity(name: str, args: bytes, result: bytes, errno: Errno, paths: bool) -> DecodedCall:
    """getpid tells the process of its caller; tgkill that of the task it signals."""
    if errno is not None:
        return NOTHING
    if name == "getpid":
        return DecodedCall(effects.is_of, fd=None, value=fd_result(result))
    match = _TGKILL.match(args)
    return DecodedCall(effects.is_of, fd=int(match[2]), value=int(match[1])) if match else NOTHING


_DECODERS: dict[int, Decoder] = {
    roles.READ: partial(_transfer, out=False),
    roles.WRITE: partial(_transfer, out=True),
    roles.FD: _fd,
    roles.OPEN: _open,
    roles.PATH: _path,
    roles.PATH_AT: _path,
    roles.TWO_PATHS: _path,
    roles.TWO_PATHS_AT: _path,
    roles.DUP: _dup,
    roles.CLOSE: _close,
    roles.CLOSE_RANGE: _close_range,
    roles.PIPE: _pipe,
    roles.SOCKET: _new_fd,
    roles.PEER: _peer,
    roles.ACCEPT: _accept,
    roles.NEWFD: _new_fd,
    roles.SYNC: _sync,
    roles.LOCK: _lock,
    roles.FUTEX: _futex,
    roles.FORK: _fork,
    roles.EXEC: _exec,
    roles.SEND_FILE: _copy,
    roles.MESSAGES: _messages,
    roles.CHDIR: _chdir,
    roles.EXIT: _exit,
    roles.IDENTITY: _identity,
    roles.POLL: _poll,
}


def decode(role: int, name: str, rest: bytes, form: Form) -> DecodedCall:
    """Decode the text of one call.

    Args:
        role: what the call is to the analysis, of :mod:`straced.traces.analysis.roles`.
        name: its name.
        rest: the line behind the opening bracket: arguments, result, duration.
        form: the form of the trace.
    """
    split = rest.rfind(b" = ")
    result = rest[split + 3 :]
    paths = form.paths
    plain = result[-10:-9] == b"<" and b">" not in result[:-1] and form.durations
    if split < 0 or (paths and not plain and result.count(b">") - result.count(b"->") != result.count(b"<")):
        found = find_result(rest, 0, len(rest))
        if found is None or found[1] < 3:
            return NOTHING
        split, result = found[1] - 3, rest[found[1] :]
    return _DECODERS[role](name, rest[:split], result, errno_of(result), paths)

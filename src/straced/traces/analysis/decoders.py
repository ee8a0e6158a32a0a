"""Reads the text of each kind of call: (name, arguments, result, errno, whether descriptors have paths)."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from straced.traces.analysis import effects, roles
from straced.traces.analysis.decoded_call import (
    NOTHING,
    DecodedCall,
    fd_result,
    path_of,
    result_path,
    size_result,
    target_of,
)
from straced.traces.analysis.fd_table import address, socket_name, split_fd

_FDS = re.compile(rb"\[(\d+)(?:<[^>]*>)?, (\d+)(?:<[^>]*>)?\]")
_CLOEXEC = b"CLOEXEC"
Errno = bytes | None
Reader = Callable[[str, bytes, bytes, Errno, bool], DecodedCall]


def _transfer(name: str, args: bytes, result: bytes, errno: Errno, paths: bool, *, out: bool) -> DecodedCall:
    fd, path = target_of(args)
    act = effects.write if out else effects.read
    return DecodedCall(act, fd, path, errno, 0 if errno else size_result(result))


def _fd(name: str, args: bytes, result: bytes, errno: Errno, paths: bool) -> DecodedCall:
    return DecodedCall(effects.use, *target_of(args), errno)


def _path(name: str, args: bytes, result: bytes, errno: Errno, paths: bool) -> DecodedCall:
    return DecodedCall(effects.use, *path_of(args, paths), errno)


def _open(name: str, args: bytes, result: bytes, errno: Errno, paths: bool) -> DecodedCall:
    known = result_path(result) if paths and errno is None else None
    fd, path = (None, known) if known else path_of(args, paths)
    return DecodedCall(effects.open_, fd, path, errno, fd_result(result) if errno is None else None, _CLOEXEC in args)


def _dup(name: str, args: bytes, result: bytes, errno: Errno, paths: bool) -> DecodedCall:
    if name.startswith("fcntl"):
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
    if errno is not None or len(words) < 3 or not words[0].isdigit() or _CLOEXEC in args:
        return NOTHING
    last = words[1].strip()
    return DecodedCall(effects.close_range, fd=int(words[0]), value=int(last) if last.isdigit() else 2**31)


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
    return NOTHING if b"LOCK_UN" in args else DecodedCall(effects.lock, *target_of(args), errno)


def _futex(name: str, args: bytes, result: bytes, errno: Errno, paths: bool) -> DecodedCall:
    return DecodedCall(effects.futex, label=args[: args.find(b",")]) if b"WAIT" in args[:60] else NOTHING


def _fork(name: str, args: bytes, result: bytes, errno: Errno, paths: bool) -> DecodedCall:
    return DecodedCall(effects.fork, value=fd_result(result) if errno is None else None, args=args)


def _exec(name: str, args: bytes, result: bytes, errno: Errno, paths: bool) -> DecodedCall:
    return DecodedCall(effects.exec_, *path_of(args, paths), errno, args=args)


READINGS: dict[int, Reader] = {
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
    roles.SEND_FILE: _fd,
}

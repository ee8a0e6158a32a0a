"""What each kind of call does to the tables: (detail, name, tid, args, result, errno, duration, line, clock)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from straced.fulltrace import roles
from straced.fulltrace.fdtable import address, socket_name, split_fd

if TYPE_CHECKING:
    from straced.fulltrace.detail import Detail

_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"')
_FDS = re.compile(rb"\[(\d+)(?:<[^>]*>)?, (\d+)(?:<[^>]*>)?\]")
_FLAG_CLOEXEC = b"CLOEXEC"
Errno = bytes | None
Ns = int | None


def _target(d: Detail, tid: int, args: bytes) -> bytes:
    """The name of the descriptor that is the first argument."""
    end = args.find(b",")
    first = args[:end] if end >= 0 else args.rstrip(b" )")
    if b"<" in first:
        path = split_fd(first)[1]
        if path is not None:
            return path
    table = d.tables.get(tid)
    try:
        fd = int(first)
    except ValueError:
        return first[:200]
    names = d.table(tid).names if table is None else table.names
    return names.get(fd) or b"fd %d (opened before the trace)" % fd


def _path(d: Detail, tid: int, args: bytes) -> bytes:
    """The path argument, joined to its folder's where that is a known descriptor."""
    quote = args.find(b'"')
    if quote < 0:
        return _target(d, tid, args) if args[:1].isdigit() else b"?"
    end = args.find(b'"', quote + 1)
    path = args[quote + 1 : end if end > 0 else len(args)]
    if b"\\" in path:
        match = _QUOTED.match(args, quote)
        path = match.group(1) if match else path
    if quote > 0 and path[:1] != b"/" and (d.form.paths or args[:8] != b"AT_FDCWD") and args[:1] != b'"':
        base = _target(d, tid, args)
        if base == b"AT_FDCWD":
            return path
        return base if not path else base + b"/" + path
    return path


def _result_path(result: bytes) -> bytes | None:
    """The path that -y puts behind a returned descriptor."""
    less = result.find(b"<")
    word = result[:less] if less > 0 else b""
    return split_fd(result.rsplit(b" <", 1)[0])[1] if word.isdigit() else None


def _fd_result(result: bytes) -> int | None:
    word = result.split(b" ", 1)[0].split(b"<", 1)[0]
    return int(word) if word.isdigit() else None


def _size(result: bytes) -> int:
    end = result.find(b" ")
    word = result[:end] if end >= 0 else result
    return int(word) if word.isdigit() else 0


def _read(d: Detail, name: str, tid: int, args: bytes, result: bytes, errno: Errno, ns: Ns, n: int, c: bytes) -> None:
    d.files.transfer(_target(d, tid, args), name, 0 if errno else _size(result), False, errno, ns, n)


def _write(d: Detail, name: str, tid: int, args: bytes, result: bytes, errno: Errno, ns: Ns, n: int, c: bytes) -> None:
    d.files.transfer(_target(d, tid, args), name, 0 if errno else _size(result), True, errno, ns, n)


def _fd(d: Detail, name: str, tid: int, args: bytes, result: bytes, errno: Errno, ns: Ns, n: int, c: bytes) -> None:
    d.files.use(_target(d, tid, args), name, errno, ns, n)


def _open(d: Detail, name: str, tid: int, args: bytes, result: bytes, errno: Errno, ns: Ns, n: int, c: bytes) -> None:
    path = (_result_path(result) if d.form.paths and errno is None else None) or _path(d, tid, args)
    d.files.opened(path, name, errno, ns, n)
    if errno is None and (fd := _fd_result(result)) is not None:
        d.table(tid).set(fd, path, _FLAG_CLOEXEC in args)


def _plain_path(
    d: Detail, name: str, tid: int, args: bytes, result: bytes, errno: Errno, ns: Ns, n: int, c: bytes
) -> None:
    d.files.use(_path(d, tid, args), name, errno, ns, n)


def _dup(d: Detail, name: str, tid: int, args: bytes, result: bytes, errno: Errno, ns: Ns, n: int, c: bytes) -> None:
    if name.startswith("fcntl"):
        if b"SETLKW" in args:
            _lock(d, name, tid, args, result, errno, ns, n, c)
            return
        if b"F_DUPFD" not in args:
            if errno is None and b"F_SETFD" in args:
                fd = split_fd(args.split(b",", 1)[0])[0]
                if fd is not None:
                    d.table(tid).set(fd, d.table(tid).name(fd), b"FD_CLOEXEC" in args)
            return
    if errno is None and (fd := _fd_result(result)) is not None:
        d.table(tid).set(fd, _target(d, tid, args), _FLAG_CLOEXEC in args)


def _close(d: Detail, name: str, tid: int, args: bytes, result: bytes, errno: Errno, ns: Ns, n: int, c: bytes) -> None:
    d.files.use(_target(d, tid, args), name, errno, ns, n)
    fd = split_fd(args.rstrip(b" )"))[0]
    if fd is not None and errno is None:
        d.table(tid).close(fd)


def _close_range(
    d: Detail, name: str, tid: int, args: bytes, result: bytes, errno: Errno, ns: Ns, n: int, c: bytes
) -> None:
    words = args.split(b",")
    if errno is None and len(words) > 2 and words[0].isdigit() and b"CLOEXEC" not in args:
        last = words[1].strip()
        d.table(tid).close_range(int(words[0]), int(last) if last.isdigit() else 2**31)


def _pipe(d: Detail, name: str, tid: int, args: bytes, result: bytes, errno: Errno, ns: Ns, n: int, c: bytes) -> None:
    pair = _FDS.search(args)
    if errno is None and pair:
        label = (
            b"pipe of %d, line %d" % (tid, n) if name.startswith("pipe") else b"socketpair of %d, line %d" % (tid, n)
        )
        for fd in pair.groups():
            d.table(tid).set(int(fd), label, _FLAG_CLOEXEC in args)


def _socket(d: Detail, name: str, tid: int, args: bytes, result: bytes, errno: Errno, ns: Ns, n: int, c: bytes) -> None:
    if errno is None and (fd := _fd_result(result)) is not None:
        d.table(tid).set(fd, socket_name(args), _FLAG_CLOEXEC in args)


def _peer(d: Detail, name: str, tid: int, args: bytes, result: bytes, errno: Errno, ns: Ns, n: int, c: bytes) -> None:
    peer = address(args)
    fd = split_fd(args.split(b",", 1)[0])[0]
    if fd is not None and peer is not None and (errno is None or errno == b"EINPROGRESS"):
        label = (b"to " if name == "connect" else b"at ") + peer
        d.table(tid).names[fd] = label
    d.files.use((b"to " if name == "connect" else b"at ") + peer if peer else _target(d, tid, args), name, errno, ns, n)


def _accept(d: Detail, name: str, tid: int, args: bytes, result: bytes, errno: Errno, ns: Ns, n: int, c: bytes) -> None:
    d.files.use(_target(d, tid, args), name, errno, ns, n)
    if errno is None and (fd := _fd_result(result)) is not None:
        peer = address(args)
        host = peer.rsplit(b":", 1)[0] if peer and not peer.startswith(b"unix") else peer
        d.table(tid).set(fd, b"from " + host if host else b"accepted socket", _FLAG_CLOEXEC in args)


def _new_fd(d: Detail, name: str, tid: int, args: bytes, result: bytes, errno: Errno, ns: Ns, n: int, c: bytes) -> None:
    if errno is None and (fd := _fd_result(result)) is not None:
        d.table(tid).set(fd, name.rstrip("1").encode(), _FLAG_CLOEXEC in args)


def _sync(d: Detail, name: str, tid: int, args: bytes, result: bytes, errno: Errno, ns: Ns, n: int, c: bytes) -> None:
    d.files.sync(_target(d, tid, args) if args[:1].isdigit() else name.encode(), name, errno, ns, n)


def _lock(d: Detail, name: str, tid: int, args: bytes, result: bytes, errno: Errno, ns: Ns, n: int, c: bytes) -> None:
    if name == "flock" and b"LOCK_UN" in args:
        return
    path = _target(d, tid, args)
    d.files.use(path, name, errno, ns, n)
    _waited(d, (-1, path), ns, n)


def _futex(d: Detail, name: str, tid: int, args: bytes, result: bytes, errno: Errno, ns: Ns, n: int, c: bytes) -> None:
    if b"WAIT" in args[:60]:
        _waited(d, (d.tree.pid_of(tid), args[: args.find(b",")]), ns, n)


def _waited(d: Detail, key: tuple[int, bytes], ns: int | None, n: int) -> None:
    if d.quiet:
        return
    row = d.locks.get(key)
    if row is None:
        if len(d.locks) >= 20_000:
            return
        row = d.locks[key] = [0, 0, -1, n]
    row[0] += 1
    if ns is not None:
        row[1] += ns
        if ns > row[2]:
            row[2], row[3] = ns, n


def _fork(d: Detail, name: str, tid: int, args: bytes, result: bytes, errno: Errno, ns: Ns, n: int, c: bytes) -> None:
    if tid in d.births:
        d.births.remove(tid)
    child = _fd_result(result)
    if errno is not None or not child:
        return
    thread = b"CLONE_THREAD" in args
    if not d.tree.fork(tid, child, thread=thread, line=n, clock=c):
        return
    if thread or b"CLONE_FILES" in args:
        d.tables[child] = d.table(tid)
    elif child not in d.tables:
        d.tables[child] = d.table(tid).copy()


def _exec(d: Detail, name: str, tid: int, args: bytes, result: bytes, errno: Errno, ns: Ns, n: int, c: bytes) -> None:
    path = _path(d, tid, args)
    d.files.use(path, name, errno, ns, n)
    if errno is None:
        start = args.find(b"[")
        end = args.rfind(b"]")
        d.tree.exec(tid, path, args[start : end + 1] if start >= 0 else b"", n, c)
        d.tables[tid] = d.table(tid).copy()
        d.tables[tid].exec()


EFFECTS = {
    roles.READ: _read,
    roles.WRITE: _write,
    roles.FD: _fd,
    roles.OPEN: _open,
    roles.PATH: _plain_path,
    roles.PATH_AT: _plain_path,
    roles.TWO_PATHS: _plain_path,
    roles.TWO_PATHS_AT: _plain_path,
    roles.DUP: _dup,
    roles.CLOSE: _close,
    roles.CLOSE_RANGE: _close_range,
    roles.PIPE: _pipe,
    roles.SOCKET: _socket,
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

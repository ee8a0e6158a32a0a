"""Files, descriptors, processes, slow calls and their lines: the ordered pass over a trace.

It sees every line once, in order, and looks into those calls only that have to do with paths, descriptors, processes and
locks. What is kept a path is capped: the rest is added up under :data:`OTHER`.
"""

from __future__ import annotations

import heapq
import re

from straced.fulltrace import roles
from straced.fulltrace.fdtable import Table, address, socket_name, split_fd
from straced.fulltrace.files import FileRows
from straced.fulltrace.form import Form
from straced.fulltrace.processes import Tree
from straced.tracers.strace_line import TraceLine, find_result, parse_line

SLOWEST = 25
SIGNALS_KEPT = 200
_HEADS = roles.heads(roles.ROLE_OF)
_UNFINISHED = b"<unfinished ...>"
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"')
_FDS = re.compile(rb"\[(\d+)(?:<[^>]*>)?, (\d+)(?:<[^>]*>)?\]")
_FLAG_CLOEXEC = b"CLOEXEC"


class Detail:
    """Feed it the blocks of a trace in order."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self._pattern = re.compile(rb"\n(?:" + form.prefix() + rb"(<\.\.\. \w+|\w+\())?([^\n]*)")
        self.files = FileRows()
        self.tree = Tree()
        self.tables: dict[int, Table] = {}
        self.open: dict[int, tuple[bytes, bytes, int]] = {}
        """Calls that were entered and did not return yet: name, arguments, line."""
        self.slowest: list[tuple[int, int, bytes]] = []
        """A heap of duration, line number and the line without its prefix."""
        self._floor = b"0.000000"
        self.signals: list[tuple[int, bytes, int, str]] = []
        self.signal_counts: dict[str, int] = {}
        self.locks: dict[tuple[int, bytes], list[int]] = {}
        """(pid, futex address) -> waits, time, longest, its line."""
        self.lines = 0
        self.first_clock = b""
        self.last_clock = b""
        self.rollovers = 0
        self._durations: dict[bytes, int] = {}
        self._births: list[int] = []

    def feed(self, block: bytes) -> None:
        """Read one block of whole lines."""
        found = self._pattern.findall(block)
        found.pop()
        number = self.lines
        handlers, timed, unfinished = _HEADS, self.form.durations, self.open
        floor = self._floor
        for pid, clock, head, rest in found:
            number += 1
            if rest[-4:] == b"...>":  # unfinished or detached; `<unfinished ...>) = ?` ends otherwise
                if head:
                    self._entered(int(pid or 0), head, rest, number)
                    continue
            elif timed and (rest[-9:-1] > floor or rest[-10:-9] != b"<") and rest[-1:] == b">":
                self._slow(head, rest, number, pid)
                floor = self._floor
            known = handlers.get(head)
            if known is None:
                if not head:
                    self._other(rest, number)
                elif head[0] == 60:
                    unfinished.pop(int(pid or 0), None)
                continue
            role, name, resumed = known
            tid = int(pid or 0)
            if resumed:
                before = unfinished.pop(tid, None)
                rest = rest[9:] if before is None else before[1] + rest[9:]
            self._call(role, name, tid, rest, number, clock)
        self._clocks(found)
        self.lines = number

    def _entered(self, tid: int, head: bytes, rest: bytes, number: int) -> None:
        """A call that does not return on its line."""
        if not rest.endswith(_UNFINISHED):
            return
        text = rest[:-16]
        if head[0] == 60:  # resumed, and interrupted once more
            before = self.open.get(tid)
            text = (before[1] if before else b"") + text[9:]
            head = head[5:] + b"("
        self.open[tid] = (head, text, number)
        if _HEADS.get(head, (None,))[0] == roles.FORK:
            self._births.append(tid)

    def _clocks(self, found: list[tuple[bytes, bytes, bytes, bytes]]) -> None:
        if self.form.clock not in ("epoch", "day"):
            return
        clocks = [found[index][1] for index in (0, len(found) // 2, -1) if found and found[index][1]]
        for clock in clocks:
            self.first_clock = self.first_clock or clock
            if self.form.clock == "day" and clock[:2] < self.last_clock[:2] and clock[:1] < b"1":
                self.rollovers += 1
            self.last_clock = clock

    def _slow(self, head: bytes, rest: bytes, number: int, pid: bytes) -> None:
        start = rest.rfind(b"<") + 1
        duration = self.duration(rest[start:-1])
        if duration is None or not head:
            return
        if head[:1] == b"<":
            before = self.open.get(int(pid or 0))
            text = head[5:] + b"(" + (before[1] if before else b"... ") + rest[9:]
        else:
            text = head + rest
        item = (duration, number, pid + b" " + text[:400])
        if len(self.slowest) < SLOWEST:
            heapq.heappush(self.slowest, item)
        elif item > self.slowest[0]:
            heapq.heapreplace(self.slowest, item)
        if len(self.slowest) == SLOWEST:
            lowest = self.slowest[0][0]
            self._floor = b"%d.%06d" % (lowest // 10**9, lowest % 10**9 // 1000) if lowest < 10**10 else b"9.999999"

    def duration(self, text: bytes) -> int | None:
        """``0.000123`` -> 123000, remembered: few values make up most of a trace."""
        known = self._durations.get(text)
        if known is None:
            whole, _, fraction = text.partition(b".")
            if not whole.isdigit() or len(text) > 22 or (fraction and not fraction.isdigit()):
                return None
            known = int(whole) * 10**9 + int(fraction[:9].ljust(9, b"0"))
            if len(self._durations) < 100_000:
                self._durations[text] = known
        return known

    def table(self, tid: int) -> Table:
        """The descriptors of a task's process; a task not seen before is a child of the newest open clone."""
        table = self.tables.get(tid)
        if table is None:
            leader = self.tree.leader.get(tid)
            if leader is not None:
                table = self.table(leader)
            else:
                parent = self._births[-1] if self._births else None
                known = self.tables.get(parent) if parent is not None and parent != tid else None
                table = known.copy() if known else Table()
            self.tables[tid] = table
        return table

    def _call(self, role: int, name: str, tid: int, rest: bytes, number: int, clock: bytes) -> None:
        split = rest.rfind(b" = ")
        result = rest[split + 3 :]
        if split < 0 or (self.form.paths and result.count(b">") - result.count(b"->") != result.count(b"<")):
            split, result = _careful(rest)
            if split < 0:
                return
        duration: int | None = None
        if self.form.durations and result[-1:] == b">":
            less = result.rfind(b"<")
            text = result[less + 1 : -1]
            duration = self._durations.get(text)
            if duration is None:
                duration = self.duration(text)
        errno = None
        if result[:3] == b"-1 ":
            errno = result[3 : result.find(b" ", 3)]
        elif result[:1] == b"?":
            errno = b"?"
        _ROLES[role](self, name, tid, rest[:split], result, errno, duration, number, clock)

    def _other(self, line: bytes, number: int) -> None:
        """Signals, exits, and lines of another form."""
        value = parse_line(line)
        if value is None:
            return
        if value.kind in ("exited", "killed"):
            self._exit(value, line)
        elif value.kind == "superseded" and value.pid is not None and value.other_pid is not None:
            self.tables[value.pid] = self.table(value.other_pid)
            if value.other_pid in self.open:
                self.open[value.pid] = self.open.pop(value.other_pid)
            self.tree.leader.pop(value.other_pid, None)
        elif value.kind == "signal":
            self.signal_counts[value.name] = self.signal_counts.get(value.name, 0) + 1
            if len(self.signals) < SIGNALS_KEPT:
                self.signals.append((number, clock_of(line, value), value.pid or 0, value.name))
        elif value.kind in ("call", "resumed", "unfinished", "detached"):
            self._other_call(value, line, number)

    def _other_call(self, value: TraceLine, line: bytes, number: int) -> None:
        """A call whose line has another form than most."""
        known = _HEADS.get(value.name.encode() + b"(")
        tid = value.pid or 0
        if known is None:
            return
        head = value.name.encode() + b"("
        if value.kind == "unfinished":
            self.open[tid] = (head, value.args, number)
        elif value.result is not None:
            before = self.open.pop(tid, None) if value.kind == "resumed" else None
            result = value.result + (
                b" <%d.%09d>" % divmod(value.duration_ns, 10**9) if value.duration_ns is not None else b""
            )
            rest = (before[1] if before else b"") + value.args + b") = " + result
            self._call(known[0], value.name, tid, rest, number, clock_of(line, value))

    def _exit(self, value: TraceLine, line: bytes) -> None:
        tid = value.pid or 0
        self.open.pop(tid, None)
        self.tables.pop(tid, None)
        self.tree.end(tid, clock_of(line, value), status=value.status, killed=value.name or None)


def _careful(rest: bytes) -> tuple[int, bytes]:
    found = find_result(rest, 0, len(rest))
    return (-1, b"") if found is None else (found[1] - 3, rest[found[1] :])


def clock_of(line: bytes, value: TraceLine) -> bytes:
    """The clock of a line as it is written there."""
    if value.clock is None:
        return b""
    match = re.match(rb"(?:\[pid +[^\]]*\] |\d+(?:<[^>]*>)? +)? *([\d:.]+) ", line)
    return match.group(1) if match else b""


Errno = bytes | None
Ns = int | None


# --- what each role does: (detail, name, tid, args, result, errno, duration, line, clock) -------------------


def _target(d: Detail, tid: int, args: bytes) -> bytes:
    """The name of the descriptor that is the first argument."""
    end = args.find(b",")
    first = args[:end] if end >= 0 else args.rstrip(b" )")
    if d.form.paths and b"<" in first:
        fd, path = split_fd(args[: args.find(b">") + 1] if b"->" not in first else first)
        if path is not None:
            return path
    try:
        return d.table(tid).name(int(first))
    except ValueError:
        return first[:200]


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
    if quote > 0 and path[:1] != b"/" and args[:8] != b"AT_FDCWD":
        base = _target(d, tid, args)
        return base if not path else base + b"/" + path
    return path


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
    path = _path(d, tid, args)
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
    if tid in d._births:
        d._births.remove(tid)
    child = _fd_result(result)
    if errno is not None or not child:
        return
    thread = b"CLONE_THREAD" in args
    d.tree.fork(tid, child, thread=thread, line=n, clock=c)
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


_ROLES = {
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

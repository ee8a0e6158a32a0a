"""What a call does to files, tables and processes: (detail, task, name, what it said, duration, line, clock)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from straced.traces.analysis.decoded_call import DecodedCall, join
from straced.traces.analysis.fd_table import Table

if TYPE_CHECKING:
    from straced.traces.analysis.ordered_pass import OrderedPass
    from straced.traces.analysis.tasks import TracedTask

Ns = int | None
_MOST_LOCKS = 20_000


def _target(d: OrderedPass, task: TracedTask, said: DecodedCall) -> bytes:
    """The name of what a call is about."""
    fd, path = said.fd, said.path
    if fd is None:
        return path or b""
    table = task.table
    if table is None:
        table = d.tasks.table(task)
    base = table.names.get(fd) or table.name(fd)
    return base if path is None else join(base, path)


def _table(d: OrderedPass, task: TracedTask) -> Table:
    return d.tasks.table(task) if task.table is None else task.table


def use(d: OrderedPass, task: TracedTask, name: str, said: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    fd, path = said.fd, said.path
    d.files.use(path if fd is None and path else _target(d, task, said), name, said.errno, ns, n)


def read(d: OrderedPass, task: TracedTask, name: str, said: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    d.files.transfer(_target(d, task, said), name, said.value or 0, False, said.errno, ns, n)


def write(d: OrderedPass, task: TracedTask, name: str, said: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    d.files.transfer(_target(d, task, said), name, said.value or 0, True, said.errno, ns, n)


def open_(d: OrderedPass, task: TracedTask, name: str, said: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    path = _target(d, task, said)
    d.files.opened(path, name, said.errno, ns, n)
    if said.value is not None:
        _table(d, task).set(said.value, path, said.cloexec)


def dup(d: OrderedPass, task: TracedTask, name: str, said: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    assert said.value is not None
    _table(d, task).set(said.value, _target(d, task, said), said.cloexec)


def set_cloexec(d: OrderedPass, task: TracedTask, name: str, said: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    assert said.value is not None
    table = _table(d, task)
    table.set(said.value, table.name(said.value), said.cloexec)


def close(d: OrderedPass, task: TracedTask, name: str, said: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    d.files.use(_target(d, task, said), name, said.errno, ns, n)
    if said.value is not None:
        _table(d, task).close(said.value)


def close_range(d: OrderedPass, task: TracedTask, name: str, said: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    assert said.fd is not None
    assert said.value is not None
    _table(d, task).close_range(said.fd, said.value)


def pipe(d: OrderedPass, task: TracedTask, name: str, said: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    assert said.fd is not None
    assert said.value is not None
    label = b"%s of %d, line %d" % (said.label, task.tid, n)
    for fd in (said.fd, said.value):
        _table(d, task).set(fd, label, said.cloexec)


def new_fd(d: OrderedPass, task: TracedTask, name: str, said: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    assert said.value is not None
    _table(d, task).set(said.value, said.label, said.cloexec)


def peer(d: OrderedPass, task: TracedTask, name: str, said: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    assert said.path is not None
    if said.value is not None:
        _table(d, task).names[said.value] = said.path
    d.files.use(said.path, name, said.errno, ns, n)


def accept(d: OrderedPass, task: TracedTask, name: str, said: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    d.files.use(_target(d, task, said), name, said.errno, ns, n)
    if said.value is not None:
        _table(d, task).set(said.value, said.label, said.cloexec)


def sync(d: OrderedPass, task: TracedTask, name: str, said: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    d.files.sync(_target(d, task, said), name, said.errno, ns, n)


def lock(d: OrderedPass, task: TracedTask, name: str, said: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    path = _target(d, task, said)
    d.files.use(path, name, said.errno, ns, n)
    _waited(d, (-1, path), ns, n)


def futex(d: OrderedPass, task: TracedTask, name: str, said: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    _waited(d, (task.pid, said.label), ns, n)


def _waited(d: OrderedPass, key: tuple[int, bytes], ns: Ns, n: int) -> None:
    if d.quiet:
        return
    row = d.locks.get(key)
    if row is None:
        if len(d.locks) >= _MOST_LOCKS:
            return
        row = d.locks[key] = [0, 0, -1, n]
    row[0] += 1
    if ns is not None:
        row[1] += ns
        if ns > row[2]:
            row[2], row[3] = ns, n


def fork(d: OrderedPass, task: TracedTask, name: str, said: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    tasks = d.tasks
    if task.tid in tasks.births:
        tasks.births.remove(task.tid)
    if not said.value:
        return
    thread = b"CLONE_THREAD" in said.args
    lives = d.tree.fork(task.tid, said.value, thread=thread, line=n, clock=clock)
    tasks.moved(said.value)
    if not lives:
        return
    child = tasks.of(said.value)
    if thread or b"CLONE_FILES" in said.args:
        child.table = tasks.table(task)
    elif child.table is None:
        child.table = tasks.table(task).copy()


def exec_(d: OrderedPass, task: TracedTask, name: str, said: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    path = _target(d, task, said)
    d.files.use(path, name, said.errno, ns, n)
    if said.errno is None:
        args = said.args
        start, end = args.find(b"["), args.rfind(b"]")
        d.tree.exec(task.tid, path, args[start : end + 1] if start >= 0 else b"", n, clock)
        task.table = d.tasks.table(task).copy()
        task.table.exec()

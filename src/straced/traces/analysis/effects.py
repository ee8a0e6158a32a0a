"""What calls change: the sums of files, tables of descriptors, processes.

Each function takes (state, task, name of the call, decoded call, duration in ns, line number, clock as printed).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from straced.traces.analysis.clone_flags import is_thread, shares_files
from straced.traces.analysis.decoded_call import DecodedCall, join
from straced.traces.analysis.fd_table import DescriptorTable

if TYPE_CHECKING:
    from straced.traces.analysis.state import AnalysisState
    from straced.traces.analysis.tasks import TracedTask

Ns = int | None


def _target(state: AnalysisState, task: TracedTask, call: DecodedCall) -> bytes:
    """Return the path or name of what a call is about."""
    fd, path = call.fd, call.path
    if fd is None:
        if call.relative and path:
            return _table(state, task).in_folder(path)
        return path or b""
    table = task.table
    if table is None:
        table = state.tasks.table(task)
    base = table.names.get(fd) or table.name(fd)
    return base if path is None else join(base, path)


def _table(state: AnalysisState, task: TracedTask) -> DescriptorTable:
    return state.tasks.table(task) if task.table is None else task.table


def use(state: AnalysisState, task: TracedTask, name: str, call: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    fd, path = call.fd, call.path
    plain = fd is None and path and not call.relative
    state.files.use(path if plain else _target(state, task, call), name, call.errno, ns, n)  # type: ignore[arg-type]


def chdir(state: AnalysisState, task: TracedTask, name: str, call: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    path = _target(state, task, call)
    state.files.use(path, name, call.errno, ns, n)
    if path[:1] == b"/" or call.relative:
        _table(state, task).folder = path


def copy(state: AnalysisState, task: TracedTask, name: str, call: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    """Bytes went from one descriptor to another; the time stands with the first."""
    state.files.transfer(_target(state, task, call), name, call.value or 0, False, call.errno, ns, n)
    other = call.other_path or b"?" if call.other_fd is None else _table(state, task).name(call.other_fd)
    state.files.transfer(other, name, call.value or 0, True, call.errno, None, n)


def exit_(state: AnalysisState, task: TracedTask, name: str, call: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    state.tree.leaves(task.tid, call.value, whole=name == "exit_group", clock=clock, line=n)


def is_of(state: AnalysisState, task: TracedTask, name: str, call: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    """A task was said to belong to a process."""
    tid = task.tid if call.fd is None else call.fd
    if call.value is not None:
        state.tasks.belongs(tid, call.value)


def read(state: AnalysisState, task: TracedTask, name: str, call: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    state.files.transfer(_target(state, task, call), name, call.value or 0, False, call.errno, ns, n)


def write(state: AnalysisState, task: TracedTask, name: str, call: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    state.files.transfer(_target(state, task, call), name, call.value or 0, True, call.errno, ns, n)


def open_(state: AnalysisState, task: TracedTask, name: str, call: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    path = _target(state, task, call)
    state.files.opened(path, name, call.errno, ns, n)
    if call.value is not None:
        _table(state, task).set(call.value, path, call.cloexec)


def dup(state: AnalysisState, task: TracedTask, name: str, call: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    assert call.value is not None
    _table(state, task).set(call.value, _target(state, task, call), call.cloexec)


def set_cloexec(
    state: AnalysisState, task: TracedTask, name: str, call: DecodedCall, ns: Ns, n: int, clock: bytes
) -> None:
    assert call.value is not None
    table = _table(state, task)
    table.set(call.value, table.name(call.value), call.cloexec)


def close(state: AnalysisState, task: TracedTask, name: str, call: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    state.files.use(_target(state, task, call), name, call.errno, ns, n)
    if call.value is not None:
        _table(state, task).close(call.value)


def close_range(
    state: AnalysisState, task: TracedTask, name: str, call: DecodedCall, ns: Ns, n: int, clock: bytes
) -> None:
    assert call.fd is not None
    assert call.value is not None
    _table(state, task).close_range(call.fd, call.value)


def pipe(state: AnalysisState, task: TracedTask, name: str, call: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    assert call.fd is not None
    assert call.value is not None
    label = b"%s of %d, line %d" % (call.label, task.tid, n)
    for fd in (call.fd, call.value):
        _table(state, task).set(fd, label, call.cloexec)


def new_fd(state: AnalysisState, task: TracedTask, name: str, call: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    assert call.value is not None
    _table(state, task).set(call.value, call.label, call.cloexec)


def peer(state: AnalysisState, task: TracedTask, name: str, call: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    assert call.path is not None
    if call.value is not None:
        _table(state, task).names[call.value] = call.path
    state.files.use(call.path, name, call.errno, ns, n)


def accept(state: AnalysisState, task: TracedTask, name: str, call: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    state.files.use(_target(state, task, call), name, call.errno, ns, n)
    if call.value is not None:
        _table(state, task).set(call.value, call.label, call.cloexec)


def sync(state: AnalysisState, task: TracedTask, name: str, call: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    state.files.sync(_target(state, task, call), name, call.errno, ns, n)


def lock(state: AnalysisState, task: TracedTask, name: str, call: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    path = _target(state, task, call)
    state.files.use(path, name, call.errno, ns, n)
    if not state.quiet:
        state.locks.add(-1, path, ns, state.files.waiting_ns, n)


def futex(state: AnalysisState, task: TracedTask, name: str, call: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    if not state.quiet:
        state.locks.add(task.pid, call.label, ns, state.files.waiting_ns, n)


def futex_changed(
    state: AnalysisState, task: TracedTask, name: str, call: DecodedCall, ns: Ns, n: int, clock: bytes
) -> None:
    """EAGAIN: the value had changed, so nobody waited."""


def idle(state: AnalysisState, task: TracedTask, name: str, call: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    """poll or epoll returned with nothing to do."""
    if not state.quiet:
        state.idle.add(task.pid, name, call.label.decode(), -1 if call.value is None else call.value, ns, n)


def fork(state: AnalysisState, task: TracedTask, name: str, call: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    tasks = state.tasks
    tasks.births.pop(task.tid, None)
    if not call.value:
        return
    thread = is_thread(call.args)
    lives = state.tree.fork(task.tid, call.value, thread=thread, line=n, clock=clock)
    tasks.moved(call.value)
    if not lives:
        return
    child = tasks.of(call.value)
    if thread or shares_files(call.args):
        child.table = tasks.table(task)
    elif child.table is None:
        child.table = tasks.table(task).copy()


def exec_(state: AnalysisState, task: TracedTask, name: str, call: DecodedCall, ns: Ns, n: int, clock: bytes) -> None:
    path = _target(state, task, call)
    state.files.use(path, name, call.errno, ns, n)
    if call.errno is None:
        args = call.args
        start, end = args.find(b"["), args.rfind(b"]")
        state.tree.exec(task.tid, path, args[start : end + 1] if start >= 0 else b"", n, clock)
        task.table = state.tasks.table(task).copy()
        task.table.exec()

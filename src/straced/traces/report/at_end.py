"""Where each task was when the trace ended: for a stuck process that is all its trace has to say."""

from __future__ import annotations

from straced.text.sanitize import scrub_bytes
from straced.traces.analysis.decoded_call import target_of
from straced.traces.analysis.reader import TraceReading
from straced.traces.analysis.roles import ACCEPT, FD, LOCK, READ, ROLE_OF, SYNC, WRITE
from straced.traces.values import TaskAtEnd

MOST = 200
_OF_A_DESCRIPTOR = frozenset({READ, WRITE, FD, SYNC, LOCK, ACCEPT})


def tasks_at_end(reading: TraceReading) -> tuple[TaskAtEnd, ...]:
    """Return the tasks that were in a call, in the order of the lines where these began."""
    assert reading.state is not None
    found = []
    for tid, head, args, line in reading.state.tasks.in_calls():
        name = head.rstrip(b"(").removeprefix(b"<... ").decode("ascii", "replace")
        if name == "restart_syscall":
            name = next((other for task, other in reading.waiting if task == tid), name)
        begun = args.removesuffix(b"<unfinished ...>").rstrip(b" ,")
        found.append(
            TaskAtEnd(
                pid=reading.pid_of(tid),
                tid=tid or reading.root,
                call=name,
                text=scrub_bytes(head.rstrip(b"(").removeprefix(b"<... ") + b"(" + begun, 300),
                path=_path(reading, tid, name, begun),
                line=line,
            )
        )
    return tuple(sorted(found, key=lambda task: task.line)[:MOST])


def _path(reading: TraceReading, tid: int, name: str, args: bytes) -> str | None:
    """What the descriptor stands for; a name that the text has already (-y) is not said twice."""
    assert reading.state is not None
    task = reading.state.tasks.of(tid)
    if ROLE_OF.get(name) not in _OF_A_DESCRIPTOR or task.table is None:
        return None
    fd, _ = target_of(args)
    known = None if fd is None else task.table.names.get(fd)
    return None if known is None else scrub_bytes(known, 300)

"""The call that takes the time of a task that does get on, only not fast."""

from __future__ import annotations

from straced import syscalls
from straced.model.types import Summary
from straced.text.units import format_count, format_ns
from straced.waits.classify import syscall_args
from straced.waits.classify.descriptors import resource_of
from straced.waits.facts.activity import RUNNING, Activity
from straced.waits.facts.snapshot import ProcSnapshot

_WORTH_NAMING = 0.2
_ON_A_DESCRIPTOR = (
    syscall_args.READS
    | syscall_args.WRITES
    | syscall_args.SYNCS
    | syscall_args.LOCKS
    | {"accept", "accept4", "connect"}
)


def busiest(look: ProcSnapshot, pid: int, own: Activity | None, summary: Summary | None, threads: int) -> str:
    """``it is in fsync(3) on /srv/journal 63 % of the time``; ``""`` when nothing stands out.

    A tracer's counts are exact, but those of a whole process: with several threads, the looks at one say more.
    """
    counted = _counted(summary) if summary is not None and threads == 1 else ""
    return counted or (_sampled(look, pid, own) if own is not None else "")


def _counted(summary: Summary) -> str:
    rows = [row for row in summary.rows if row.wall_ns]
    if not rows:
        return ""
    row = max(rows, key=lambda row: row.wall_ns or 0)
    window_ns, wall_ns, count = max(summary.window.duration_ns or 0, 1), row.wall_ns or 0, row.calls or 0
    share = wall_ns / window_ns
    if share < _WORTH_NAMING or count == 0:
        return ""
    rate = format_count(round(count / (window_ns / 1e9)))
    return (
        f"{row.name} takes {100 * share:.0f} % of the time ({rate} calls a second, {format_ns(wall_ns // count)} each)"
    )


def _sampled(look: ProcSnapshot, pid: int, own: Activity) -> str:
    if not own.calls:
        return ""
    call = max(own.calls, key=lambda call: own.calls[call])
    share = own.share(call)
    if share < _WORTH_NAMING:
        return ""
    if call == RUNNING:
        return f"it runs {100 * share:.0f} % of the time"
    if not look.proc.is_native(pid):
        return ""
    name = syscalls.syscall_name(call[0], syscalls.native_abi())
    if name not in _ON_A_DESCRIPTOR:
        return f"it is in {name} {100 * share:.0f} % of the time"
    number = call[1] & 0xFFFFFFFF
    return f"it is in {name}({number}) on {resource_of(look, pid, number).name} {100 * share:.0f} % of the time"

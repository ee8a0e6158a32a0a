"""The lines that a trace begins with: what strace does not write down of its target, for ``straced report``.

Every other reader of strace text skips them; ``report`` takes from them which tasks are threads of which process,
names, command lines, and what the descriptors stand for that were open before the trace.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from straced.linux import procfs
from straced.linux.process_scan import abi_of, call_now
from straced.linux.procfs import Gone
from straced.model.frame import OUTSIDE, RUNNING
from straced.text.sanitize import scrub
from straced.tracers.strace.recording import RecordOptions
from straced.traces.parsing.comments import TracedProcessFacts, TraceHeader, comment
from straced.traces.parsing.trace_filters import TraceFilters

MOST_PROCESSES, MOST_DESCRIPTORS, MOST_WORDS, MOST_TASKS = 200, 500, 50, 2000


def header_of(pid: int, *, follow: bool, filters: TraceFilters | None = None, command: Sequence[str] = ()) -> bytes:
    """Return the comments of a trace of this process, and of all below it where they are followed.

    Args:
        pid: the process.
        follow: whether its children are in it.
        filters: what the trace was asked to hold.
        command: what the process is about to become, when it is a gate.
    """
    machine = os.uname()
    clock = TraceHeader(
        host=scrub(machine.nodename, 100),
        machine=machine.machine,
        boot_id=procfs.boot_id(),
        epoch_s=time.time(),
        monotonic_ns=time.monotonic_ns(),
        utc_offset_s=time.localtime().tm_gmtoff,
        pid=pid,
        filters=filters,
    )
    lines = [comment("trace", clock)]
    for each in [pid, *(procfs.descendants(pid) if follow else ())][:MOST_PROCESSES]:
        try:
            facts = _facts(each)
            if command and each == pid:
                facts.name, facts.argv, facts.calls = os.path.basename(command[0])[:15], list(command)[:MOST_WORDS], {}
            lines.append(comment("process", facts))
        except (Gone, OSError):
            continue
    return b"".join(lines)


def filters_of(options: RecordOptions) -> TraceFilters:
    """Return what a trace with these options holds."""
    return TraceFilters(
        calls=options.trace.removeprefix("trace=").split(",") if options.trace else [],
        paths=list(options.paths),
        failed_only=options.status == "failed",
        max_bytes=options.max_bytes,
        max_seconds=options.max_seconds,
    )


def _facts(pid: int) -> TracedProcessFacts:
    stat = procfs.stat(pid)
    tasks = procfs.tasks(pid)
    abi = abi_of(pid)
    calls = {tid: call_now(f"{pid}/task/{tid}", abi) for tid in tasks[:MOST_TASKS]}
    return TracedProcessFacts(
        pid=pid,
        parent=stat.ppid,
        name=stat.comm,
        argv=[scrub(word, 200) for word in procfs.cmdline(pid)[:MOST_WORDS]],
        start_ticks=stat.start_ticks,
        tasks=tasks,
        fds=_descriptors(pid),
        folder=_link(f"/proc/{pid}/cwd"),
        calls={tid: call for tid, call in calls.items() if call is not None and call not in (RUNNING, OUTSIDE)},
    )


def _descriptors(pid: int) -> dict[str, str]:
    try:
        numbers = sorted(os.listdir(f"/proc/{pid}/fd"), key=int)[:MOST_DESCRIPTORS]
    except OSError:
        return {}
    found = {number: _link(f"/proc/{pid}/fd/{number}") for number in numbers}
    return {number: name for number, name in found.items() if name}


def _link(path: str) -> str:
    try:
        return scrub(os.fsdecode(os.readlink(path)), 1000)
    except OSError:
        return ""

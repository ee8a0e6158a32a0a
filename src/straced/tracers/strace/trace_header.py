"""The lines that a trace begins with: what strace does not write down of its target, for ``straced report``.

Every other reader of strace text skips them; ``report`` takes from them which tasks are threads of which process,
names, command lines, and what the descriptors stand for that were open before the trace.
"""

from __future__ import annotations

import os
import time

from straced.linux import procfs
from straced.linux.process_scan import abi_of, call_now
from straced.linux.procfs import Gone
from straced.model.frame import OUTSIDE, RUNNING
from straced.text.sanitize import scrub
from straced.traces.parsing.comments import TracedProcessFacts, TraceHeader, comment

MOST_PROCESSES, MOST_DESCRIPTORS, MOST_WORDS, MOST_TASKS = 200, 500, 50, 2000


def header_of(pid: int, *, follow: bool) -> bytes:
    """Return the comments of a trace of this process, and of all below it where they are followed."""
    machine = os.uname()
    clock = TraceHeader(
        host=scrub(machine.nodename, 100),
        machine=machine.machine,
        boot_id=procfs.boot_id(),
        epoch_s=time.time(),
        monotonic_ns=time.monotonic_ns(),
        utc_offset_s=time.localtime().tm_gmtoff,
        pid=pid,
    )
    lines = [comment("trace", clock)]
    for each in [pid, *(procfs.descendants(pid) if follow else ())][:MOST_PROCESSES]:
        try:
            lines.append(comment("process", _facts(each)))
        except (Gone, OSError):
            continue
    return b"".join(lines)


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

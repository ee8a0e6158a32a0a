"""What /proc says of a process at the attach, for the records of it: names, threads, directories, open descriptors."""

from __future__ import annotations

import os
import time

from msgspec import structs

from straced._version import __version__
from straced.linux import procfs
from straced.model.types import Target
from straced.records.values import OpenDescriptor, RecordedProcess, RecordingFacts
from straced.tracers.ebpf.open_descriptors import descriptors_of, link_of
from straced.tracers.ebpf.record_engine import RecordFilter

MOST_PROCESSES, MOST_THREADS, MOST_WORDS, MOST_BYTES = 200, 5000, 50, 4096
"""The threads are those of all processes together; the bytes are of one's words."""


def facts_of(
    target: Target,
    *others: Target,
    follow: bool,
    wanted: RecordFilter,
    max_bytes: int | None = None,
    max_seconds: float | None = None,
) -> RecordingFacts:
    """What a file of records of this process begins with, and of all below it where they are followed.

    Args:
        target: the process.
        others: more of them.
        follow: whether its descendants are recorded, too.
        wanted: which calls.
        max_bytes: of the file.
        max_seconds: of the recording.
    """
    pids = dict.fromkeys(each.pid for each in (target, *others))
    for pid in list(pids) if follow else ():
        pids |= dict.fromkeys(procfs.descendants(pid))
    found = facts_now(target.pid, list(pids), follow=follow, wanted=wanted)
    processes = list(found.processes)
    if processes and target.exe is None and target.cmdline:  # a gate, under the name of the program it becomes
        argv = tuple(map(os.fsencode, target.cmdline))
        processes[0] = structs.replace(processes[0], comm=os.fsencode(target.comm), argv=argv, exe=b"")
    return structs.replace(found, processes=tuple(processes), max_bytes=max_bytes, max_seconds=max_seconds)


def facts_now(pid: int, pids: list[int], *, follow: bool, wanted: RecordFilter) -> RecordingFacts:
    """The same of a list of processes, whoever is below them.

    Args:
        pid: which of them is meant.
        pids: the processes, the first of them in front.
        follow: whether descendants are recorded, too.
        wanted: which calls.
    """
    machine = os.uname()
    processes = _processes(pids[:MOST_PROCESSES])
    epoch_ns, monotonic_ns = time.time_ns(), time.monotonic_ns()
    return RecordingFacts(
        straced=__version__,
        host=machine.nodename,
        machine=machine.machine,
        boot_id=procfs.boot_id(),
        epoch_ns=epoch_ns,
        monotonic_ns=monotonic_ns,
        utc_offset_s=time.localtime().tm_gmtoff,
        pid=pid,
        follow=follow,
        failed_only=wanted.failed_only,
        slower_ns=wanted.slower_ns,
        calls=None if wanted.calls is None else tuple(sorted(wanted.calls)),
        processes=tuple(processes),
    )


def _processes(pids: list[int]) -> list[RecordedProcess]:
    descriptors = descriptors_of(pids)
    found: list[RecordedProcess] = []
    room = MOST_THREADS
    for pid in pids:
        if (process := _process(pid, descriptors[pid], room)) is not None:
            room -= len(process.threads)
            found.append(process)
    return found


def _process(pid: int, descriptors: dict[int, OpenDescriptor], room: int) -> RecordedProcess | None:
    try:
        stat = procfs.stat(pid)
        return RecordedProcess(
            pid=pid,
            parent=stat.ppid,
            comm=_comm(f"{pid}/comm"),
            exe=link_of(f"/proc/{pid}/exe"),
            argv=tuple(procfs.read(f"{pid}/cmdline", limit=MOST_BYTES).split(b"\0")[:-1][:MOST_WORDS]),
            cwd=link_of(f"/proc/{pid}/cwd"),
            start_ticks=stat.start_ticks,
            threads={tid: _comm(f"{pid}/task/{tid}/comm") for tid in procfs.tasks(pid)[:room]},
            descriptors=descriptors,
        )
    except (procfs.Gone, OSError):
        return None


def _comm(path: str) -> bytes:
    try:
        return procfs.read(path).rstrip(b"\n")
    except (procfs.Gone, OSError):
        return b""

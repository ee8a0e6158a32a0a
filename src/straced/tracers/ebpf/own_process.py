"""The calls of this very process, read in the middle of it, without those that the reading makes itself.

A profiler refuses its own process, since it would count itself. Here that is known to the call: between two readings,
the reader's own calls are bpf(2) alone, each of which the engine counts. So a reading stands still for microseconds,
needs no event loop and no thread, and nothing is traced by ptrace: a sanitizer that is none the wiser runs on.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from msgspec import Struct

from straced.linux import procfs
from straced.model.budgets import CallCounts, counts_of
from straced.text.units import count_of
from straced.tracers.base import AttachOptions
from straced.tracers.ebpf import probe, wire
from straced.tracers.ebpf.decoding import OwnerFacts
from straced.tracers.ebpf.instance import Instance
from straced.tracers.ebpf.samples import Losses
from straced.tracers.ebpf.suited import suited_engine

ROWS, OWNERS = 16384, 4096
"""Of a test run with its children; a worker of many has its own."""
TaskKey = tuple[int, int, int]
"""Process, thread, and start in nanoseconds since boot. No thread (0): what ended in it; no process (0): what ended."""


class OwnReading(Struct, frozen=True):
    """The counters of all tasks of this process and of its descendants at one moment."""

    tasks: Mapping[TaskKey, CallCounts]
    """Those that made no call yet are in it, too."""
    requests: int
    """Calls of bpf(2) that were made for readings until then, by the threads that read."""
    lost: int
    """Calls that found no room."""


class OwnCalls:
    """Counts this process, its threads and its descendants, from now on and until it is closed or the process ends.

    Raises:
        TracerUnavailable: eBPF cannot serve here.
    """

    def __init__(self) -> None:
        if error := probe.missing():
            raise error
        try:
            self._engine = suited_engine(rows=ROWS, owners=OWNERS)
        except OSError as failure:
            raise probe.load_error(failure) from failure
        pidfd = -1
        try:
            self._instance = Instance(self._engine)
            pidfd = os.pidfd_open(os.getpid())
            options = AttachOptions(per_thread=True)
            self._session = self._instance.attach(procfs.target(os.getpid()), options, pidfd)
            self._pidfd = pidfd
            self.read()  # what it imports, it imports now
            self._losses = Losses.of(self._engine)
        except BaseException as failure:
            if pidfd >= 0:
                os.close(pidfd)
            self._engine.close()
            if isinstance(failure, OSError):
                raise probe.load_error(failure) from failure
            raise

    def read(self) -> OwnReading:
        """The counters now."""
        snapshot = self._instance.reader.snapshot()
        session = snapshot.owners[self._session.index]
        members = [owner for owner in snapshot.owners.values() if owner.session == session.index]
        processes = {owner.index: owner for owner in members if owner.kind == wire.KIND_PROCESS}
        tasks = {_key(owner, processes): counts_of(snapshot.values_of(owner)) for owner in members}
        tasks[0, 0, 0] = counts_of(snapshot.values_of(session))
        return OwnReading(tasks, snapshot.requests, sum(owner.lost for owner in (*members, session)))

    def lost(self) -> str:
        """What has been missed since the last time that this was asked, as a sentence; ``""``: nothing."""
        now = Losses.of(self._engine)
        new, self._losses = now.since(self._losses), now
        missed = new.folds + new.unseen
        if missed:
            return count_of(missed, "call was lost", "calls were lost")
        return (
            f"{count_of(new.tasks, 'thread or process', 'threads or processes')} could not be followed"
            if new.tasks
            else ""
        )

    def close(self) -> None:
        """Take the programs out of the kernel. Idempotent; a forked copy leaves the original's alone."""
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
            if self._engine.mine:
                self._engine.close()


def _key(owner: OwnerFacts, processes: Mapping[int, OwnerFacts]) -> TaskKey:
    if owner.kind == wire.KIND_PROCESS:
        return owner.pid, 0, owner.start_ns
    process = processes.get(owner.parent)
    return (0 if process is None else process.pid), owner.pid, owner.start_ns

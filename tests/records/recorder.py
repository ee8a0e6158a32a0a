"""Programs recorded by ptrace: the arguments that the kernel was given, as records have them, without eBPF.

Run as a process of its own, since it waits for all its children:  python -m tests.records.recorder JOBS OUTPUT
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import Any

import msgspec

from straced.records.plans import plan_of
from straced.records.values import Blob, BlobKind, OpenDescriptor, Record, RecordedProcess, RecordingFacts, RecordKind
from straced.syscalls import native_abi, syscall_name
from tests.records import ptrace
from tests.records.jobs import Job, fresh


class Recorded(msgspec.Struct):
    """What came of it."""

    facts: RecordingFacts
    records: list[Record]


class Recorder:
    """Trace one program and all that it starts."""

    def __init__(self, job: Job) -> None:
        self.records: list[Record] = []
        self.inside: dict[int, tuple[int, tuple[int, ...], dict[int, Blob]]] = {}
        self.groups: dict[int, int] = {}
        self.ends: dict[int, int] = {}
        self.abi = native_abi()
        fresh(job.folder)
        null = os.open("/dev/null", os.O_RDWR)
        self.pid = ptrace.start(job.argv, job.environment, job.folder, null)
        os.close(null)
        descriptors = {n: OpenDescriptor(os.fsencode(os.readlink(f"/proc/{self.pid}/fd/{n}"))) for n in (0, 1, 2)}
        process = RecordedProcess(
            pid=self.pid, parent=os.getpid(), comm=b"", exe=b"", argv=(), cwd=os.fsencode(job.folder), start_ticks=0,
            threads={self.pid: b""}, descriptors=descriptors,
        )  # fmt: skip
        self.facts = RecordingFacts(
            straced="", host="", machine=os.uname().machine, boot_id="", epoch_ns=time.time_ns(),
            monotonic_ns=time.monotonic_ns(), utc_offset_s=0, pid=self.pid, follow=True, processes=(process,),
        )  # fmt: skip

    def run(self) -> Recorded:
        living = {self.pid}
        self.groups[self.pid] = self.pid
        ptrace.ptrace(ptrace.SYSCALL, self.pid)
        while living:
            tid, status = os.waitpid(-1, 0x40000000)
            if os.WIFEXITED(status) or os.WIFSIGNALED(status):
                living.discard(tid)
                self._end(tid, status)
                continue
            living.add(tid)
            number, event = os.WSTOPSIG(status), status >> 16
            deliver = 0
            if number == 0x85:
                self._stop(tid)
            elif event:
                self._event(tid, event)
            elif number not in (19, 5):
                deliver = number
            with contextlib.suppress(ProcessLookupError):  # killed meanwhile
                ptrace.ptrace(ptrace.SYSCALL, tid, 0, deliver)
        return Recorded(self.facts, self.records)

    def _event(self, tid: int, event: int) -> None:
        if event in (1, 2, 3):
            self.groups.setdefault(ptrace.event_message(tid), 0)
        elif event == 4:  # an execve has succeeded: the task may have had another number
            former = ptrace.event_message(tid)
            if former != tid and former in self.inside:
                self.inside[tid] = self.inside.pop(former)

    def _stop(self, tid: int) -> None:
        kind, words = ptrace.syscall_info(tid)
        now = time.monotonic_ns()
        if kind == ptrace.ENTRY:
            number, args = words[0], words[1:]
            early = (
                self._blobs(tid, number, args, None) if syscall_name(number, self.abi) in ("execve", "execveat") else {}
            )
            self.inside[tid] = now, (number, *args), early
        elif tid in self.inside:
            start, (number, *args), early = self.inside.pop(tid)
            result = words[0]
            blobs = early or self._blobs(tid, number, tuple(args), result)
            self._add(RecordKind.CALL, tid, number, tuple(args), start, now, result, blobs)

    def _add(
        self, kind: RecordKind, tid: int, number: int, args: tuple[int, ...], start: int, end: int, result: int | None,
        blobs: dict[int, Blob],
    ) -> None:  # fmt: skip
        count = plan_of(syscall_name(number, self.abi)).nargs
        self.records.append(
            Record(
                kind=kind,
                sequence=len(self.records),
                cpu=0,
                tid=tid,
                pid=self._group(tid),
                abi=self.abi,
                number=number,
                args=args[:count],
                start_ns=start,
                duration_ns=end - start if result is not None else None,
                result=result,
                end_ns=end,
                blobs=blobs,
            )
        )

    def _group(self, tid: int) -> int:
        if not self.groups.get(tid):
            try:
                with open(f"/proc/{tid}/status") as file:
                    self.groups[tid] = next(int(line.split()[1]) for line in file if line.startswith("Tgid:"))
            except (OSError, StopIteration):
                return tid
        return self.groups[tid]

    def _end(self, tid: int, status: int) -> None:
        now = time.monotonic_ns()
        if tid in self.inside:
            start, (number, *args), _ = self.inside.pop(tid)
            self._add(RecordKind.UNFINISHED, tid, number, tuple(args), start, now, None, {})
        self.records.append(
            Record(
                kind=RecordKind.EXIT,
                sequence=len(self.records),
                cpu=0,
                tid=tid,
                pid=self._group(tid),
                abi="",
                number=0,
                result=status,
                end_ns=now,
                start_ns=None,
            )
        )

    def _blobs(self, tid: int, number: int, args: tuple[int, ...], result: int | None) -> dict[int, Blob]:
        """What arguments point to, by the plan of real records; a call that failed has filled in nothing."""
        found = {}
        failed = result is None or -4096 < result < 0
        for each in plan_of(syscall_name(number, self.abi)).captures:
            address = args[each.argument]
            if each.kind is BlobKind.PATH:
                if not (each.bytes and failed):
                    data = ptrace.string(tid, address)
                    found[each.argument] = Blob(each.kind, data or b"", unread=data is None)
                continue
            if not address or (failed and each.kind in (BlobKind.ADDRESS_OUT, BlobKind.BYTES_OUT)):
                continue
            length = each.bytes
            if each.kind is BlobKind.ADDRESS_IN:
                length = min(args[each.argument + 1] & 0xFFFFFFFF, 128)
            elif each.kind is BlobKind.ADDRESS_OUT:
                length = min(int.from_bytes(ptrace.memory(tid, args[each.argument + 1], 4), "little"), 128)
            data = ptrace.memory(tid, address, length)
            found[each.argument] = Blob(each.kind, data, unread=not data)
        return found


def main(jobs: str, output: str) -> None:
    """Record all jobs of a file, one after the other."""
    with open(jobs, "rb") as file:
        wanted = msgspec.msgpack.decode(file.read(), type=list[Job])
    made: list[Any] = [Recorder(job).run() for job in wanted]
    with open(output, "wb") as file:
        file.write(msgspec.msgpack.encode(made))


if __name__ == "__main__":
    main(*sys.argv[1:])

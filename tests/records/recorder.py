"""Programs recorded by ptrace: the arguments that the kernel was given, as records have them, without eBPF.

Run as a process of its own, since it waits for all its children:  python -m tests.records.recorder JOBS OUTPUT
"""

from __future__ import annotations

import contextlib
import os
import struct
import sys
import time
from typing import Any

import msgspec

from straced.records import plans
from straced.records.plans import Capture, plan_in, plan_of
from straced.records.values import (
    GIVEN_PLACE,
    MESSAGE_CONTROL,
    MESSAGE_NAME,
    Blob,
    BlobKind,
    OpenDescriptor,
    Record,
    RecordedProcess,
    RecordingFacts,
    RecordKind,
)
from straced.syscalls import native_abi, syscall_name
from tests.records import ptrace
from tests.records.jobs import Job, fresh

EXECUTING = ("execve", "execveat")


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
            name = syscall_name(number, self.abi)
            early = self._blobs(tid, number, args, None) if name in EXECUTING else self._given(tid, name, args)
            self.inside[tid] = now, (number, *args), early
        elif tid in self.inside:
            start, (number, *args), early = self.inside.pop(tid)
            result = words[0]
            executing = syscall_name(number, self.abi) in EXECUTING
            blobs = early if executing else self._blobs(tid, number, tuple(args), result) | early
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
        for each in plan_in(syscall_name(number, self.abi), self.abi).captures:
            if each.kind == plans.BLOCKED:
                found[each.argument] = Blob(BlobKind.BYTES_OUT, ptrace.blocked(tid).to_bytes(8, "little"))
                continue
            address = args[each.argument]
            if each.kind is BlobKind.GIVEN:
                continue
            if each.kind == plans.MESSAGE:
                found |= self._message(tid, each.argument, address)
                continue
            if each.kind is BlobKind.PATH:
                if not (each.bytes and failed):
                    data = ptrace.string(tid, address)
                    found[each.argument] = Blob(each.kind, data or b"", unread=data is None)
                continue
            if not address or (failed and each.kind in (BlobKind.ADDRESS_OUT, BlobKind.BYTES_OUT)):
                continue
            if each.kind is BlobKind.ADDRESS_IN:
                length, most = args[each.argument + 1] & 0xFFFFFFFF, 128
            elif each.kind is BlobKind.ADDRESS_OUT:
                length, most = int.from_bytes(ptrace.memory(tid, args[each.argument + 1], 4), "little"), 128
            else:
                length, most = self._length(tid, each, args, result or 0), each.bytes
                if not length or address < 4096:
                    continue
            data = ptrace.memory(tid, address, min(length, most))
            found[each.argument] = Blob(BlobKind(each.kind), data, unread=not data and length > 0, cut=length > most)
        return found

    def _length(self, tid: int, capture: Capture, args: tuple[int, ...], result: int) -> int:
        """As ``bpf/record_structures.h`` has it."""
        match capture.sized:
            case plans.FIXED:
                return capture.bytes
            case plans.BY_RESULT:
                return result
            case plans.BY_REQUEST:
                last = args[1] & 0xFF
                sizes = dict.fromkeys((1, 2, 3, 4, 0x2A, 0x2B, 0x2C, 0x2D), 16) | dict.fromkeys(
                    (5, 6, 7, 8, 0x13, 0x14), 8
                )
                return sizes.get(last, 0 if last == 0x12 else 4) if args[1] & 0xFF00 == 0x5400 else 0
            case plans.BY_COMMAND:
                return (dict.fromkeys((5, 6, 7, 36, 37, 38), 32) | {15: 8, 16: 8}).get(args[1], 0)
            case plans.BY_OPTION | plans.BY_ASKED_OPTION:
                level, option = args[1], args[2]
                plain = option not in (14, 32, 33) and option < 37 if level == 6 else level in (0, 1, 17, 41)
                if not plain:
                    return 0
                asked = int.from_bytes(ptrace.memory(tid, args[4], 4), "little")
                return asked if capture.sized == plans.BY_ASKED_OPTION else args[4]
        if capture.sized < plans.BY_INT:
            return args[capture.sized - plans.BY_ARGUMENT] & 0xFFFFFFFF
        return int.from_bytes(ptrace.memory(tid, args[capture.sized - plans.BY_INT], 4), "little")

    def _given(self, tid: int, name: str, args: tuple[int, ...]) -> dict[int, Blob]:
        """What a call is given that it changes."""
        found = {}
        for each in plan_of(name).captures:
            if each.kind is BlobKind.GIVEN and (data := ptrace.memory(tid, args[each.argument], each.bytes)):
                found[GIVEN_PLACE + each.argument] = Blob(BlobKind.GIVEN, data)
        return found

    def _message(self, tid: int, argument: int, address: int) -> dict[int, Blob]:
        head = ptrace.memory(tid, address, 56)
        found = {argument: Blob(BlobKind.BYTES_IN, head, unread=not head)}
        if len(head) == 56:
            name, name_length, _parts, _count, control, control_length = struct.unpack_from("=QI4x4Q", head)
            if name and name_length:
                found[MESSAGE_NAME] = Blob(BlobKind.ADDRESS_IN, ptrace.memory(tid, name, min(name_length, 128)))
            if control and control_length:
                found[MESSAGE_CONTROL] = Blob(BlobKind.BYTES_IN, ptrace.memory(tid, control, min(control_length, 128)))
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

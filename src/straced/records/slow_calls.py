"""A call over the limit, from its record and the names of its descriptors."""

from __future__ import annotations

import os
import time

from msgspec.structs import replace

from straced.model.slow import SlowSyscall
from straced.records import names
from straced.records.names import SOCKETS, SubjectName
from straced.records.plans import plan_of
from straced.records.subjects import descriptors_of
from straced.records.text.compiled import CompiledCall, compile_call
from straced.records.text.descriptors import Descriptor, DescriptorNames, DirectoryHolder
from straced.records.text.processes import Process
from straced.records.text.tables import constants
from straced.records.values import Blob, BlobKind, Record, RecordKind
from straced.syscalls import syscall_name
from straced.text.redaction import redact
from straced.text.sanitize import scrub, scrub_bytes

HERE = 6
"""The number under which a record has the working directory."""
_READERS = {BlobKind.FILE: names.of_file, BlobKind.SOCKET: names.of_socket}
_MOST_TEXT = 1000


class SlowCallReader:
    """Turn records with the names of descriptors into :class:`~straced.model.slow.SlowSyscall`.

    Args:
        redacted: secrets in paths and arguments are replaced by ``***``, for others to see.
    """

    def __init__(self, *, redacted: bool = False) -> None:
        self._calls: dict[tuple[int, str], CompiledCall] = {}
        self._redact = redact if redacted else str

    def read(self, record: Record, comm: bytes) -> SlowSyscall:
        """One call.

        Args:
            record: its blobs have the descriptors, by the number of the argument; of a program that an execve has begun
                under 0.
            comm: the name of its thread.
        """
        name = syscall_name(record.number, record.abi)
        record = replace(record, args=record.args[: plan_of(name).nargs])
        known = {
            place: subject
            for place, blob in record.blobs.items()
            if (read := _READERS.get(blob.kind)) is not None and (subject := read(blob)) is not None
        }
        start_ns = record.end_ns if record.start_ns is None else record.start_ns
        failed = record.result is not None and -4096 < record.result < 0
        return SlowSyscall(
            name=name,
            abi=record.abi,
            pid=record.pid,
            tid=record.tid,
            comm=scrub_bytes(comm),
            epoch_s=time.time() - (time.monotonic_ns() - start_ns) / 1e9,
            start_ns=start_ns,
            duration_ns=record.end_ns - start_ns,
            waiting_ns=record.waiting_ns,
            inside=record.kind is not RecordKind.CALL,
            result=record.result,
            errno=_errno(-(record.result or 0), record.abi) if failed else None,
            path=self._path(record, name, known),
            peer=self._peer(record, name, known),
            kind=next((known[place].kind for place in sorted(known) if place != HERE), ""),
            call=self._text(record, name, known),
        )

    def _path(self, record: Record, name: str, known: dict[int, SubjectName]) -> str | None:
        found = b""
        for place, blob in sorted(record.blobs.items()):
            if blob.kind is BlobKind.PATH and not blob.unread:
                above = known.get(place - 1) if place - 1 in descriptors_of(name) else known.get(HERE)
                found = blob.data + (b"..." if blob.cut else b"")
                if not found.startswith(b"/") and above is not None:
                    found = os.path.normpath(os.path.join(above.path, found)) if found else above.path
                break
        else:
            subjects = [known[place] for place in sorted(known) if place != HERE and known[place].kind not in SOCKETS]
            found = subjects[0].path if subjects else b""
        return self._redact(scrub_bytes(found)) if found else None

    def _peer(self, record: Record, name: str, known: dict[int, SubjectName]) -> str | None:
        sockets = [subject for place, subject in sorted(known.items()) if subject.kind in SOCKETS]
        peer = sockets[0].peer if sockets else ""
        for blob in record.blobs.values():
            if blob.kind in (BlobKind.ADDRESS_IN, BlobKind.ADDRESS_OUT) and (given := names.of_address(blob.data)):
                kind = peer.split(" ")[0] if peer else sockets[0].text.split(":")[0].lower() if sockets else ""
                peer = given if given.startswith("unix ") else f"{kind} {given}".strip()
        return self._redact(scrub(peer)) if peer else None

    def _text(self, record: Record, name: str, known: dict[int, SubjectName]) -> str:
        call = self._calls.get((record.number, record.abi))
        if call is None:
            call = self._calls[record.number, record.abi] = compile_call(record.number, record.abi, words=True)
        numbers = {_number(record.args[place]): known[place] for place in known if place < len(record.args)}
        entries = {number: Descriptor(each.text, deleted=each.deleted) for number, each in numbers.items()}
        process = Process(DescriptorNames(entries), DirectoryHolder())
        here = known.get(HERE) or numbers.get(-100)
        if here is not None:
            process.directory.move(here.path)
        record = replace(record, blobs=_pointed_to(record, known))
        begun = record.kind is not RecordKind.CALL
        text = f"{call.begun(record, process).rstrip()} ..." if begun else call.call(record, process)
        return self._redact(scrub(text, _MOST_TEXT))


def _pointed_to(record: Record, known: dict[int, SubjectName]) -> dict[int, Blob]:
    """What arguments point to, without what they stand for; of an execve that succeeded the program is both."""
    found = {place: blob for place, blob in record.blobs.items() if blob.kind not in _READERS}
    if not record.args and 0 in known:
        found[0] = Blob(BlobKind.PATH, known[0].path)
    return found


def _errno(code: int, abi: str) -> str:
    return next((name for value, name in constants(abi)["errno"] if value == code), f"ERRNO_{code}")


def _number(value: int) -> int:
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value & 0x80000000 else value

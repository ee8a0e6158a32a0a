"""Sums by file and peer, from the rows that the programs keep, with the names that they have told of them."""

from __future__ import annotations

import os

from straced.model.files import FileCounts, FileTable, p99, table_of
from straced.records import names
from straced.records.values import Blob, BlobKind
from straced.text.sanitize import scrub, scrub_bytes
from straced.tracers.ebpf import detail_wire
from straced.tracers.ebpf.detail_engine import DetailEngine
from straced.tracers.ebpf.errnos import errno_name
from straced.tracers.ebpf.peer_names import name_of

DIRECTORY = 7
"""The number under which the name of a path has its directory."""
_UNKNOWN: tuple[str | None, str] = (None, "")


class FileSums:
    """The sums of the sessions of one engine that want them."""

    def __init__(self, engine: DetailEngine) -> None:
        self._engine = engine
        self._names: dict[int, dict[bytes, tuple[str | None, str]]] = {}

    def __len__(self) -> int:
        return len(self._names)

    def begin(self, session: int) -> None:
        """A session wants them from now on."""
        self._names[session] = {}
        self._engine.add_file_row(detail_wire.WireFileKey(session=session, kind=detail_wire.BY_OTHERS))
        self._engine.limit(session).files = 1

    def end(self, session: int) -> None:
        """A session is over."""
        if self._names.pop(session, None) is not None and self._engine.loaded:
            self._engine.limit(session).files = 0
            self._engine.drop_file_rows(session)

    def name(self, told: detail_wire.WireFileTold, blobs: dict[int, Blob]) -> None:
        """The programs have told what a row is about."""
        known = self._names.get(told.head.session)
        if known is not None:
            known[bytes(told.key)] = _name(blobs)

    def state(self, session: int) -> FileTable | None:
        """All of a session so far; ``None`` of one that does not want it."""
        known = self._names.get(session)
        if known is None:
            return None
        rows, others = [], None
        for raw_key, raw in self._engine.file_rows():
            key = detail_wire.WireFileKey.from_buffer_copy(raw_key)
            if key.session != session:
                continue
            row = detail_wire.WireFileRow.from_buffer_copy(raw)
            if key.kind == detail_wire.BY_OTHERS:
                others = _use(row, None, "") if row.calls else None
            elif row.calls:
                rows.append(_use(row, *(name_of(key) or known.get(raw_key, _UNKNOWN))))
        return table_of(rows, others, int(self._engine.limit(session).unplaced))


def _use(row: detail_wire.WireFileRow, name: str | None, kind: str) -> FileCounts:
    counts = list(row.histogram)
    while counts and not counts[-1]:
        counts.pop()
    buckets = tuple(counts)
    return FileCounts(
        name=name,
        kind=kind,
        calls=row.calls,
        errors=row.errors,
        errno=errno_name(row.error) if row.error else None,
        bytes=row.bytes,
        wall_ns=row.wall_ns,
        waiting_ns=row.waiting_ns,
        max_ns=row.max_ns,
        p99_ns=p99(buckets, row.max_ns),
        syncs=row.syncs,
        sync_ns=row.sync_ns,
        replies=row.replies,
        reply_ns=row.reply_ns,
        reply_max_ns=row.reply_max_ns if row.replies else None,
        histogram=buckets,
    )


def _name(blobs: dict[int, Blob]) -> tuple[str | None, str]:
    for blob in blobs.values():
        if blob.kind is BlobKind.PATH and not blob.unread:
            path = blob.data
            if not path.startswith(b"/"):
                above = names.of_file(blobs[DIRECTORY]) if DIRECTORY in blobs else None
                if above is None:
                    return f"?/{scrub_bytes(path)}", "path"
                path = os.path.normpath(os.path.join(above.path, path))
            return scrub_bytes(path), "path"
        if blob.kind is BlobKind.ADDRESS_IN and (address := names.of_address(blob.data)):
            return scrub(address), "socket"
        if blob.kind is BlobKind.FILE and (file := names.of_file(blob)) is not None:
            return scrub_bytes(file.path), file.kind
        if blob.kind is BlobKind.SOCKET and (socket := names.of_socket(blob)) is not None:
            return scrub(socket.peer) or scrub_bytes(socket.path), socket.kind
    return _UNKNOWN

"""A row of the table of processes as a value."""

from __future__ import annotations

import msgspec

from straced.model.history import SeriesInfo

INFO = (
    "id, kind, pid, start_ticks, boot_id, comm, program, cmdline, uid, gid, private, labels, first_ms, last_ms, end,"
    " exit_status"
)
"""The columns that :func:`info_of` takes."""


def info_of(row: tuple[object, ...]) -> SeriesInfo:
    """The process of a row with the columns of ``INFO``."""
    (number, kind, pid, start, boot, comm, program, cmdline, uid, gid, private, labels, first, last, end, status) = row
    return msgspec.convert(
        {
            "id": number,
            "kind": kind,
            "pid": pid,
            "start_ticks": start,
            "boot_id": boot,
            "comm": comm,
            "program": program,
            "cmdline": msgspec.json.decode(str(cmdline) or "[]"),
            "uid": uid,
            "gid": gid,
            "private": bool(private),
            "labels": msgspec.json.decode(str(labels) or "{}"),
            "first_s": float(first) / 1000,  # type: ignore[arg-type]
            "last_s": float(last) / 1000,  # type: ignore[arg-type]
            "end": end,
            "exit_status": status,
        },
        SeriesInfo,
    )

"""The process in which the service has its history written out: what that takes of memory is given back at its end.

It reads one request from stdin and writes one answer to stdout, both JSON. It ends with the service, whatever ends it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sqlite3
import sys
from pathlib import Path

import msgspec
from msgspec import Struct

from straced.errors import StracedError

PR_SET_PDEATHSIG = 1
NICE = 10


class ExportRequest(Struct, frozen=True):
    """What is to be written where; see :class:`straced.store.hourly_export.HourlyExport`."""

    database: str
    folder: str
    host: str
    keep_ns: int
    owner: int
    """The process that waits for the answer."""


class ExportAnswer(Struct, frozen=True):
    """What came of it."""

    hours: int = 0
    files: int = 0
    bytes: int = 0
    removed: int = 0
    waiting: int | None = None
    """Hours that are over and not written; ``None``: not known."""
    error: str = ""
    hint: str = ""


def answer(request: ExportRequest) -> ExportAnswer:
    """Write what is due."""
    from straced.store.history import History
    from straced.store.hourly_export import HourlyExport, HoursWritten

    done, error, hint = HoursWritten([]), "", ""
    try:
        with contextlib.closing(History(Path(request.database))) as history:
            export = HourlyExport(history, Path(request.folder), request.host, request.keep_ns)
            try:
                export.run()
            finally:
                done = export.done
    except StracedError as failed:
        error, hint = failed.reason, failed.hint
    except (OSError, sqlite3.Error) as failed:
        error = str(failed)
    return ExportAnswer(len(done.hours), done.files, done.bytes, done.removed, done.waiting, error, hint)


def main() -> int:
    """Answer one request."""
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=ExportRequest)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != request.owner:  # it ended before that was said
        return 1
    os.nice(NICE)
    sys.stdout.buffer.write(msgspec.json.encode(answer(request)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

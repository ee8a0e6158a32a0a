"""The process in which the service has its history written out: what that takes of memory is given back at its end.

It reads one request from stdin and writes one answer to stdout, both JSON. It ends with the service, whatever ends it.
"""

from __future__ import annotations

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
    error: str = ""
    hint: str = ""


def answer(request: ExportRequest) -> ExportAnswer:
    """Write what is due."""
    from straced.store.history import History
    from straced.store.hourly_export import HourlyExport

    try:
        history = History(Path(request.database))
        try:
            done = HourlyExport(history, Path(request.folder), request.host, request.keep_ns).run()
        finally:
            history.close()
    except StracedError as error:
        return ExportAnswer(error=error.reason, hint=error.hint)
    except (OSError, sqlite3.Error) as error:
        return ExportAnswer(error=str(error))
    return ExportAnswer(len(done.hours), done.files, done.bytes, done.removed)


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

"""A process that tallies blocks: ``python -m straced.traces.analysis.worker``, spoken to over its stdin and stdout.

In: its task as msgpack, then blocks, each behind its length and the number of its first line; length 0 ends. Out: the
result as msgpack. Lengths and numbers are little-endian 64-bit. No pickle, so nothing that is read can run.
"""

from __future__ import annotations

import gc
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from straced.errors import StracedError
from straced.traces.analysis.partial_counts import TallyResult, result_of
from straced.traces.analysis.tally import LineTally
from straced.traces.parsing.line_format import Form

FRAME = struct.Struct("<QQ")
_PIPE_BYTES = 1 << 20


class WorkerTask(Struct, kw_only=True):
    """What a worker is to do."""

    form: Form
    ticks: bool = False


class WorkerDied(StracedError):
    """A helper process ended before it gave its figures (killed, or out of memory)."""

    code = "worker_died"


class TraceWorker:
    """The caller's side of one worker."""

    def __init__(self, task: WorkerTask) -> None:
        package = str(Path(__file__).parents[3])
        path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH", "")]))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "straced.traces.analysis.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        _enlarge(self._in)
        self._write(msgspec.msgpack.encode(task), 0)

    def _write(self, data: bytes, number: int) -> None:
        try:
            self._in.write(FRAME.pack(len(data), number))
            self._in.write(data)
        except OSError as error:
            raise WorkerDied("a helper process of the report died", hint="try again with --jobs 1") from error

    def feed(self, block: bytes, first_line: int) -> None:
        """Hand a block over; waits when the worker is behind."""
        self._write(block, first_line)

    def finish(self) -> TallyResult:
        """End the input and take the result."""
        try:
            self._in.write(FRAME.pack(0, 0))
            self._in.close()
            data = self._out.read()
        except OSError:
            data = b""
        status = self._process.wait()
        self._out.close()
        if status != 0 or not data:
            raise WorkerDied(
                f"a helper process of the report ended with status {status}", hint="try again with --jobs 1"
            )
        return msgspec.msgpack.decode(data, type=TallyResult)

    def kill(self) -> None:
        """End it without a result; nothing when it has ended."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._in, self._out):
            try:
                stream.close()
            except OSError:
                continue


def _enlarge(stream: object) -> None:
    """A larger pipe means fewer switches between the processes; F_SETPIPE_SZ of fcntl(2)."""
    import fcntl

    try:
        fcntl.fcntl(stream.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)  # type: ignore[attr-defined]
    except OSError:
        return


def serve(stdin: BinaryIO, stdout: BinaryIO) -> int:
    """The worker's side."""
    gc.disable()  # nothing here makes cycles, and the collector would look at millions of tuples
    length, _ = FRAME.unpack(stdin.read(FRAME.size))
    task = msgspec.msgpack.decode(stdin.read(length), type=WorkerTask)
    tally = LineTally(task.form, ticks=task.ticks)
    while len(head := stdin.read(FRAME.size)) == FRAME.size:
        length, number = FRAME.unpack(head)
        if length == 0:
            try:
                stdout.write(msgspec.msgpack.encode(result_of(tally)))
                stdout.flush()
            except BrokenPipeError:
                return 1  # the owner died
            return 0
        tally.feed(stdin.read(length), number)
    return 1  # the owner died


if __name__ == "__main__":
    sys.exit(serve(sys.stdin.buffer, sys.stdout.buffer))

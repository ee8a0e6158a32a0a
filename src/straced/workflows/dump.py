"""What a flight recorder holds, fetched from another shell: of a recorder of one's own, else of the service."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from msgspec import structs

from straced.concurrency import stopping
from straced.errors import OutputError, StracedError
from straced.linux.output_file import OutputFile
from straced.linux.scratch_file import scratch_file
from straced.linux.targets import TargetSpec, resolve
from straced.records.reader import RecordFile
from straced.records.redacting import write_redacted
from straced.workflows import flight_link
from straced.workflows.flight import say_answer
from straced.workflows.flight_link import DumpAnswer, DumpRequest


class NoRecorder(StracedError):
    """Nobody keeps the calls of this process."""

    exit_code = 6
    code = "no_recorder"


def dump_target(
    specs: Sequence[TargetSpec],
    output: Path,
    *,
    overwrite: bool,
    last_ns: int | None,
    min_free_bytes: int | None,
    redact: bool = False,
) -> int:
    """Have the recorder of a process write down what it holds; return the exit status.

    Args:
        specs: whose calls.
        output: the file.
        overwrite: replace an existing file.
        last_ns: only calls that ended so long before, or later.
        min_free_bytes: to leave free on its disk.
        redact: leave out secrets.

    Raises:
        OutputError: there is no room for it; no file is left.
        NoRecorder: nobody keeps calls of it.
        StracedError: what the service refuses with.
    """
    pids = tuple(pid for spec in specs for pid in resolve(spec))
    request = DumpRequest(pids=pids, last_ns=last_ns, min_free_bytes=min_free_bytes)
    answer: DumpAnswer | None
    try:
        answer = _of_ours(request, output, overwrite, redact)
    except NoRecorder:
        answer = stopping.cancelled_by_ctrl_c(_of_the_service(pids[0], output, overwrite, request, redact))
        if answer is None:
            hint = f"begin one: straced record {specs[0]}" + ("" if os.geteuid() == 0 else ", or ask as its user: sudo")
            raise NoRecorder(f"no flight recorder of yours keeps the calls of {specs[0]}", hint=hint) from None
    say_answer(answer, output)
    return 0


def _of_ours(request: DumpRequest, output: Path, overwrite: bool, redact: bool) -> DumpAnswer:
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(OutputFile(output, overwrite=overwrite))
        fd = stack.enter_context(scratch_file()).fileno() if redact else file.fd
        answer = flight_link.ask(request, fd)
        if answer is None:
            raise NoRecorder("none")
        if answer.error:
            raise OutputError(answer.error, hint=answer.hint)
        if redact:
            write_redacted(RecordFile(Path(f"/proc/self/fd/{fd}")), file.binary)
            answer = structs.replace(answer, bytes=file.binary.tell())
        return answer


async def _of_the_service(
    pid: int, output: Path, overwrite: bool, request: DumpRequest, redact: bool
) -> DumpAnswer | None:
    from straced.client.client import Client, is_there

    if not await asyncio.to_thread(is_there):
        return None
    async with Client() as client:
        taken = await client.dump(
            pid,
            output,
            overwrite=overwrite,
            last_s=None if request.last_ns is None else request.last_ns / 1e9,
            min_free_bytes=request.min_free_bytes,
            redacted=redact,
        )
    return DumpAnswer(held=True, bytes=taken.bytes, calls=taken.calls, span_ns=taken.span_ns)

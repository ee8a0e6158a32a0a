"""A trace by records in the kernel, taken from a shell: into a ``.strc`` file, or as text in strace's format."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct, structs

from straced import gating
from straced.concurrency import stopping
from straced.concurrency.stopping import StopRequests
from straced.errors import NoSuchProcess, OutputError, StracedError, TracerUnavailable
from straced.linux import procfs
from straced.linux.output_file import OutputFile
from straced.linux.scratch_file import scratch_file
from straced.linux.targets import TargetSpec, process_of, resolve
from straced.model.types import Target
from straced.profiling.found_target import find, named_after
from straced.profiling.record_text import LINES, STOP_S, TextCopier
from straced.text.sanitize import scrub
from straced.text.units import count_of, format_bytes, format_count
from straced.tracers.base import Ending
from straced.tracers.ebpf import recorder
from straced.tracers.ebpf.record_session import EbpfRecording, RecorderOptions
from straced.tracers.ebpf.recorder import LoadedRecorder
from straced.tracers.strace import free_space
from straced.tracers.strace.recording import OUTPUT_ERRORS
from straced.views.text import streams
from straced.workflows.foreground import Foreground

ENDS = {"max_bytes": "the trace has reached its size (--max-bytes)"}
BROKEN_PIPE = 141
_SILENCE_S = 1.0


class TraceOutput(Struct, frozen=True):
    """Where a trace goes."""

    path: Path | None
    """``None``: to stdout, or of a command to stderr."""
    overwrite: bool = False
    redacted: bool = False
    """Without secrets; of text only."""
    binary: bool = False
    """Records are kept as they are."""
    page: Path | None = None
    """Named in words to the user instead of ``path``, which is kept for that page only."""


def record_target(spec: TargetSpec, options: RecorderOptions, output: TraceOutput) -> int:
    """Record until the target ends, a limit is reached or Ctrl-C is pressed; return the exit status.

    Args:
        spec: a process, or all trees of a unit or container.
        options: what is recorded.
        output: where it goes.

    Raises:
        OutputError, AttachError, TracerUnavailable: nothing was recorded, and no file is left.
    """
    pids = tuple(dict.fromkeys(process_of(pid, "trace", "traced") for pid in resolve(spec)))
    return stopping.run(lambda requests: _record_target(pids, options, output, requests))


async def _record_target(
    pids: tuple[int, ...], options: RecorderOptions, output: TraceOutput, requests: StopRequests
) -> int:
    if not _still_there(pids):
        raise NoSuchProcess(f"there is no process {pids[0]}", pid=pids[0])  # said without the time of a load
    loaded = await recorder.load(options)
    screen = sys.stdout.fileno()
    async with _trace(loaded, pids, output, screen, header=not os.isatty(screen)) as trace:
        if output.path is not None and sys.stderr.isatty():
            more = f" and {len(pids) - 1} more" if len(pids) > 1 else ""
            _say(f"tracing {pids[0]}{more} into {scrub(str(output.page or output.path))}; Ctrl-C ends it")
        if output.path is None:
            requests.leave_a_standing_reader()
        return await trace.until_over(requests)


def record_command(
    words: Sequence[str],
    options: RecorderOptions,
    output: TraceOutput,
    otherwise: Callable[[TracerUnavailable], int],
) -> int:
    """Run a command that is recorded from its first instruction; return the status that a shell would see.

    Without a file lines go to stderr, as strace's do.

    Args:
        words: the command.
        options: what is recorded.
        output: where it goes.
        otherwise: what is done where eBPF cannot serve, before anything was started; it may raise that.

    Raises:
        CommandNotFound, ExecFailed, OutputError, AttachError, TracerUnavailable: nothing was run.
    """
    argv = gating.gate(words)
    with Foreground() as foreground:

        def start() -> subprocess.Popen[bytes]:
            process = foreground.start(argv, close_fds=False)
            gating.remember(process.pid)
            return process

        try:
            return stopping.cancelled_by_ctrl_c(_record_command(start, foreground, options, output))
        except TracerUnavailable as error:
            if foreground.pid:
                raise
            refused = error
    return otherwise(refused)


async def _record_command(
    start: Callable[[], subprocess.Popen[bytes]],
    foreground: Foreground,
    options: RecorderOptions,
    output: TraceOutput,
) -> int:
    loaded = await recorder.load(options)
    process = start()
    async with contextlib.AsyncExitStack() as stack:
        try:
            lines = _trace(loaded, (process.pid,), output, sys.stderr.fileno())  # stdout is the command's
            trace = await stack.enter_async_context(lines)
        except BaseException as error:
            ended = process.poll()
            gating.shut(process)  # who records opens it last: the command was never started
            if isinstance(error, StracedError) and ended is not None and ended < 0:
                return 128 - ended  # Ctrl-C: that is what ended it, and no fault
            raise
        over = asyncio.ensure_future(_until_over(trace))
        status = await foreground.wait()
        process.returncode = status
        await over
    return status if status >= 0 else 128 - status


async def _until_over(trace: RecordedTrace) -> None:
    """Wait for the end of a trace whose failure is said at once, and is not the command's."""
    try:
        await trace.until_over()
    except StracedError as error:
        _say(scrub(str(error)))


class RecordedTrace:
    """A recording, and where it goes as text, if it does."""

    def __init__(self, recording: EbpfRecording, text: TextCopier | None, shown: Path | None) -> None:
        self._recording = recording
        self._text = text
        self._shown = shown

    async def until_over(self, requests: StopRequests | None = None) -> int:
        """Return the exit status.

        Args:
            requests: to stop; ``None`` when only the end of the target does.

        Raises:
            OutputError: the file has no room.
        """
        ended = asyncio.ensure_future(self._recording.wait())
        copied = asyncio.ensure_future(self._text.run()) if self._text else None
        stopped = asyncio.ensure_future(requests.event.wait()) if requests is not None else None
        waiting: list[asyncio.Future[Any]] = [each for each in (ended, stopped, copied) if each is not None]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        cut = self._text.cut if self._text else None
        ending = await (ended if ended.done() else self._recording.stop(Ending(reason=cut) if cut else None))
        ended.cancel()
        if stopped is not None:
            stopped.cancel()
        if self._text is not None and copied is not None:
            await self._write_rest(self._text, copied, requests)
        if self._text is not None and self._text.cut:
            if self._text.cut == "reader_gone":
                return BROKEN_PIPE
            ending = Ending(reason=self._text.cut)
        self._say_end(ending)
        return 0

    async def _write_rest(self, text: TextCopier, copied: asyncio.Future[None], requests: StopRequests | None) -> None:
        """Write what has been recorded: into a file all, unless asked once more to stop; to a reader what is soon."""
        stopped = requests is not None and requests.event.is_set()
        text.finish(STOP_S if stopped and self._shown is None else None)
        waiting: list[asyncio.Future[Any]] = [copied]
        if requests is not None:
            waiting.append(asyncio.ensure_future((requests.again if stopped else requests.event).wait()))
        done, _ = await asyncio.wait(waiting, timeout=_SILENCE_S, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            if self._shown is not None and sys.stderr.isatty():
                _say("writing the lines of what was recorded; Ctrl-C leaves the rest out")
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if copied not in done:
            text.finish(0)
        for each in waiting[1:]:
            each.cancel()
        await copied

    def _say_end(self, ending: Ending) -> None:
        if ending.reason in OUTPUT_ERRORS:
            raise OutputError(OUTPUT_ERRORS[ending.reason])
        if word := ENDS.get(ending.reason):
            _say(word)
        if (end := self._recording.end) is not None and (lost := sum(each.lost for each in end.calls.values())):
            counted = sum(each.counted for each in end.calls.values())
            _say(f"{format_count(lost)} of {count_of(counted, 'call')} {'is' if lost == 1 else 'are'} missing: "
                 f"{'it' if lost == 1 else 'they'} came faster than could be written (--ring)")  # fmt: skip
        if self._text is not None and self._text.dropped:
            without = count_of(self._text.dropped, "call has no line", "calls have no line")
            _say(f"{without}: there was no time to write more (-o FILE.strc keeps all)")
        if self._shown is not None and sys.stderr.isatty():
            with contextlib.suppress(OSError):
                _say(f"{format_bytes(self._shown.stat().st_size)} in {scrub(str(self._shown))}")


@asynccontextmanager
async def _trace(
    loaded: LoadedRecorder, pids: tuple[int, ...], output: TraceOutput, screen: int, *, header: bool = False
) -> AsyncIterator[RecordedTrace]:
    """Begin, on processes or on the program behind a gate, which then opens; end it with the block.

    Without a path the lines go to the descriptor ``screen``, behind a header if one is wanted.
    """
    with contextlib.ExitStack() as stack:
        try:
            path = output.path
            file = stack.enter_context(OutputFile(path, overwrite=output.overwrite)) if path is not None else None
            if file is not None and output.binary:
                fd = file.fd
            else:
                fd = stack.enter_context(scratch_file()).fileno()
            limits = loaded.options
            floor = None if file is None else free_space.floor_bytes(file.fd, limits.min_free_bytes)
            recording = await _begin(loaded, pids, fd)
        except BaseException:
            await loaded.close()
            raise
        text = None
        try:
            if file is not None:
                file.commit()
            if fd != (file.fd if file else -1):
                text = TextCopier(
                    fd,
                    recording,
                    screen if file is None else file.fd,
                    header=header or file is not None,
                    options=structs.replace(LINES, redacted=output.redacted),
                    max_bytes=None if file is None else limits.max_bytes,
                    floor=floor,
                )
            yield RecordedTrace(recording, text, None if output.page else path)
        finally:
            await asyncio.shield(recording.stop())


async def _begin(loaded: LoadedRecorder, pids: tuple[int, ...], fd: int) -> EbpfRecording:
    """Begin; a gate stays shut when that fails: whoever started it ends it."""
    pid, *others = pids
    with gating.asking(pid, gating.COUNTS) as ask:
        target, program = await find(pid, ask)
        try:
            if program is None:
                return await loaded.begin(target, fd, others=_still_there(others))
            return await loaded.begin(named_after(target, program), fd, gated=True)
        except BaseException:
            ask.gated = False
            raise


def _still_there(pids: Sequence[int]) -> list[Target]:
    found = []
    for pid in pids:
        with contextlib.suppress(procfs.Gone, ProcessLookupError):
            found.append(procfs.target(pid))
    return found


def _say(text: str) -> None:
    streams.say(f"straced: {text}")

"""A flight recorder at a shell: keeps the last calls of processes until it is ended, and writes them when asked to."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from straced.concurrency import stopping
from straced.errors import StracedError
from straced.linux import procfs
from straced.linux.dump_budget import DumpFolder
from straced.linux.output_file import OutputFile
from straced.linux.targets import TargetSpec, process_of, resolve
from straced.text.sanitize import scrub
from straced.text.units import count_of, format_bytes, format_ns
from straced.tracers.ebpf import flight
from straced.tracers.ebpf.flight import FlightOptions, FlightRecorder
from straced.tracers.ebpf.flight_file import Dumped
from straced.views.text import streams
from straced.workflows.flight_link import DumpAnswer, DumpRequest, RecorderSocket


class DumpPlan(Struct, frozen=True, kw_only=True):
    """What a recorder writes by itself."""

    folder: Path
    """Where a signal's dumps go."""
    max_bytes: int
    max_days: float
    last_ns: int | None = None
    output: Path | None = None
    """Written at the end."""
    overwrite: bool = False
    max_seconds: float | None = None


def record_targets(specs: Sequence[TargetSpec], options: FlightOptions, plan: DumpPlan) -> int:
    """Keep the last calls until all targets have ended, or Ctrl-C is pressed; return the exit status.

    Args:
        specs: whose.
        options: what is kept.
        plan: what is written, and where.

    Raises:
        OutputError, AttachError, TracerUnavailable: nothing was recorded.
    """
    found = [pid for spec in specs for pid in resolve(spec)]
    pids = list(dict.fromkeys(process_of(pid, "record", "recorded") for pid in found))
    return stopping.cancelled_by_ctrl_c(_record(pids, options, plan))


async def _record(pids: list[int], options: FlightOptions, plan: DumpPlan) -> int:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    signalled = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGUSR1, signalled.set)
    with OutputFile(plan.output, overwrite=plan.overwrite) if plan.output else contextlib.nullcontext() as file:
        recorder = await flight.load(options)
        try:
            for pid in pids:
                await recorder.add(procfs.target(pid))
            running = ShellRecorder(recorder, plan, pids)
            await running.run(stop, signalled)
            if file is not None:
                say_dumped(await _last(recorder, file), file.path)
        finally:
            await recorder.close()
    return 0


async def _last(recorder: FlightRecorder, file: OutputFile) -> Dumped:
    found = await recorder.close(lambda: file.fd)
    assert found is not None
    return found


class ShellRecorder:
    """One recorder with those who may ask it: a socket, and a signal.

    Args:
        recorder: it has its targets, and stays the caller's.
        plan: where dumps go.
        pids: the targets.
    """

    def __init__(self, recorder: FlightRecorder, plan: DumpPlan, pids: list[int]) -> None:
        self._recorder = recorder
        self._plan = plan
        self._pids = pids
        self._folder = DumpFolder(plan.folder, plan.max_bytes, plan.max_days)

    async def run(self, stop: asyncio.Event, signalled: asyncio.Event) -> None:
        """Answer until it is told to stop, or all targets have ended."""
        link = RecorderSocket(self._answer)
        try:
            self._say_begin()
            ended = asyncio.ensure_future(self._recorder.wait())
            stopped = asyncio.ensure_future(stop.wait())
            try:
                until = None if self._plan.max_seconds is None else time.monotonic() + self._plan.max_seconds
                while not (ended.done() or stopped.done()):
                    asked = asyncio.ensure_future(signalled.wait())
                    rest = None if until is None else max(0.0, until - time.monotonic())
                    done, _waiting = await asyncio.wait(
                        {ended, stopped, asked}, timeout=rest, return_when=asyncio.FIRST_COMPLETED
                    )
                    asked.cancel()
                    if signalled.is_set():
                        signalled.clear()
                        await self._dump_for_signal()
                    elif not done:
                        return
            finally:
                ended.cancel()
                stopped.cancel()
        finally:
            await link.close()

    def _say_begin(self) -> None:
        if sys.stderr.isatty():
            memory = format_bytes(self._recorder.memory_bytes)
            first = self._pids[0]
            _say(f"recording into {memory} of memory; straced dump {first} -o FILE writes it down; Ctrl-C ends it")

    async def _dump_for_signal(self) -> None:
        try:
            path = self._folder.new("signal", self._pids[0], self._recorder.kept_bytes)
            with OutputFile(path, make_directories=True) as file:
                dumped = await self._recorder.dump(file.fd, last_ns=self._plan.last_ns, reason="signal")
            say_dumped(dumped, path)
        except (StracedError, OSError) as error:
            _say(f"no dump: {scrub(str(error))}")

    async def _answer(self, request: DumpRequest, fd: int) -> DumpAnswer:
        if not any(self._recorder.holds(pid) for pid in request.pids):
            return DumpAnswer(held=False)
        try:
            dumped = await self._recorder.dump(fd, last_ns=request.last_ns, min_free_bytes=request.min_free_bytes)
        except StracedError as error:
            return DumpAnswer(held=True, error=error.reason, hint=error.hint)
        except OSError as error:
            return DumpAnswer(held=True, error=error.strerror or str(error))
        return answer_of(dumped)


def answer_of(dumped: Dumped) -> DumpAnswer:
    """What is said of a dump."""
    return DumpAnswer(held=True, bytes=dumped.bytes, calls=dumped.calls, span_ns=dumped.span_ns, exact=dumped.end.exact)


def say_dumped(dumped: Dumped, path: Path) -> None:
    """Say on stderr what a file holds."""
    say_answer(answer_of(dumped), path)


def say_answer(answer: DumpAnswer, path: Path) -> None:
    """The same of an answer; straight from its numbers."""
    words = f"the last {format_ns(answer.span_ns)}, {count_of(answer.calls, 'call')}, {format_bytes(answer.bytes)}"
    doubt = "" if answer.exact else "; the counters missed calls, so that nobody knows whether records are missing"
    _say(f"{words} in {scrub(str(path))}{doubt}")


def _say(text: str) -> None:
    streams.say(f"straced: {text}")

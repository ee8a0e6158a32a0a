"""Recording all calls of a process to a file: one loaded object for each, which goes with it."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter

import msgspec
from msgspec import Struct

from straced.concurrency.shielding import carry
from straced.errors import OutputError
from straced.linux import procfs
from straced.model.types import Sample, Target
from straced.records import layout
from straced.records.values import CallFates, RecordingEnd, label_of
from straced.tracers.base import AttachOptions, Ending
from straced.tracers.ebpf import loading, perf_events, preemption, probe, record_facts, record_wire, wire
from straced.tracers.ebpf.attaching import TRACEPOINTS
from straced.tracers.ebpf.instance import Instance
from straced.tracers.ebpf.record_engine import RecordEngine, RecordFilter
from straced.tracers.ebpf.ring_drain import RingDrain
from straced.tracers.ebpf.session import EbpfSession
from straced.tracers.strace import free_space


class RecorderOptions(Struct, frozen=True, kw_only=True):
    """What is recorded, and when it ends by itself."""

    follow: bool = True
    wanted: RecordFilter = RecordFilter()
    ring_bytes: int | None = None
    """Of each CPU; 8 MiB, or less on many CPUs."""
    max_bytes: int | None = None
    max_seconds: float | None = None
    min_free_bytes: int | None = None
    force: bool = False


class LoadedRecorder:
    """The programs, loaded, and not yet on any target; :func:`load` makes one."""

    def __init__(self, engine: RecordEngine, options: RecorderOptions) -> None:
        self.engine = engine
        self.options = options
        self.instance = Instance(engine)

    async def close(self) -> None:
        """Give it all back. Idempotent."""
        await self.instance.close()

    async def begin(self, target: Target, fd: int) -> EbpfRecording:
        """Record a process into a file, from now on; closes itself where that fails.

        Args:
            target: the process.
            fd: an empty regular file; it stays the caller's.

        Raises:
            AttachError: this target cannot be had.
            EbpfUnavailable: eBPF cannot serve here.
            OutputError: the disk is nearly full.
        """
        try:
            return self._begin(target, fd)
        except BaseException:
            await self.close()
            raise

    def _begin(self, target: Target, fd: int) -> EbpfRecording:
        floor = free_space.floor_bytes(fd, self.options.min_free_bytes)
        probe.check_target(target, force=self.options.force)
        session = self._attach(target)
        recording = EbpfRecording(self, session, fd, floor)
        recording.start()
        return recording

    def _attach(self, target: Target) -> EbpfSession:
        try:
            pidfd = os.pidfd_open(target.pid)
        except ProcessLookupError:
            raise probe.gone(target.pid) from None
        try:
            if procfs.stat(target.pid).start_ticks != target.start_ticks:
                raise probe.gone(target.pid)
            return self.instance.attach(target, AttachOptions(follow=self.options.follow), pidfd)
        except BaseException as error:
            os.close(pidfd)
            if isinstance(error, procfs.Gone):
                raise probe.gone(target.pid) from None
            if isinstance(error, OSError):
                raise probe.load_error(error) from error
            raise


async def load(options: RecorderOptions) -> LoadedRecorder:
    """Load the programs; no call passes them before :meth:`LoadedRecorder.begin`.

    Raises:
        EbpfUnavailable: eBPF cannot serve here.
    """
    if (error := probe.missing()) is not None:
        raise error

    def make() -> LoadedRecorder:
        try:
            if lacking := probe.lacking():
                raise OSError(22, f"no {lacking}")
            unpreempted = preemption.programs_are_preempted() and perf_events.may_open(tuple(TRACEPOINTS.values()))
            engine = RecordEngine(options.wanted, ring_bytes=options.ring_bytes, unpreempted=unpreempted)
            try:
                return LoadedRecorder(engine, options)
            except BaseException:
                engine.close()
                raise
        except OSError as failure:
            raise probe.load_error(failure) from failure

    return await carry(loading.load(make), LoadedRecorder.close)


class EbpfRecording:
    """A recording that runs until its target ends, a limit is reached, or :meth:`stop` is called."""

    def __init__(self, loaded: LoadedRecorder, session: EbpfSession, fd: int, floor: int | None) -> None:
        self.target = session.target
        self._loaded = loaded
        self._options = loaded.options
        self._session = session
        self._fd = fd
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[Ending] = self._loop.create_future()
        self._ending: Ending | None = None
        self._drain = RingDrain(loaded.engine, fd, self._options.max_bytes, floor, self._limit_reached)
        self.facts = record_facts.facts_of(self.target, follow=self._options.follow, wanted=self._options.wanted)
        """Whose records they are."""
        self.end: RecordingEnd | None = None
        """What became of all calls, once it is over."""

    def start(self) -> None:
        """Write down whose records they are, and let them flow.

        Raises:
            OutputError: the disk is full.
        """
        self._drain.write(layout.file_head(), layout.chunk(layout.FACTS, msgspec.msgpack.encode(self.facts)))
        if self._drain.failure:
            raise OutputError("the disk is full; nothing was recorded")
        self._drain.start()

    @property
    def bytes_written(self) -> int:
        """Of the file."""
        return self._drain.written

    def _limit_reached(self, why: str) -> None:
        self._loop.call_soon_threadsafe(self._set_over, Ending(reason=why))

    def _target_ended(self, ended: asyncio.Future[Ending]) -> None:
        if not ended.cancelled():
            self._set_over(ended.result())

    def _set_over(self, ending: Ending) -> None:
        if not self._over.done():
            self._over.set_result(ending)

    async def wait(self) -> Ending:
        """Wait until it is over by itself, and the file complete."""
        if self._ending is None:
            ended = asyncio.ensure_future(self._session.wait())
            ended.add_done_callback(self._target_ended)
            try:
                ending = await asyncio.wait_for(asyncio.shield(self._over), self._options.max_seconds)
            except TimeoutError:
                ending = Ending(reason="max_seconds")
            finally:
                ended.cancel()
            return await self.stop(ending)
        return self._ending

    async def stop(self, ending: Ending | None = None) -> Ending:
        """End it, with all that was in flight; the file is complete then. Idempotent."""
        if self._ending is None:
            self._ending = ending or Ending(reason="detached")
            await carry(self._finish(self._ending.reason))
        return self._ending

    async def _finish(self, reason: str) -> None:
        engine = self._loaded.engine
        try:
            starts = await asyncio.to_thread(self._close_rings)
            sample = await self._session.detach()
            if starts:
                self._drain.write(layout.chunk(layout.RECORDS, starts))
            self.end = self._end_of(sample, engine, reason)
            self._drain.write(layout.chunk(layout.END, msgspec.msgpack.encode(self.end)))
        finally:
            await self._loaded.close()

    def _close_rings(self) -> bytes:
        engine = self._loaded.engine
        try:
            engine.close_recording()
            return engine.starts()
        finally:
            self._drain.finish()

    @staticmethod
    def _end_of(sample: Sample, engine: RecordEngine, reason: str) -> RecordingEnd:
        counted: Counter[str] = Counter()
        places: dict[str, int] = {}
        for row in sample.rows:
            label = label_of(row.nr or 0, row.abi)
            counted[label] += row.calls or 0
            key = wire.ABIS.index(row.abi) << wire.KEY_NR_BITS | (row.nr or 0) & ~wire.X32_SYSCALL_BIT
            places[label] = record_wire.place_of(key)
        calls = {}
        for label, count in counted.items():
            filtered, lost = engine.fate(places[label])
            calls[label] = CallFates(count, filtered=filtered, lost=lost)
        return RecordingEnd(
            ended_ns=time.monotonic_ns(),
            reason=reason,
            exact=sample.lost == 0,
            calls=calls,
            other_lost=engine.fate(0)[1],
        )

"""One recording: from the attach to the end of its file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from msgspec import Struct, structs

from straced.concurrency.shielding import carry
from straced.errors import OutputError
from straced.logs import logger
from straced.model.types import Sample
from straced.records import layout
from straced.records.values import CallFates, RecordingEnd, RecordingFacts
from straced.tracers.base import CHANGED_USER, Ending, Rights
from straced.tracers.ebpf import record_facts
from straced.tracers.ebpf.record_engine import RecordEngine, RecordFilter
from straced.tracers.ebpf.record_sums import CountedNames
from straced.tracers.ebpf.ring_drain import RingDrain
from straced.tracers.ebpf.session import EbpfSession


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
    user: Rights | None = None
    """Record only what is wholly this user's, and write down nothing else of what /proc says."""
    ahead_bytes: int | None = None
    """How much may wait in the file for a reader that follows it; what comes then is lost, and counted. 256 MB."""


class EbpfRecording:
    """A recording that runs until its target ends, a limit is reached, or :meth:`stop` is called."""

    def __init__(
        self,
        engine: RecordEngine,
        sessions: Sequence[EbpfSession],
        options: RecorderOptions,
        facts: RecordingFacts,
        fd: int,
        floor: int | None,
        close: Callable[[], Awaitable[None]],
    ) -> None:
        self.target = sessions[0].target
        self.engine = engine
        self._sessions = sessions
        self._options = options
        self._close = close
        self._fd = fd
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[Ending] = self._loop.create_future()
        self._ending: Ending | None = None
        self._finished = asyncio.Event()
        self._drain = RingDrain(
            engine,
            fd,
            options.max_bytes,
            floor,
            self._limit_reached,
            ahead=options.ahead_bytes,
            first=options.user is None,  # the service gives nobody more of the CPUs than they have
        )
        self.facts = facts
        """Whose records they are."""
        self.end: RecordingEnd | None = None
        """What became of all calls, once it is over."""

    def start(self) -> None:
        """Write down whose records they are, and let them flow.

        Raises:
            OutputError: the disk is full.
        """
        form = self._drain.form
        self._drain.write(form.file_head(), form.chunk(layout.FACTS, msgspec.msgpack.encode(self.facts)))
        if self._drain.failure:
            raise OutputError("the disk is full; nothing was recorded")
        self._drain.start()

    @property
    def bytes_written(self) -> int:
        """Of the file."""
        return self._drain.written

    def read_up_to(self, position: int) -> None:
        """Be told by whoever follows the file how far he has read, so that only so much waits for him.

        Args:
            position: in bytes.
        """
        self._drain.read_up_to = position

    def _limit_reached(self, why: str) -> None:
        self._loop.call_soon_threadsafe(self._set_over, Ending(reason=why))

    async def _targets_end(self) -> Ending:
        endings = [await session.wait() for session in self._sessions]
        return endings[0]

    def _targets_ended(self, ended: asyncio.Future[Ending]) -> None:
        if not ended.cancelled():
            self._set_over(ended.result())

    def _set_over(self, ending: Ending) -> None:
        if not self._over.done():
            self._over.set_result(ending)

    async def wait(self) -> Ending:
        """Wait until it is over by itself, and the file complete."""
        if self._ending is None:
            ended = asyncio.ensure_future(self._targets_end())
            ended.add_done_callback(self._targets_ended)
            try:
                ending = await asyncio.wait_for(asyncio.shield(self._over), self._options.max_seconds)
            except TimeoutError:
                ending = Ending(reason="max_seconds")
            finally:
                ended.cancel()
            return await self.stop(ending)
        return await self.stop()

    async def stop(self, ending: Ending | None = None) -> Ending:
        """End it, with all that was in flight; the file is complete then. Idempotent."""
        if self._ending is None:
            self._ending = ending or Ending(reason="detached")
            await carry(self._finish(self._ending.reason))
        await self._finished.wait()  # another may be about it
        return self._ending

    async def _finish(self, reason: str) -> None:
        try:
            starts = await asyncio.to_thread(self._close_rings)
            samples = [await session.detach() for session in self._sessions]
            if starts:
                self._drain.write(self._drain.form.chunk(layout.RECORDS, starts))
            self.end = _end_of(samples, self.engine, reason)
            self._drain.write(self._drain.form.chunk(layout.END, msgspec.msgpack.encode(self.end)))
        finally:
            if self._drain.failure:  # perhaps only now, with the last records
                self._ending = Ending(reason=self._drain.failure)
            try:
                await self._close()
            finally:
                self._finished.set()

    def _close_rings(self) -> bytes:
        try:
            self.engine.close_recording()
            return self.engine.starts()
        except OSError as error:  # no descriptor: what is in flight is not told, and the sums say so
            logger.warning("no_starts: %s", error, extra={"straced": {"error": repr(error)}})
            return b""
        finally:
            self._drain.finish()


async def facts_of(sessions: Sequence[EbpfSession], options: RecorderOptions) -> RecordingFacts:
    """What /proc says of all that is recorded; for one user, of what is theirs.

    Args:
        sessions: recorded already.
        options: what is wanted of them.
    """
    before = _members(sessions)
    look = asyncio.to_thread(
        record_facts.facts_of,
        *(session.target for session in sessions),
        follow=options.follow,
        wanted=options.wanted,
        max_bytes=options.max_bytes,
        max_seconds=options.max_seconds,
    )
    facts = await carry(look)  # whoever gives up has his place until the thread is free again
    if options.user is None:
        return facts
    after = _members(sessions)  # what was theirs before it was looked at, and after that, was theirs in between
    kept = tuple(each for each in facts.processes if before.get(each.pid, 0) == after.get(each.pid))
    return structs.replace(facts, processes=kept)


def _members(sessions: Sequence[EbpfSession]) -> dict[int, int]:
    return {pid: index for session in sessions for pid, index in session.members().items()}


def _end_of(samples: Sequence[Sample], engine: RecordEngine, reason: str) -> RecordingEnd:
    counted, left_out = CountedNames(), ""
    for sample in samples:
        counted.add(sample.rows)
        left_out = next((each.text for each in sample.reasons if each.code == CHANGED_USER), left_out)
    calls = {}
    for label, count in counted.calls.items():
        filtered, lost = engine.fate(counted.places[label])
        calls[label] = CallFates(count, filtered=filtered, lost=lost)
    return RecordingEnd(
        ended_ns=time.monotonic_ns(),
        reason=reason,
        exact=all(sample.lost == 0 for sample in samples),
        calls=calls,
        other_lost=engine.fate(0)[1],
        left_out=left_out,
    )

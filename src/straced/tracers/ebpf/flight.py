"""The flight recorder: keeps the last calls of processes in memory, and writes them to a file when it is asked to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec import Struct, structs

from straced.concurrency.shielding import carry
from straced.errors import AttachError
from straced.model.types import Target
from straced.records.values import RecordingFacts
from straced.tracers.base import Ending
from straced.tracers.ebpf import (
    flight_choice,
    flight_cut,
    flight_dump,
    flight_part,
    loading,
    record_facts,
    recorder,
    wire,
)
from straced.tracers.ebpf.flight_choice import Choice, Choose
from straced.tracers.ebpf.flight_engine import LEAST, FlightEngine
from straced.tracers.ebpf.flight_file import Dumped
from straced.tracers.ebpf.instance import Instance
from straced.tracers.ebpf.record_engine import RecordFilter, check_ring
from straced.tracers.ebpf.record_sums import CountedNames
from straced.tracers.ebpf.ring_drain import going_first
from straced.tracers.ebpf.session import EbpfSession


class FlightOptions(Struct, frozen=True, kw_only=True):
    """What is kept."""

    follow: bool = True
    user_share: float = 1.0
    """How much of the rows of the counters one user may have who is not root."""
    wanted: RecordFilter = RecordFilter()
    ring_bytes: int | None = None
    """Of each CPU; 8 MiB, or less on many CPUs. A sixteenth stays free for what comes while a dump is written."""
    force: bool = False


class FlightRecorder:
    """Rings that nobody reads until :meth:`dump`. Of one event loop; :func:`load` makes one.

    Args:
        engine: loaded; closed here.
        options: what is kept.
    """

    def __init__(self, engine: FlightEngine, options: FlightOptions) -> None:
        self.engine = engine
        self.options = options
        self.instance = Instance(engine)
        self._sessions: dict[int, EbpfSession] = {}
        self._counted_gone = CountedNames()
        self._exact = True
        self._begun: RecordingFacts | None = None
        """As it was at the attach."""
        self._lock = asyncio.Lock()
        self._closed = False

    @property
    def targets(self) -> tuple[Target, ...]:
        """Whose calls are kept, ended ones left out that were let go of."""
        return tuple(session.target for session in self._sessions.values())

    @property
    def memory_bytes(self) -> int:
        """Of all rings."""
        return self.engine.cpus * self.engine.ring_bytes

    @property
    def kept_bytes(self) -> int:
        """Of records that a dump would write now."""
        return self.engine.kept_bytes()

    def holds(self, pid: int) -> bool:
        """Whether the calls of a process are kept, as a target or below one."""
        sessions = {session.index for session in self._sessions.values()}
        return pid in self._sessions or any(
            owner.pid == pid and owner.session in sessions for owner in self.instance.reader.owners()
        )

    async def add(self, target: Target) -> None:
        """Keep the calls of a process from now on, and of all below it where they are followed.

        Raises:
            AttachError: this target cannot be had.
        """
        async with self._lock:
            if self._closed:
                raise AttachError("the recorder has ended")
            session = recorder.attach(self.instance, target, follow=self.options.follow, force=self.options.force)
            self._sessions[target.pid] = session
            here = record_facts.facts_of(target, follow=self.options.follow, wanted=self.options.wanted)
            before = self._begun
            self._begun = (
                here if before is None else structs.replace(before, processes=before.processes + here.processes)
            )

    async def remove(self, pid: int) -> None:
        """Keep no more of a target; what is there of it stays until it is overwritten."""
        async with self._lock:
            session = self._sessions.pop(pid, None)
            if session is not None:
                await self._let_go(session)

    async def _let_go(self, session: EbpfSession) -> None:
        living = any(
            owner.session == session.index and owner.kind == wire.KIND_PROCESS and owner.state == wire.STATE_LIVE
            for owner in self.instance.reader.owners()
        )
        sample = await session.detach()
        self._exact = self._exact and sample.lost == 0 and not living  # of what is inside nobody will hear how it ended
        self._counted_gone.add(sample.rows)

    async def wait(self) -> Ending:
        """Wait until all targets have ended; returns how the first of them did."""
        endings = await asyncio.gather(*(session.wait() for session in self._sessions.values()))
        return endings[0] if endings else Ending(reason="detached")

    async def dump(
        self, fd: int, *, last_ns: int | None = None, min_free_bytes: int | None = None, reason: str = "dump"
    ) -> Dumped:
        """Write what the rings hold, and the calls in flight, into a file. The recorder goes on meanwhile.

        Args:
            fd: an empty regular file; it stays the caller's.
            last_ns: only calls that ended so long before, or later.
            min_free_bytes: to leave free on its file system.
            reason: of the dump, for its readers.

        Raises:
            OutputError: there is no room for it; the file is empty then.
            OSError: the kernel has no descriptor or memory to spare.
        """
        return await carry(self._dump(fd, last_ns, min_free_bytes, reason))

    async def dump_chosen(
        self,
        fd: int,
        pid: int,
        choose: Choose,
        *,
        last_ns: int | None = None,
        asked_ns: int | None = None,
        most_bytes: int | None = None,
        sees_all: bool = False,
        reason: str = "dump",
    ) -> Dumped:
        """Write what the rings hold of some processes, and no more than that. There are no sums of these alone.

        Args:
            fd: an empty regular file; it stays the caller's.
            pid: the process that is meant.
            choose: told what the records say of processes, in a thread; asked twice, and both must agree.
            last_ns: only calls that ended so long before, or later.
            asked_ns: before when (CLOCK_MONOTONIC); now, where left out.
            most_bytes: of the file.
            sees_all: nothing may be kept from whoever asks: ``choose`` is asked once, and what has become of a process
                since, or was not seen of it, takes none of its records away.
            reason: of the dump, for its readers.

        Raises:
            StracedError: what ``choose`` raises.
            AttachError: the recorder ends.
            OutputError: there is no room for it; the file is empty then.
        """

        def work() -> Dumped:
            begun = self._recording()
            try:
                cut = flight_cut.take(self.engine)
                window = flight_choice.window_of(self.engine, cut.pieces)
                window.callers = self._callers()
                choice = choose(window)
                if not sees_all:
                    choice = flight_choice.still_chosen(self.engine, cut, choice)
                facts = self._facts_of(pid, begun, choice)
                if not sees_all:
                    again = choose(window)
                    choice = {each: since for each, since in choice.items() if each in again}
                kept = structs.replace(facts, processes=tuple(p for p in facts.processes if p.pid in choice))
                from_ns = (asked_ns or cut.taken_ns) - (last_ns or 1 << 62)
                begins = (begun.monotonic_ns, cut.since_ns or 0, 0 if sees_all else window.lost_ns, from_ns)
                if sees_all:
                    choice |= {0: 0}  # what found no room is told of nobody
                return flight_part.write_chosen(
                    self.engine, fd, cut, kept, choice, max(begins), reason=reason, most_bytes=most_bytes
                )
            finally:
                flight_cut.let_go(self.engine)

        async def dump() -> Dumped:
            self._recording()  # the turn of one that is to end never comes
            async with self._lock:
                return await asyncio.to_thread(work)

        return await carry(dump())

    def _callers(self) -> dict[int, tuple[int, int] | None]:
        self.instance.read_all()
        return {pid: caller for session in self._sessions.values() for pid, caller in session.callers.items()}

    def _facts_of(self, pid: int, begun: RecordingFacts, choice: Choice) -> RecordingFacts:
        now = record_facts.facts_now(pid, list(choice), follow=self.options.follow, wanted=self.options.wanted)
        processes = tuple(structs.replace(each, descriptors={}, cwd=b"") for each in now.processes)
        return structs.replace(now, host=begun.host, processes=processes)

    async def _dump(
        self, fd: int, last_ns: int | None, min_free_bytes: int | None, reason: str, *, closing: bool = False
    ) -> Dumped:
        def work() -> Dumped:
            try:
                before, exact = self._counted()
                cut = flight_cut.take(self.engine, closed=closing)
                after, _exact = self._counted()
                return flight_dump.write(
                    self.engine,
                    fd,
                    cut,
                    facts,
                    (before, after),
                    exact=exact,
                    reason=reason,
                    last_ns=last_ns,
                    min_free_bytes=min_free_bytes,
                )
            finally:
                flight_cut.let_go(self.engine)

        def first() -> Dumped:
            with going_first():  # what calls most keeps the CPUs busy, and has no room until this is over
                return work()

        async with self._lock:
            begun = self._recording(closing=closing)
            facts = begun, await asyncio.to_thread(self._facts_now, begun)
            if closing:
                await asyncio.to_thread(self.engine.close_recording)
            return await asyncio.to_thread(first)

    def _recording(self, *, closing: bool = False) -> RecordingFacts:
        """What was so at the attach, while there is something to dump; with the lock held it stays so."""
        if self._begun is None or (self._closed and not closing):
            raise AttachError("nothing is recorded")
        return self._begun

    def _facts_now(self, begun: RecordingFacts) -> RecordingFacts:
        """The processes as they are; not what descriptors stand for, which was otherwise when records were written."""
        targets = list(self.targets)
        if not targets:
            return structs.replace(begun, processes=())
        now = record_facts.facts_of(*targets, follow=self.options.follow, wanted=self.options.wanted)
        processes = tuple(structs.replace(each, descriptors={}, cwd=b"") for each in now.processes)
        return structs.replace(now, pid=begun.pid, processes=processes)

    def _counted(self) -> tuple[CountedNames, bool]:
        """All calls by name; and whether none was missed."""
        found = CountedNames()
        found.calls.update(self._counted_gone.calls)
        found.places.update(self._counted_gone.places)
        exact = self._exact
        for sample in self.instance.read_all().values():
            found.add(sample.rows)
            exact = exact and sample.lost == 0
        return found, exact

    def hurry(self) -> None:
        """Have dumps that are being written fail at once: it is to be closed, and cannot wait for them."""
        self.engine.unwanted = True

    async def close(self, last_dump: Callable[[], int] | None = None) -> Dumped | None:
        """End it, and give everything back, once a dump that is being written is complete. Idempotent.

        Args:
            last_dump: makes the file into which all is written that is there at the end; exactly, since nothing more
                is counted then.

        Raises:
            OutputError: the file has no room for it. The recorder has ended all the same.
        """
        if self._closed:
            return None
        self._closed = True
        try:
            if last_dump is not None:
                return await carry(self._dump(last_dump(), None, None, "ended", closing=True))
            return None
        finally:
            await carry(self._unload())

    async def _unload(self) -> None:
        async with self._lock:
            await self.instance.close()


async def load(options: FlightOptions) -> FlightRecorder:
    """Load the programs; no call passes them before :meth:`FlightRecorder.add`.

    Raises:
        EbpfUnavailable: eBPF cannot serve here.
        InvalidArgument: rings of that size cannot be.
    """
    check_ring(options.ring_bytes, LEAST)

    def make(unpreempted: bool) -> FlightRecorder:
        engine = FlightEngine(
            options.wanted, ring_bytes=options.ring_bytes, unpreempted=unpreempted, user_share=options.user_share
        )
        try:
            return FlightRecorder(engine, options)
        except BaseException:
            engine.close()
            raise

    return await carry(loading.load(recorder.maker(make)), FlightRecorder.close)

"""The eBPF tracer: exact, live, a few hundred nanoseconds a call."""

from __future__ import annotations

import asyncio
import errno
import functools
import os

from straced.concurrency.shielding import Turns, carry
from straced.errors import TracerUnavailable
from straced.linux import procfs
from straced.logs import logger
from straced.model.types import Sample, Target
from straced.text.units import count_of
from straced.tracers.base import AttachOptions, Availability, Rights, TracerSession
from straced.tracers.ebpf import libbpf, loading, probe, trial, wire
from straced.tracers.ebpf.engine import Engine
from straced.tracers.ebpf.instance import Instance
from straced.tracers.ebpf.session import EbpfSession
from straced.tracers.ebpf.suited import suited_engine
from straced.tracers.ebpf.task_storage import Conflict
from straced.tracers.ebpf.uring import UringWatch

MAX_INSTANCES = 8
"""Each holds some 20 MB."""
_FOR_A_WHILE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)
LINGER_S = 5.0
"""How long programs and maps stay loaded, 27 MB of the kernel's memory, when nobody is traced by them any more."""


class EbpfTracer:
    """Counts in the kernel. Loads nothing before the first attach; with no target its programs are detached.

    Arguments:
        rows: most different calls over all living processes (704 bytes each, in the kernel).
        owners: most processes (and threads, where they are told apart) alive at a time.
        user_share: how much of both the processes of one user may have, unless that is root; for who serves several.
        ready: keep what was loaded once, for targets that must not wait.
        instances: how many sessions may count one process at a time: each needs programs and maps of its own.
        unpreempted: which set of programs; the one that suits the kernel when left out.
        details: load at once what tells calls over a limit; where the kernel refuses it, sessions are counted alone.
    """

    def __init__(
        self,
        *,
        rows: int = wire.ROWS,
        owners: int = wire.OWNERS,
        user_share: float = 1.0,
        ready: bool = False,
        instances: int = MAX_INSTANCES,
        unpreempted: bool | None = None,
        details: bool = False,
    ) -> None:
        self._rows = rows
        self._details = details
        self._without_details = False
        """The kernel refuses them, and they were wanted where they can be had."""
        self._max_instances = instances
        self._unpreempted = unpreempted
        self._owners = owners
        self._user_share = user_share
        self._kept = 1 if ready else 0
        self._refused: tuple[int, int, str] | None = None
        """How the kernel refused the programs, and the capabilities that this process had then."""
        self._instances: list[Instance] = []
        self._lock = Turns()
        self._timer: asyncio.TimerHandle | None = None
        self._unloading: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return "ebpf"

    @property
    def uses_ptrace(self) -> bool:
        return False

    @property
    def tells_events(self) -> bool:
        return True

    @property
    def helper_pids(self) -> list[int]:
        """None: all happens in the kernel."""
        return []

    @property
    def process_pids(self) -> list[int]:
        """None: all happens in the kernel."""
        return []

    def probe(self, target: Target | None = None) -> Availability:
        """Whether the programs can be loaded, as far as that is known without loading them, and this target had."""
        error = self._missing()
        if error is not None:
            return Availability(usable=False, detail=error.reason, error=error)
        if target is not None:
            try:
                probe.check_target(target)
            except probe.AttachError as refused:
                return Availability(usable=False, detail=refused.reason, error=refused)
        return Availability(usable=True, detail=f"libbpf {libbpf.version()}")

    def trial(self) -> Availability:
        """Whether the programs can be loaded, found by loading them for a moment; the answer is kept."""
        error = trial.refusal()
        if error is not None:
            return Availability(usable=False, detail=error.reason, error=error)
        return Availability(usable=True, detail=f"libbpf {libbpf.version()}")

    async def load(self, options: AttachOptions) -> None:
        """Load the programs now that an attach with these options will need; no call passes them before it.

        Raises:
            EbpfUnavailable: eBPF cannot serve here.
        """
        async with self._lock:
            if not any(self._tells(each, options) for each in self._instances):
                await self._load_another(details=options.wants_details, files=options.files)
                self._idle()

    async def attach(self, target: Target, options: AttachOptions) -> EbpfSession:
        """Count a process from now on.

        Raises:
            AttachError: this target cannot be had.
            EbpfUnavailable: eBPF cannot serve here.
        """
        probe.check_target(target, force=options.force)
        return await self._attach(target, options, quiet=False)

    async def mark_children(self, of: int, user: Rights | None = None) -> EbpfSession:
        """Count all that a process starts from now on, but not the process itself; ``of`` may be ourselves.

        Args:
            of: its pid.
            user: count only what is wholly theirs.

        Raises:
            AttachError: there is no such process, or it is not ours.
            EbpfUnavailable: eBPF cannot serve here.
        """
        try:
            target = procfs.target(of)
        except procfs.Gone:
            raise probe.gone(of) from None
        if of != os.getpid():
            probe.check_target(target)
        return await self._attach(target, AttachOptions(follow=True, user=user), quiet=True)

    async def _attach(self, target: Target, options: AttachOptions, *, quiet: bool) -> EbpfSession:
        try:
            pidfd = os.pidfd_open(target.pid)
        except ProcessLookupError:
            raise probe.gone(target.pid) from None
        try:
            async with self._lock:
                return await self._place(target, options, pidfd, quiet)
        except BaseException:
            os.close(pidfd)
            raise

    async def _place(self, target: Target, options: AttachOptions, pidfd: int, quiet: bool) -> EbpfSession:
        """Attach by the first engine that has none of these tasks; a task can be in one session of an engine only."""
        for position in range(self._max_instances):
            if position == len(self._instances):
                await self._load_another(details=options.wants_details, files=options.files)
            if not self._tells(self._instances[position], options):
                continue
            uring = await self._uring(self._instances[position].engine) if options.io_uring else None
            # the pidfd holds the process that is there now; it is the one that was meant if its start time says so
            try:
                if procfs.stat(target.pid).start_ticks != target.start_ticks:
                    raise probe.gone(target.pid)
                session = self._instances[position].attach(target, options, pidfd, quiet=quiet, uring=uring)
                uring = None
                return session
            except procfs.Gone:
                raise probe.gone(target.pid) from None
            except Conflict:
                continue
            except OSError as error:
                raise probe.load_error(error) from error
            finally:
                if uring is not None:
                    uring.close()
        raise TracerUnavailable(
            f"{count_of(self._max_instances, 'session counts', 'sessions count')} {target.pid} already", pid=target.pid
        )

    async def _uring(self, engine: Engine) -> UringWatch:
        """Load what counts requests of io_uring."""
        return await carry(loading.load(functools.partial(UringWatch, engine)), _close_uring)

    def _tells(self, instance: Instance, options: AttachOptions) -> bool:
        """Whether it can tell what these options ask for."""
        engine, details = instance.engine, options.wants_details and not self._without_details
        return (engine.tells_details or not details) and (engine.tells_files or not options.files)

    async def _load_another(self, *, details: bool = False, files: bool = False) -> None:
        load = functools.partial(self._load, details=details, files=files)
        self._instances.append(await carry(loading.load(load), Instance.close))

    def _load(self, *, details: bool = False, files: bool = False) -> Instance:
        error = self._missing()
        if error is not None:
            raise error
        try:
            engine = self._engine(details=details, files=files)
            try:
                return Instance(engine, self._idle)
            except BaseException:
                engine.close()
                raise
        except OSError as failure:
            if failure.errno in probe.LASTING:
                self._refused = probe.capabilities(), failure.errno, str(failure.strerror)
            raise probe.load_error(failure) from failure

    def _engine(self, *, details: bool, files: bool) -> Engine:
        load = functools.partial(
            suited_engine,
            rows=self._rows,
            owners=self._owners,
            user_share=self._user_share,
            unpreempted=self._unpreempted,
        )
        if self._without_details or not (details or self._details):
            return load()
        try:
            return load(details=True, files=files)
        except OSError as error:
            if not self._details or error.errno in _FOR_A_WHILE:
                raise
            logger.warning("no_details: %s", error, extra={"straced": {"error": repr(error)}})
            self._without_details = True
            return load()

    def _missing(self) -> TracerUnavailable | None:
        """What keeps the programs from being loaded; a refusal that lasts is not met again at every attach (60 ms)."""
        if self._refused is not None and self._refused[0] == probe.capabilities():
            return probe.load_error(OSError(*self._refused[1:]))
        return probe.missing()

    def read_all(self) -> dict[TracerSession, Sample]:
        """The samples of all sessions at once: much cheaper than to read one after the other."""
        found: dict[TracerSession, Sample] = {}
        for instance in self._instances:
            found.update(instance.read_all())
        return found

    def sum_all(self) -> dict[TracerSession, Sample]:
        """:meth:`read_all`, cheaper still, where sums by process are wanted of most (``CounterRows.moved_since``).

        Rows are decoded when they are looked at. Calls in flight that stand still are those since the sums before,
        so there should be one reader of them.
        """
        found: dict[TracerSession, Sample] = {}
        for instance in self._instances:
            found.update(instance.sum_all())
        return found

    def _idle(self) -> None:
        """An instance has nobody left: unload it, unless somebody comes soon."""
        loop = asyncio.get_running_loop()
        if not self._instances[self._kept :]:
            return  # it is being closed
        if self._timer is None or self._timer.when() < loop.time():  # its loop was closed before it came
            self._timer = loop.call_later(LINGER_S, self._unload_soon)

    def _unload_soon(self) -> None:
        self._timer = None
        self._unloading = asyncio.get_running_loop().create_task(self._unload())

    async def _unload(self) -> None:
        async with self._lock:
            idle = [each for each in self._instances[self._kept :] if each.is_idle]
            self._instances = [each for each in self._instances if each not in idle]
            for each in idle:
                each.call_cost_ns()  # sessions that are over may be asked for it later
                await each.close()

    async def close(self) -> None:
        """Detach all sessions and unload. Idempotent."""
        async with self._lock:
            while self._instances:
                await self._instances.pop().close()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None


async def _close_uring(uring: UringWatch) -> None:
    uring.close()

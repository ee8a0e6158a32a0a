"""What an alert that opens starts: a bounded full trace of its process, or a command that is told of it."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import logging
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec

from straced.concurrency import children
from straced.concurrency.shielding import carry
from straced.config.schema import OnAlert, TraceAction
from straced.errors import StracedError
from straced.linux import procfs
from straced.linux.dump_budget import remove_unfinished
from straced.linux.output_file import OutputFile
from straced.model.alerts import AlertRow
from straced.model.choices import TraceTracer
from straced.model.owner import Owner
from straced.profiling import full_traces, tracer_choice
from straced.profiling.profiler import Profiler
from straced.text.units import count_of
from straced.tracers.recording import Recording
from straced.tracers.strace.recording import RecordOptions
from straced.tracers.strace.trace_file import record_into
from straced.tracers.strace.trace_header import filters_of, header_of

log = logging.getLogger("straced.service")
COMMAND_LIMIT_S = 60.0
MAX_COMMANDS = 4
"""At a time; others wait."""
MAX_WAITING = 100
"""Commands of one user's alerts, and of those of the host."""
MAX_USERS = 50
TELL_S = 1.0
PIPED = {"stdin": PIPE, "stdout": DEVNULL, "stderr": DEVNULL, "start_new_session": True}
MAX_DUMPS = 4
"""Of the flight recorder at a time: they wait for each other, and what they want is overwritten meanwhile."""
Say = Callable[..., None]
Dump = Callable[[AlertRow, int | None], Coroutine[Any, Any, None]]


class Reactions:
    """Starts what the configuration wants, each bounded.

    Args:
        config: what to start.
        folder: where traces go, 0700.
        profiler: takes them.
        say: keeps an event.
        dump: has the flight recorder write down what a process did; told the alert, and how far back.
        require_attaching: raises where nothing may be traced, whatever is configured.
    """

    def __init__(
        self,
        config: OnAlert,
        folder: Path,
        profiler: Profiler,
        say: Say,
        dump: Dump | None = None,
        require_attaching: Callable[[], None] = lambda: None,
    ) -> None:
        self._require_attaching = require_attaching
        self._began_s = time.time()
        self._config = config
        self._folder = folder
        self._profiler = profiler
        self._say = say
        self._dump = dump
        self._dumps: set[asyncio.Task[None]] = set()
        self._traces: set[asyncio.Task[None]] = set()
        self._commands: set[asyncio.Task[None]] = set()
        self._traced: set[int] = set()
        self._recorded: set[int] = set()
        self._waiting: dict[int | None, collections.deque[AlertRow]] = {}
        self._skipped: collections.Counter[tuple[str, int | None]] = collections.Counter()
        self._owners: dict[int | None, Owner | None] = {}

    @property
    def busy(self) -> bool:
        """Whether something that was started still runs."""
        return bool(self._traces or self._commands or self._dumps)

    @property
    def recorded(self) -> int:
        """How many of the traces that run are taken by eBPF."""
        return len(self._recorded)

    def configure(self, config: OnAlert) -> None:
        """Start something else from now on."""
        self._config = config

    def opened(self, alert: AlertRow) -> None:
        """An alert has opened: all that it starts."""
        self.look_back(alert)
        self.act(alert)

    def look_back(self, alert: AlertRow) -> None:
        """Keep what was before an alert. It stirs no process, and is done at once: records are overwritten."""
        config = self._config
        if config.dump is None or self._dump is None or alert.pid is None or self._is_left_out(alert):
            return
        if len(self._dumps) < MAX_DUMPS:
            self._start(self._dumps, self._dump(alert, int(config.dump.last) or None))
        else:
            self._skip("dump", alert)

    def _is_left_out(self, alert: AlertRow) -> bool:
        return bool(self._config.kinds) and alert.kind not in self._config.kinds

    def act(self, alert: AlertRow) -> None:
        """Start what comes after an alert: commands that are told of it, and a trace of its process."""
        config = self._config
        if self._is_left_out(alert):
            return
        if config.command:
            self._queue(alert)
        if config.trace is None or alert.pid is None or alert.pid in self._traced:
            return
        if len(self._traces) < config.max_traces:
            self._traced.add(alert.pid)
            self._start(self._traces, self._trace(alert, config.trace))
        else:
            self._skip("trace", alert)

    def _queue(self, alert: AlertRow) -> None:
        """Let a command wait for its turn, which goes round the users."""
        uid = None if alert.owner is None else alert.owner.uid
        if uid not in self._waiting and len(self._waiting) >= MAX_USERS:
            return self._skip("command", alert)
        queue = self._waiting.setdefault(uid, collections.deque())
        if len(queue) >= MAX_WAITING:
            return self._skip("command", alert)
        queue.append(alert)
        while len(self._commands) < MAX_COMMANDS and self._waiting:
            self._start(self._commands, self._run_commands())
        return None

    async def _run_commands(self) -> None:
        """Run what waits, one after the other, until nothing does."""
        while self._waiting:
            uid = next(iter(self._waiting))
            queue = self._waiting.pop(uid)
            alert = queue.popleft()
            if queue:
                self._waiting[uid] = queue  # behind the others
            if self._config.command:
                await self._command(self._config.command, alert)
        self._tell_skipped()

    def _skip(self, what: str, alert: AlertRow) -> None:
        """Too many at a time: it is said, together with others."""
        uid = None if alert.owner is None else alert.owner.uid
        first = not self._skipped
        self._skipped[what, uid] += 1
        self._owners[uid] = alert.owner
        if first:
            asyncio.get_running_loop().call_later(TELL_S, self._tell_skipped)

    def _tell_skipped(self) -> None:
        skipped, self._skipped = self._skipped, collections.Counter()
        owners, self._owners = self._owners, {}
        for (what, uid), count in skipped.items():
            text = f"no {what} for {count_of(count, 'alert')}: too many at a time"
            self._say(f"{what}_skipped", text, owner=owners.get(uid), alerts=count)

    def _start(self, group: set[asyncio.Task[None]], work: object) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)  # type: ignore[arg-type]
        group.add(task)
        task.add_done_callback(group.discard)

    async def _trace(self, alert: AlertRow, wanted: TraceAction) -> None:
        assert alert.pid is not None
        binary = wanted.format == "strc"
        path = self._folder / f"{alert.kind}-{alert.pid}-{alert.id[:8]}.{'strc' if binary else 'strace'}"
        try:
            if procfs.stat(alert.pid).start_ticks != alert.start_ticks:
                return
            self._require_attaching()
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._make_room()
            options = RecordOptions(max_bytes=int(wanted.bytes), max_seconds=wanted.seconds)
            with OutputFile(path) as output:
                recording = await self._begin(alert.pid, output, options, wanted.tracer, binary=binary)
                if recording.recorded:
                    self._recorded.add(alert.pid)
                try:
                    ending = await recording.wait()
                except asyncio.CancelledError:
                    with contextlib.suppress(Exception):
                        await recording.stop()
                    raise
            size = path.stat().st_size
            text = f"a trace of {alert.pid} ({alert.comm}) is in {path}"
            by = {"tracer": recording.tracer, "tracer_reason": recording.tracer_reason}
            self._say("trace_taken", text, owner=alert.owner, bytes=size, why=ending.reason, **by)
        except (StracedError, OSError, procfs.Gone) as error:
            why = error.reason if isinstance(error, StracedError) else str(error)
            self._say("trace_failed", f"no trace of {alert.pid} ({alert.comm}): {why}", owner=alert.owner)
        except Exception as error:
            log.exception("trace_failed")
            text = f"no trace of {alert.pid} ({alert.comm}): internal fault: {type(error).__name__}"
            self._say("trace_failed", text, owner=alert.owner)
        finally:
            self._traced.discard(alert.pid)
            self._recorded.discard(alert.pid)

    async def _begin(
        self, pid: int, output: OutputFile, options: RecordOptions, tracer: TraceTracer, *, binary: bool
    ) -> Recording:
        order = tracer_choice.for_trace(tracer, "auto", "", binary=binary)

        async def by_strace() -> Recording:
            header = await asyncio.to_thread(header_of, pid, follow=options.follow, filters=filters_of(options))
            return await record_into(output, lambda fd: self._profiler.record(pid, fd, options), header=header)

        return await full_traces.by_order(
            order, lambda: self._profiler.record_calls(pid, output, options, binary=binary), by_strace
        )

    def _make_room(self) -> None:
        """Traces of alerts are bounded together: the oldest go, and what was not finished when a service was killed."""
        remove_unfinished(self._folder, self._began_s)
        files = [each for suffix in ("strace", "strc") for each in self._folder.glob(f"*.{suffix}")]
        found = sorted((each.stat().st_mtime, each.stat().st_size, each) for each in files)
        used = sum(size for _when, size, _path in found)
        budget = self._config.max_bytes - (self._config.trace.bytes if self._config.trace is not None else 0)
        for _when, size, path in found:
            if used <= budget:
                break
            path.unlink()
            used -= size

    async def _command(self, argv: tuple[str, ...], alert: AlertRow) -> None:
        try:
            process = await children.start(argv, PIPED)
        except OSError as error:
            self._say("command_failed", f"{argv[0]}: {error.strerror}")
            return
        try:
            async with asyncio.timeout(COMMAND_LIMIT_S):
                await process.communicate(msgspec.json.encode(alert) + b"\n")
            if process.returncode:
                self._say("command_failed", f"{argv[0]} ended with {process.returncode}")
        except TimeoutError:
            self._say("command_failed", f"{argv[0]} took longer than {COMMAND_LIMIT_S:.0f} s and was ended")
        finally:
            if process.returncode is None:
                await carry(children.end(process))

    async def close(self) -> None:
        """End all of it; dumps come to their end, for what they have is there no more afterwards."""
        for uid, queue in self._waiting.items():
            for alert in queue:
                self._skipped["command", uid] += 1
                self._owners[uid] = alert.owner
        self._waiting.clear()
        self._tell_skipped()
        tasks = [*self._traces, *self._commands]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *self._dumps, return_exceptions=True)

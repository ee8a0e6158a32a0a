"""Rows from this machine: facts from /proc, calls from a Profiler where one may count."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from straced.errors import NoSuchProcess, StracedError
from straced.linux import procfs
from straced.linux.process_scan import ProcessScan, ScannedProcess, call_now, tree
from straced.linux.targets import TargetSpec, resolve
from straced.live import rates as counts
from straced.live.counting import LiveCounter
from straced.live.host_meter import MachineMeter, OwnCostMeter
from straced.live.process_detail import ProcessLook, WindowCalls, counted
from straced.live.rates import CounterReading
from straced.live.slow_calls import LIMIT_NS
from straced.live.timeline import NoteTimeLine
from straced.model.frame import OUTSIDE, RUNNING, Frame, Key, Note, ProcessDetail, ProcessRow, ShortLived
from straced.profiling.session import Session
from straced.text.sanitize import scrub


class LocalSource:
    """The processes of this machine, or the trees of some targets.

    Args:
        targets: empty for all processes.
        tracer: ``auto``, ``ebpf``, ``sampler``, or ``none`` for what /proc tells. Never strace: the screen does not
            slow anybody down.
        slower_ns: calls of this duration or more are told.

    Raises:
        NoSuchProcess, AmbiguousTarget: a target that is nobody now.
    """

    name = "local"

    def __init__(self, targets: Sequence[TargetSpec] = (), tracer: str = "auto", slower_ns: int = LIMIT_NS) -> None:
        for spec in targets:
            self._check(spec)
        self._targets = tuple(targets)
        self._counting = LiveCounter(tracer, targets, slower_ns)
        self._scan = ProcessScan()
        self._machine = MachineMeter()
        self.timeline = NoteTimeLine()
        self._facts: list[ScannedProcess] = []
        self._keys: dict[int, Key] = {}
        self._before: CounterReading | None = None
        self._last: CounterReading | None = None
        self._look = ProcessLook()
        self._cost = OwnCostMeter()
        self._refusals = 0
        self._members: dict[int, int] = {}

    async def frame(self) -> Frame:
        """Scan, read the counters, and put both together."""
        at_ns, epoch_s = time.monotonic_ns(), time.time()
        facts, shares = self._scan.scan(at_ns)
        before, now = self._last, await self._counting.read()
        self._before, self._last = before, now
        self._members = members = self._counting.members(facts, now)
        calls = {each.pid: self._call(each) for each in facts}
        shown = facts if not self._targets else self._chosen(facts)
        self.timeline.compare(shown, epoch_s)
        rates: dict[int, counts.Rates] = {}
        totals: counts.Totals = (None, None)
        short: tuple[ShortLived, ...] = ()
        duration_ns = now.monotonic_ns - before.monotonic_ns if before is not None and now.monotonic_ns else 0
        if before is not None and duration_ns > 0:
            reused = {each.pid for each in facts if self._keys.get(each.pid, each.key) != each.key}
            tasks = self._tasks(facts, shares, calls)
            changed = counts.changes(before, now, tasks)
            rates = counts.rates(duration_ns, changed, tasks, members, counts.reborn(now, reused))
            totals = counts.total_rates(before, now, changed)
            self._before = before.without(reused | counts.began_anew(changed))
            short = self._short_lived(changed, {each.pid for each in shown if each.pid in rates}, duration_ns)
            short += tuple(
                ShortLived(
                    program=self._counting.ended_name(session),
                    job=self._counting.label_of(session),
                    ended=1,
                    calls_s=None if calls is None else calls * 1e9 / duration_ns,
                    errors_s=None if failed is None else failed * 1e9 / duration_ns,
                )
                for session, (calls, failed) in counts.ended_totals(before, now).items()
            )
        self._facts, self._keys = facts, {each.pid: each.key for each in facts}
        per_s = 1e9 / duration_ns if duration_ns else 0.0
        return Frame(
            epoch_s=epoch_s,
            monotonic_ns=at_ns,
            duration_ns=duration_ns,
            source=self.name,
            host=scrub(os.uname().nodename, 64),
            tracer=self._counting.tracer,
            tracer_reason=scrub(self._counting.tracer_reason, 300),
            tracer_hint=self._counting.hint,
            quality=self._counting.quality(),
            cost_pct=self._cost.read(at_ns),
            counting_pct=self._counting_cost(totals[0], per_s),
            machine=self._machine.read(),
            processes=tuple(
                self._row(each, shares.get(each.key), rates.get(each.pid, counts.UNKNOWN), calls[each.pid])
                for each in shown
            ),
            short_lived=short,
            watched=sum(each.pid in members for each in shown),
            calls_s=None if totals[0] is None else totals[0] * per_s,
            errors_s=None if totals[1] is None else totals[1] * per_s,
            slow=self._counting.slow(),
            notes=self.timeline.notes(),
        )

    def move(self, steps: int) -> bool:
        return False

    def go_to(self, epoch_s: float) -> bool:
        return False

    async def settle(self) -> None:
        """Attach to what is new, and say who cannot be had."""
        if self._last is None:
            return
        await self._counting.cover(self._facts, self._last)
        refusals, self._refusals = self._counting.refusals[self._refusals :], len(self._counting.refusals)
        if self._targets:
            for each in refusals:
                self.timeline.add(
                    Note(epoch_s=time.time(), kind="refused", pid=each.pid, text=scrub(each.reason, 200), severe=True)
                )

    async def detail(self, key: Key) -> ProcessDetail:
        """Calls over the window of the last frame; threads and files as they are now."""
        return self._look.detail(key, self._calls(key[0]))

    @property
    def files_counted(self) -> int:
        """How many processes are counted by file and peer now."""
        return self._counting.files_counted

    async def count_files(self, pid: int) -> Session:
        """By a tracer of its own, which is loaded for that, and no longer than it is needed."""
        return await self._counting.count_files(pid)

    async def close(self) -> None:
        await self._counting.close()

    def _calls(self, pid: int) -> WindowCalls:
        before, now = self._before, self._last
        if before is None or now is None or self._members.get(pid) not in before.rows:
            return WindowCalls()
        return counted(before, now, pid)

    def _call(self, facts: ScannedProcess) -> str | None:
        abi = self._scan.identity(facts).abi if facts.state not in "ZX" else None
        return call_now(str(facts.pid), abi) if abi is not None else None

    @staticmethod
    def _tasks(
        facts: Sequence[ScannedProcess], shares: dict[Key, float], calls: dict[int, str | None]
    ) -> dict[int, counts.TaskCounts]:
        return {
            each.pid: counts.TaskCounts(
                threads=each.threads,
                cpu_pct=shares.get(each.key),
                in_call=calls[each.pid] not in (None, RUNNING, OUTSIDE),
            )
            for each in facts
        }

    def _row(self, facts: ScannedProcess, cpu_pct: float | None, rate: counts.Rates, call: str | None) -> ProcessRow:
        known = self._scan.identity(facts)
        session = self._members.get(facts.pid)
        label = None if session is None else self._counting.label_of(session)
        container = self._scan.containers.name(known.containers)
        return ProcessRow(
            pid=facts.pid,
            start_ticks=facts.start_ticks,
            ppid=facts.ppid,
            comm=facts.comm,
            cmdline=known.cmdline,
            job=label or container,
            container=container,
            inner_pid=known.inner_pid,
            uid=known.uid,
            state=facts.state,
            threads=facts.threads,
            cpu_pct=cpu_pct,
            rss_bytes=facts.rss_bytes,
            watched=session is not None,
            calls_s=rate.calls_s,
            errors_s=rate.errors_s,
            working_pct=rate.working_pct,
            waiting_pct=rate.waiting_pct,
            wall_pct=rate.wall_pct,
            waits_longer=rate.at_least,
            now=call,
        )

    def _short_lived(self, changed: counts.Changes, shown: set[int], window_ns: int) -> tuple[ShortLived, ...]:
        def share(part_ns: int | None) -> float | None:
            return None if part_ns is None else 100 * max(0, part_ns) / window_ns

        found = []
        for (session, program), each in counts.short_lived(changed, shown).items():
            found.append(
                ShortLived(
                    program=program,
                    parent=self._counting.root_of(session),
                    job=self._counting.label_of(session),
                    ended=each.exits or None,
                    calls_s=None if each.calls is None else each.calls * 1e9 / window_ns,
                    errors_s=None if each.errors is None else each.errors * 1e9 / window_ns,
                    working_pct=share(each.working_ns),
                    waiting_pct=share(each.waiting_ns),
                    wall_pct=share(counts.known_total((each.working_ns, each.waiting_ns))),
                )
            )
        return tuple(found)

    def _chosen(self, facts: list[ScannedProcess]) -> list[ScannedProcess]:
        roots = [int(spec.value) for spec in self._targets if spec.kind == "pid"]
        if self._counting.tracer is None:
            roots += [pid for spec in self._targets if spec.kind != "pid" for pid in _now(spec)]
        wanted = tree(facts, roots) | set(self._members)
        return [each for each in facts if each.pid in wanted]

    def _counting_cost(self, calls: int | None, per_s: float) -> float | None:
        cost_ns = self._counting.ns_per_call
        return None if calls is None or cost_ns is None else 100 * calls * per_s * cost_ns / 1e9

    @staticmethod
    def _check(spec: TargetSpec) -> None:
        for pid in resolve(spec):
            try:
                procfs.stat(pid)
            except procfs.Gone as error:
                raise NoSuchProcess(f"no such process: {pid}", pid=pid, hint="straced top shows all") from error


def _now(spec: TargetSpec) -> tuple[int, ...]:
    try:
        return resolve(spec)
    except StracedError:
        return ()

"""Short-lived processes are counted under their own program, also after an exec: each call once, in all that is told.

Of `service/collect/row_changes.py`, `service/collect/program_names.py` and `service/collect/durations.py`.
"""

from __future__ import annotations

import asyncio
import collections
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from straced.config import schema, watch_rules
from straced.model.durations import DurationBatch
from straced.model.tick import Calls, ProcessSample
from straced.model.types import Counters
from straced.service.collect.collector import Watcher
from straced.service.collect.counted_calls import difference
from straced.service.collect.program_names import ProgramNames
from straced.service.collect.row_changes import RowChanges
from straced.service.metrics.openmetrics import Totals
from straced.store import events
from straced.store.history import History
from straced.store.writer import HistoryWriter
from straced.tracers.ebpf import EbpfTracer
from tests.service.build_truth import Build, Counts, Log
from tests.service.needs import needs_ebpf
from tests.service.processes import popen
from tests.service.samples import calls, process
from tests.support.poll import until

NEVER_TIMED = ("exit", "exit_group")
"""They do not return."""


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    made = Build(tmp_path)
    yield made
    made.close()


def test_a_fork_that_a_handler_came_before_is_one() -> None:
    """What strace says of it, which happens once in many builds."""
    log = [
        '7 read(0, "", 1) = 0',
        "7 clone(child_stack=NULL, flags=SIGCHLD) = ? ERESTARTNOINTR (To be restarted)",
        "7 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=6} ---",
        "7 rt_sigreturn({mask=[]}) = 56",
        "7 clone(child_stack=NULL, flags=SIGCHLD) = 8",
        "7 wait4(-1, 0x7ffc, 0, NULL) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)",
        "7 rt_sigreturn({mask=[]}) = -1 EINTR (Interrupted system call)",
        "7 wait4(-1, NULL, 0, NULL) = 8",
    ]
    found = {name: count for (_, name), count in Log(7).of(log).items()}
    assert found == {"clone": 1, "rt_sigreturn": 2, "wait4": 2}


@needs_ebpf
@pytest.mark.needs("strace", "gcc", "make")
async def test_a_build_says_the_same_as_strace_by_program_and_call(build: Build, tmp_path: Path) -> None:
    watcher, totals = Watcher(EbpfTracer()), Totals(100_000)
    store = HistoryWriter(tmp_path / "state" / "history.db", schema.StoreConfig())
    store.start()
    timed: Counts = collections.Counter()
    try:
        root = until(build.waiting, 20)
        watcher.set_rules([watch_rules.parse(str(root), {"job": "build"})])
        ended = False
        for number in range(100_000):
            tick, happened = await watcher.tick()
            if not number % 7:
                _add(timed, await watcher.durations.take(tick.epoch_s))
            for sink in (totals, store):
                sink.tick(tick)
                for event in happened:
                    sink.event(event)
            if any(event.kind == "ended" and event.pid == root for event in happened):
                ended = True
                break
            if tick.processes and not build.gone:
                build.go()
        assert ended
        _add(timed, await watcher.durations.take(tick.epoch_s))
        assert build.wait() == 0
        assert store.flush()
    finally:
        await watcher.close()
        store.close()
    truth = build.truth(root)
    assert truth["readlink", "readlink"] >= 16
    assert truth["cc1", "mmap"] > 0
    assert _metrics(totals) == truth
    assert _history(store.path) == truth
    returning = {key: count for key, count in truth.items() if key[1] not in NEVER_TIMED}
    assert {key: count for key, count in timed.items() if key[1] not in NEVER_TIMED} == returning


def _add(timed: Counts, batch: DurationBatch) -> None:
    for each in batch.programs:
        assert each.job == "build"
        for name, made in each.by_name.items():
            timed[each.program, name] += made.calls


def _metrics(totals: Totals) -> Counts:
    found: Counts = collections.Counter()
    for line in totals.text().splitlines():
        if line.startswith("straced_syscalls_total"):
            labels = dict(pair.split("=") for pair in line[line.index("{") + 1 : line.index("}")].split(","))
            found[labels["program"].strip('"'), labels["syscall"].strip('"')] += int(line.rpartition(" ")[2])
    return found


def _history(path: Path) -> Counts:
    found: Counts = collections.Counter()
    history = History(path)
    series = history.find(job="build")
    for program in {each.program for each in series}:
        answer = history.answer([each for each in series if each.program == program], 0)
        assert answer.lost == 0
        for row in answer.rows:
            found[program, row.name] += row.calls or 0
    whole = history.answer(series, 0)
    assert whole.total.calls == found.total()
    report = events.report(history, "build")
    assert {use.program: use.calls for use in report.programs if use.calls != 0} == {
        program: sum(count for (who, _name), count in found.items() if who == program) for program, _call in found
    }
    history.close()
    return found


@needs_ebpf
async def test_more_programs_than_there_is_room_for_are_other_and_nothing_is_lost(tmp_path: Path) -> None:
    many = 150
    script = f"read go; cd {tmp_path}; for n in $(seq {many}); do cp /bin/true p$n; ./p$n; done; read end"
    with popen(["sh", "-c", script]) as shell:
        watcher = Watcher(EbpfTracer())
        try:
            watcher.set_rules([watch_rules.parse(str(shell.pid), {})])
            await watcher.tick()
            shell.stdin.write("go\n")  # type: ignore[union-attr]
            shell.stdin.flush()  # type: ignore[union-attr]
            ended: Counts = collections.Counter()
            async for made in _ended_until(watcher, lambda: ended["", "exit_group"] >= 2 * many + 1):
                for call in made:
                    ended[call.program, call.name] += call.calls or 0
                    ended["", call.name] += call.calls or 0
        finally:
            shell.kill()
            await watcher.close()
    alone = {program: count for (program, name), count in ended.items() if name == "exit_group" and program}
    assert alone["cp"] == many
    assert sum(count for program, count in alone.items() if program.startswith("p")) < many
    assert sum(alone.values()) == 2 * many + 1, "cp and each program, and seq"
    assert alone["other"] > 0


async def _ended_until(watcher: Watcher, enough: Callable[[], bool]) -> AsyncIterator[Sequence[Calls]]:
    async with asyncio.timeout(60):
        while not enough():
            for sample in (await watcher.tick())[0].processes:
                yield sample.ended
            await asyncio.sleep(0.05)


def test_a_process_on_its_way_out_ran_what_the_kernel_says() -> None:
    """It has no program file any more, and what it was called by may be another name of it."""
    made = [msgspec.structs.replace(calls(), program="x86_64-linux-gnu-as")]
    sample = process(comm="as")

    def seen(exe: str | None, *cmdline: str) -> ProcessSample:
        return msgspec.structs.replace(sample, facts=msgspec.structs.replace(sample.facts, exe=exe, cmdline=cmdline))

    names = ProgramNames()
    assert [names.is_ahead(seen(None), made) for _ in range(3)] == [True] * 3
    assert not names.is_ahead(seen("/usr/bin/x86_64-linux-gnu-as", "as"), made)
    assert [names.is_ahead(seen(None, "as"), made) for _ in range(2)] == [True, False], "it may not be seen at all"


def test_what_is_in_an_execve_is_still_the_former_program() -> None:
    """However long that takes: /proc shows the new file all the time."""
    names, sample = ProgramNames(), process(comm="head")
    made = [msgspec.structs.replace(calls(name), program="dash", in_flight=1) for name in ("dup2", "execve")]
    assert [names.is_ahead(sample, made) for _ in range(3)] == [True] * 3
    two_names = [msgspec.structs.replace(calls(), program="dash")]
    assert [names.is_ahead(sample, two_names) for _ in range(2)] == [True, False]


def row(program: str | None, made: int, pid: int | None = None) -> Counters:
    return Counters(name="read", pid=pid, program=program, calls=made, errors=made // 2, wall_ns=10 * made, errno={})


def told(changes: RowChanges, *rows: Counters) -> dict[tuple[int | None, str], int]:
    """What is new in a reading, by pid and program."""
    taken, _gone = changes.take(rows)
    made = [(row.pid, difference(row, known, "other")) for row, known in taken]
    return {(pid, each.program): each.calls or 0 for pid, each in made if each is not None}


def test_what_was_told_of_a_process_is_not_told_again_of_its_program() -> None:
    changes = RowChanges()
    assert told(changes, row("sh", 5, pid=7)) == {(7, "sh"): 5}
    assert told(changes, row("sh", 6), row("cc1", 9, pid=7)) == {(None, "sh"): 1, (7, "cc1"): 9}
    assert told(changes, row("sh", 6), row("cc1", 12)) == {(None, "cc1"): 3}


def test_nor_where_there_was_no_room_for_its_program() -> None:
    changes = RowChanges()
    assert told(changes, row("sh", 5, pid=7), row("sh", 4), row(None, 2)) == {
        (7, "sh"): 5,
        (None, "sh"): 4,
        (None, "other"): 2,
    }
    new = told(changes, row("sh", 6), row(None, 8))  # another sh made two calls more, and this one six in all
    assert sum(new.values()) == 3

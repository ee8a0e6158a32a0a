"""Our lines beside strace's own, of programs that make the same calls each time they run.

Of `records/text/addresses.py`, `records/text/calls.py`, `records/text/compiled.py`, `records/text/controls.py`,
`records/text/dependent.py`, `records/text/flags.py`, `records/text/futexes.py`, `records/text/kinds.py`,
`records/text/memory.py`, `records/text/named.py`, `records/text/results.py`, `records/text/socket_options.py`,
`records/text/structures.py`, `records/text/decoders.py`, `records/text/file_structures.py`,
`records/text/task_structures.py`, `records/text/terminals.py`, `records/text/messages.py`, `records/text/given.py`,
`records/text/task_calls.py`, `records/text/tables/__init__.py`,
`records/text/tables/x86_64.py` and `records/text/tables/arm64.py`.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import msgspec
import pytest

from straced.records.reader import RecordFile
from straced.traces.values import TraceReport
from tests.records.frequent import FREQUENT
from tests.records.jobs import Job
from tests.records.oracle import ENVIRONMENT, ROOT, Comparison, joined, record_all, strace_lines, text_of
from tests.records.recorder import Recorded
from tests.support.build import compile_programs
from tests.support.records import check_sums, recording
from tests.traces.recorded import report

pytestmark = pytest.mark.needs("strace", "cc")
OURS = (
    "files", "opens", "names", "directories", "descriptors", "vectors", "memory", "signals", "threads", "children",
    "identity", "limits", "clocks", "polling", "futexes", "internet", "datagrams", "locals", "controls",
)  # fmt: skip
COMMANDS = (
    "ls -l /etc/apt", "cat /etc/passwd /missing", "find /etc/apt", "wc /etc/passwd", "cp /etc/passwd copy", "mv a b",
    "mkdir -p x/y/z", "touch new", "ln -s a b", "head -c 100 /etc/passwd",
    "dd if=/dev/zero of=out bs=1024 count=4 status=none",
    "stat -c %s /etc/passwd", "du -s /etc/apt", "grep root /etc/passwd", "sed s/a/b/ /etc/passwd",
    "tail -n 3 /etc/passwd",
    "diff /etc/passwd /etc/group", "tee f g", "truncate -s 100 f", "realpath .", "rm -r a",
    "find . -name a -exec cat {} ;",
)  # fmt: skip
UNTOLD_ENDS = {"getsockname", "getsockopt"}
"""Calls of which some lines have a connected socket whose own end no call has told yet."""
SHELL = ("sh", "-c", "umask 077; echo x > n; read x < n; test -f n; cd /; kill -9 $$")


class Runs:
    """Each program once under strace, and once recorded."""

    def __init__(self, folder: Path) -> None:
        binary = compile_programs(folder)
        host = f"127.{random.randrange(1, 255)}.{random.randrange(255)}.{random.randrange(1, 255)}"
        words = [[str(binary), name, host] for name in OURS] + [line.split() for line in COMMANDS] + [list(SHELL)]
        self.folder = folder
        self.names = [each[1] if each[0] == str(binary) else " ".join(each) for each in words]
        self.jobs = [
            Job(
                [str(shutil.which(each[0], path=ENVIRONMENT["PATH"] + ":/")), *each[1:]],
                ENVIRONMENT,
                str(folder / "work"),
            )
            for each in words
        ]
        self.logs: list[Path] = []
        self.theirs: list[dict[str, list[str]]] = []
        for place, job in enumerate(self.jobs):
            self.logs.append(folder / f"{place}.strace")
            self.theirs.append(strace_lines(job, self.logs[-1]))
        self.recorded: list[Recorded] = record_all(self.jobs, folder)


def steady(tasks: dict[str, list[str]]) -> dict[str, list[str]]:
    """Lines without the futex calls of programs with threads: whether one must wait depends on who is first."""
    threads = any("CLONE_THREAD" in line or line.startswith("clone3(") for lines in tasks.values() for line in lines)
    return {
        pid: [line for line in lines if not (threads and line.startswith("futex("))] for pid, lines in tasks.items()
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("records"))


@pytest.fixture(scope="module")
def compared(runs: Runs) -> Comparison:
    found = Comparison()
    for recorded, theirs in zip(runs.recorded, runs.theirs, strict=True):
        found.add(steady(joined(text_of(recorded))), steady(theirs))
    return found


def test_no_line_differs(compared: Comparison) -> None:
    assert compared.different == {}
    assert compared.alone == []
    assert compared.equal.total() > 2000


def test_frequent_calls_are_told_as_strace_tells_them(compared: Comparison) -> None:
    """All but two of the hundred have every line whole; see docs/records.md for what is left out, and why."""
    assert len(FREQUENT) == 100
    assert {name for name in FREQUENT if compared.shortened[name] or not compared.equal[name]} == UNTOLD_ENDS
    assert compared.shortened.keys() - set(FREQUENT) == {"select", "waitid"}


@pytest.mark.needs("ebpf")
async def test_no_line_differs_of_real_records(runs: Runs) -> None:
    """The same programs, recorded by eBPF, one after the other as children of one process."""
    found = await compare_real(runs.jobs, runs.theirs, runs.folder)
    assert found.different == {}
    assert found.alone == []
    assert found.equal.total() > 2000
    assert all(found.equal[name] for name in FREQUENT)


async def compare_real(
    jobs: list[Job], theirs: list[dict[str, list[str]]], folder: Path, *, names: bool = True
) -> Comparison:
    """Record programs by eBPF, and compare their lines with strace's."""
    found = Comparison()
    tasks, pids = await record_by_ebpf(jobs, folder, names=names)
    places = [list(tasks).index(pid) for pid in pids] + [len(tasks)]
    for pid, first, last, lines in zip(pids, places[:-1], places[1:], theirs, strict=True):
        own = dict(list(tasks.items())[first:last])
        launched = next(i for i, line in enumerate(own[pid]) if line.startswith("execve(") and line.endswith("= 0"))
        own[pid] = own[pid][launched:]
        found.add(steady(own), steady(lines))
    suicides = found.different.pop("kill")  # which strace does not see return
    assert {(mine.partition(" = ")[2], strace.partition(" = ")[2]) for mine, strace in suicides} == {("0", "?")}
    return found


async def record_by_ebpf(jobs: list[Job], folder: Path, *, names: bool) -> tuple[dict[str, list[str]], list[str]]:
    """The lines of programs by task, and the number of each program."""
    source, made = folder / "jobs", folder / "made.strc"
    source.write_bytes(msgspec.msgpack.encode(jobs))
    argv = [sys.executable, "-m", "tests.records.launcher", str(source)]
    launcher = await asyncio.create_subprocess_exec(*argv, cwd=ROOT, stdin=PIPE, stdout=PIPE)
    assert launcher.stdin is not None
    assert launcher.stdout is not None
    try:
        assert await launcher.stdout.readline() == b"ready\n"
        async with recording(launcher.pid, made):
            launcher.stdin.write(b"go\n")
            pids = [(await launcher.stdout.readline()).decode().strip() for _ in jobs]
    finally:
        launcher.stdin.close()
        await launcher.wait()
    file = RecordFile(made)
    check_sums(file)
    assert b"cubic" in made.read_bytes()
    assert b"0123456789a-key!" not in made.read_bytes(), "keys that sockets are given are no structures"
    return joined(text_of(Recorded(file.facts, list(file)), names=names)), pids


def test_the_comparison_sees_a_difference() -> None:
    found = Comparison()
    line = 'openat(AT_FDCWD</tmp>, "x", O_RDONLY) = 3</tmp/x>'
    found.add({"1": [line]}, {"1": [line.replace("RDONLY", "WRONLY")]})
    found.add({"1": ["fstat(3, {...}) = 0"]}, {"1": ["fstat(3, 0x7ffc12345678) = 0"]})
    found.add({"1": [line]}, {"1": [line, line]})
    assert sorted(found.different) == ["fstat", "openat"]
    assert found.alone == [line]


def test_a_report_of_both_is_the_same(runs: Runs, compared: Comparison) -> None:
    """Calls, errors and files of the text of records, as ``straced report`` reads them, are those of strace's log."""
    for place in (runs.names.index("children"), runs.names.index("ls -l /etc/apt"), len(runs.names) - 1):
        ours = runs.folder / "ours.strace"
        ours.write_text("".join(f"{line}\n" for line in text_of(runs.recorded[place])))
        mine, theirs = report(ours), report(runs.logs[place])
        assert {row.name: (row.calls, row.errors) for row in mine.summary.rows} == {
            row.name: (row.calls, row.errors) for row in theirs.summary.rows
        }, runs.names[place]
        assert places(mine) == places(theirs)


def places(made: TraceReport) -> set[str]:
    """The files of a report. Records do not tell where symbolic links lead."""
    return {os.path.realpath(each.path) for each in made.files if each.path.startswith("/")}

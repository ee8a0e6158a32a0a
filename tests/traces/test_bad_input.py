"""Input that is no trace, or a hostile one: bounded memory and time, and one clear sentence."""

from __future__ import annotations

import gzip
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from straced.traces.analysis.tally import LineTally
from straced.traces.native.choice import CHOICE
from straced.traces.parsing import source as sources
from straced.traces.parsing.source import InputError
from straced.traces.report.request import ReportRequest
from straced.workflows.report import Outputs, make
from tests.support.pace import PACE
from tests.traces.recorded import calls_of, report
from tests.traces.written import report_of

GOOD = b"70    1790000000.000000 getppid() = 1 <0.000010>\n"
MEMORY_BYTES = 400 << 20
"""Of address space; the reader has 80 MB of code in it."""


def refused(*arguments: str, **options: object) -> str:
    """The words of a report that fails, within bounds."""
    done = subprocess.run(
        [sys.executable, "-m", "straced", "report", "--jobs", "1", *arguments],
        capture_output=True, text=True, timeout=60 * PACE, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES)),
        **options,  # type: ignore[call-overload]
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) <= 3
    return str(done.stderr)


@pytest.mark.limit(120)
def test_a_line_without_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        file.write(GOOD + b"x")
        file.truncate(1 << 28)  # a hole: it takes no room
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + GOOD)
    command = [sys.executable, "-m", "straced", "report", "--json", "--jobs", "1", str(path)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=100 * PACE, check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES)),
    )  # fmt: skip
    assert '"getppid"' in done.stdout
    assert '"calls": 2' in done.stdout
    assert done.stdout.count("was taken apart") <= 2


@pytest.mark.parametrize("first", [b"", GOOD])
def test_a_bomb(tmp_path: Path, first: bytes) -> None:
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(first + b"\0" * (64 << 20), 1))
    if not first:
        assert "binary" in refused(str(path))
        return
    made = report(path)
    assert (calls_of(made), made.unread, made.lines) == ({"getppid": 1}, 1, 2)


@pytest.mark.parametrize(
    "unit", [b" = ", b") = 5>", b"/a", b"= -1 EX (", b'"', b"\\x4", b"strace: ", b"<... a ", b"[a] "]
)
def test_a_line_that_makes_a_pattern_go_back(tmp_path: Path, unit: bytes) -> None:
    for head in (b"70    1790000000.000000 read(3, ", b"", b"70    1790000000.000000 <... read resumed>"):
        text = (GOOD + head + unit * ((1 << 18) // len(unit)) + b"\n" + GOOD).decode()
        assert report_of(tmp_path, text).summary.syscalls["getppid"].calls == 2


def test_nul_bytes_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(GOOD + b"\0" * 70_000 + b"\n" + GOOD + GOOD.replace(b"ge", b"g\0"))
    made = report(path)
    assert (calls_of(made), made.unread, made.summary.quality.kind) == ({"getppid": 2}, 2, "partial")


def test_what_is_no_file(tmp_path: Path) -> None:
    assert "folder" in refused(str(tmp_path))
    assert "binary" in refused("/dev/zero")
    assert "empty" in refused("/dev/null")


def test_a_fifo_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(GOOD * 3,))
    writer.start()
    assert calls_of(report(path)) == {"getppid": 3}
    writer.join()


def test_a_file_that_is_replaced_or_cut_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    path.write_bytes(GOOD * 5)
    real = sources.TraceSource.blocks

    def replaced(self: sources.TraceSource) -> object:
        (tmp_path / "other").write_bytes(b"other\n" * 50)
        os.replace(tmp_path / "other", path)
        return real(self)

    with monkeypatch.context() as patch:
        patch.setattr(sources.TraceSource, "blocks", replaced)
        with pytest.raises(InputError, match="changed while it was read"):
            make(ReportRequest(file=str(path)), Outputs(ndjson=tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    path.write_bytes(GOOD * 50)
    opened = sources.open_source(str(path))
    os.truncate(path, len(GOOD) * 20)
    assert sum(block.count(b"\n") - 1 for block in opened.blocks()) == 20
    assert "became shorter" in opened.notes[0]


def test_very_many_tasks(tmp_path: Path) -> None:
    """Each is in a call and never ends; many wait to be restarted, many are in a clone."""
    endings = (
        "close(3) = 0 <0.000010>",
        "read(3,  <unfinished ...>",
        "wait4(-1, 0x1, 0, NULL) = ? ERESTARTSYS (To be restarted) <0.000010>",
        "clone(child_stack=NULL, flags=CLONE_THREAD <unfinished ...>",
        "getpid() = 1 <0.000010>",
    )
    tasks = 20_000
    path = tmp_path / "log"
    with path.open("w") as file:
        for tid in range(1, tasks + 1):
            file.write(f"{tid:<5} 1790000000.{tid:06d} {endings[tid % len(endings)]}\n")
    for counts in (True, False):
        made = report(path, counts=counts)
        assert made.summary.total.calls == tasks
        assert made.unread == 0
    assert len(made.processes) <= 500


def test_numbers_that_no_kernel_has(tmp_path: Path) -> None:
    digits = "9" * 5000
    text = GOOD.decode() + "".join(
        f"70    1790000000.000000 {call}\n"
        for call in (f"read({digits}, {digits}) = {digits} <{digits}.5>", f"pipe([{digits}, {digits}]) = 0 <0.1>",
                     f"openat(AT_FDCWD, \"/x\", O_RDONLY) = {digits}", f"close_range({digits}, {digits}, 0) = 0 <0.1>",
                     f"clone(flags=0x{'f' * 500}) = {digits}", f"exit_group({digits}) = ?", f"fork() = {digits}")
    )  # fmt: skip
    text += f"{digits} 1790000000.000000 getppid() = 1 <0.000010>\n70    {digits}.1 getppid() = 1 <99999999999.9>\n"
    made = report_of(tmp_path, text)
    assert made.summary.syscalls["getppid"].calls
    assert made.to_dict()


@pytest.mark.parametrize("counts", [True, False])
def test_blank_lines_by_the_million_cost_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counts: bool) -> None:
    """Two gigabytes of them are two megabytes of gzip."""
    monkeypatch.setenv(CHOICE, "python")
    path, blank = tmp_path / "log.gz", 6 << 20
    path.write_bytes(gzip.compress(GOOD + b"\n" * blank + GOOD, 1))
    looked_at: list[int] = []
    real = LineTally.feed

    def feed(self: LineTally, block: bytes, first: int) -> None:
        looked_at.append(len(block))
        real(self, block, first)

    monkeypatch.setattr(LineTally, "feed", feed)
    made = report(path, counts=counts)
    assert (calls_of(made), made.lines, made.unread) == ({"getppid": 2}, blank + 2, 0)
    assert sum(looked_at) < 3 << 20
    if not counts:
        assert [each.line for each in made.slowest] == [1, blank + 2]

"""A trace and its report at once: ``trace | report -`` and ``trace --report``, with Ctrl-C as people press it.

Of `commands/report.py`, `views/text/report.py`, `traces/report/load.py` and `traces/parsing/interrupt.py`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.support.cli import Result, popen_straced, straced
from tests.support.poll import until
from tests.support.workload import Starter
from tests.traces.recorded import report

pytestmark = pytest.mark.needs("strace", "cc")
LINE = "1     179000000%d.000000 getppid()                     = 1 <0.000010>\n"


def piped(pid: int, *words: str) -> tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]:
    """``straced trace PID | straced report - --json WORDS``."""
    trace = popen_straced("trace", "--tracer", "strace", pid)
    reader = popen_straced("report", "-", "--json", *words, stdin=trace.stdout)
    assert trace.stdout is not None
    trace.stdout.close()
    trace.stdout = None
    return trace, reader


def ended(process: subprocess.Popen[bytes]) -> Result:
    out, err = process.communicate(timeout=30)
    return Result(process.returncode, (out or b"").decode(), (err or b"").decode())


def calls(result: Result, name: str) -> int:
    rows = msgspec.json.decode(result.out)["summary"]["syscalls"]
    return next(row["calls"] for row in rows if row["name"] == name)


def test_through_a_pipe_until_the_target_ends(start: Starter, tmp_path: Path) -> None:
    target = start("n", 300)
    trace, reader = piped(target.pid, "--html", str(tmp_path / "page.html"))
    until(target.held, 20, "it attaches")
    target.finish()
    target.let_end()
    result = ended(reader)
    assert (ended(trace).status, result.status, result.err) == (0, 0, "")
    assert calls(result, "getppid") == 300
    assert "getppid" in (tmp_path / "page.html").read_text()


def test_through_a_pipe_until_ctrl_c(start: Starter) -> None:
    """The terminal sends SIGINT to both; the reader still takes what the tracer gives while it lets go."""
    target = start("n", 300)
    trace, reader = piped(target.pid)
    until(target.held, 20, "it attaches")
    until(lambda: "poll" in Path(f"/proc/{reader.pid}/wchan").read_text(), 20, "the report waits for lines")
    target.finish()
    for process in (reader, trace):
        process.send_signal(signal.SIGINT)
    result = ended(reader)
    assert (ended(trace).status, result.status, result.err) == (0, 0, "")
    assert calls(result, "getppid") == 300
    assert msgspec.json.decode(result.out)["summary"]["quality"]["kind"] == "exact"
    assert target.untraced()


def test_a_writer_that_does_not_end(tmp_path: Path) -> None:
    """The second Ctrl-C ends the input; what was read is reported as a part."""
    read, write = os.pipe()
    reader = popen_straced("report", "-", "--json", stdin=read)
    os.close(read)
    os.write(write, (LINE % 1).encode() * 50)
    until(lambda: _polls(reader.pid), 20, "it waits for more")
    for presses in (1, 2):
        reader.send_signal(signal.SIGINT)
        until(lambda presses=presses: reader.poll() is not None or (presses == 1 and _polls(reader.pid)), 20)  # type: ignore[misc]
    result = ended(reader)
    os.close(write)
    assert result.status == 130, result.err
    assert calls(result, "getppid") == 50
    quality = msgspec.json.decode(result.out)["summary"]["quality"]
    assert (quality["kind"], [reason["code"] for reason in quality["reasons"]]) == ("partial", ["interrupted"])


def _polls(pid: int) -> bool:
    """Whether it waits in poll(2), with the handler of SIGINT in place."""
    try:
        caught = next(line for line in Path(f"/proc/{pid}/status").read_text().split("\n") if line.startswith("SigCgt"))
        return bool(int(caught.split()[1], 16) & 2) and Path(f"/proc/{pid}/wchan").read_text().startswith("poll")
    except (OSError, StopIteration):
        return False


@pytest.mark.parametrize("keep", [False, True])
def test_trace_with_a_report(start: Starter, tmp_path: Path, keep: bool) -> None:
    target = start("n", 200)
    page, out = tmp_path / "out" / "page.html", tmp_path / "out" / "trace"
    page.parent.mkdir()
    process = popen_straced("trace", "--tracer", "strace", target.pid, "--report", page, *(["-o", out] if keep else []))
    until(target.held, 20, "it attaches")
    target.finish()
    process.send_signal(signal.SIGINT)
    assert ended(process) == (0, "", "")
    assert "getppid" in page.read_text()
    assert page.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in page.parent.iterdir()) == ["page.html", *(["trace"] if keep else [])]
    if keep:
        assert report(out).summary.syscalls["getppid"].calls == 200
    assert target.untraced()


def test_a_page_that_cannot_be_written_stops_nobody(start: Starter, tmp_path: Path) -> None:
    target = start("pause")
    gone = subprocess.Popen(["true"])
    gone.wait()
    (tmp_path / "there").write_text("mine")
    straced("trace", target.pid, "--report", tmp_path / "there").assert_clear_error(2)
    straced("trace", target.pid, "--report", tmp_path).assert_clear_error(2)
    assert (tmp_path / "there").read_text() == "mine"
    straced("trace", gone.pid, "--report", tmp_path / "new").assert_clear_error(3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["TMPDIR", "there"]
    assert target.untraced()


def test_lines_that_were_dropped_are_missing_from_the_report(start: Starter) -> None:
    """A reader that is too slow costs lines: the trace says how many, and so does its report."""
    target = start("n", 30_000)
    trace = popen_straced("trace", target.pid, "--spill", "64kB")
    until(target.held, 20, "it attaches")
    target.finish()  # with nobody reading
    trace.send_signal(signal.SIGINT)
    assert trace.stdout is not None
    reader = popen_straced("report", "-", "--json", stdin=trace.stdout)
    trace.stdout.close()
    trace.stdout = None
    result = ended(reader)
    words = ended(trace).err
    assert "lines were dropped" in words
    quality = msgspec.json.decode(result.out)["summary"]["quality"]
    assert quality["kind"] == "lossy", words
    assert f"{quality['lost']:,} lines were dropped" in words
    lines = msgspec.json.decode(result.out)["lines"]
    assert 30_000 <= lines + quality["lost"] <= 30_100


def test_a_form_that_shows_late(tmp_path: Path) -> None:
    """A pipe gives a line at a time: the first lines alone, here without a duration, tell nothing."""
    text = b"".join([
        b"1     1790000001.000000 read(3</x>,  <unfinished ...>\n",
        b'1     1790000002.000000 <... read resumed>"", 10) = 0 <1.000000>\n',
        b'1     1790000003.000000 openat(AT_FDCWD</>, "/y", O_RDONLY) = 4</y> <0.000100>\n',
    ])  # fmt: skip
    reader = popen_straced("report", "-", "--json", stdin=subprocess.PIPE)
    assert reader.stdin is not None
    for line in text.splitlines(keepends=True):
        reader.stdin.write(line)
        reader.stdin.flush()
        until(lambda: _polls(reader.pid), 20, "it took the line")
    made = msgspec.json.decode(ended(reader).out)
    assert made["missing"] == []
    assert {row["path"] for row in made["files"]} == {"/x", "/y"}
    assert sum(row["wall_ns"] for row in made["files"]) == 1_000_100_000


def test_standard_input_that_is_closed() -> None:
    done = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m straced report - <&-"], capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    Result(done.returncode, done.stdout, done.stderr).assert_clear_error(2)

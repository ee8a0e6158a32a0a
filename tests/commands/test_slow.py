"""``straced attach --slower`` and ``straced run --slower``: each call over a limit, with its file or peer.

Of `commands/slow_options.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from pathlib import Path

import pytest

from straced.syscalls import syscall_name
from tests.support import proc
from tests.support.cli import popen_straced, straced
from tests.support.poll import until

READS = "import os, sys\nfd = os.open(sys.argv[1], os.O_RDWR)\nos.read(fd, 1)\n"


def is_reading(pid: int) -> bool:
    number = Path(f"/proc/{pid}/syscall").read_text().split()[0]
    return number.isdecimal() and syscall_name(int(number)) == "read"


def give(path: Path) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    os.write(fd, b"x")
    os.close(fd)


@pytest.mark.needs("ebpf")
def test_run_shows_them_below_the_summary(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    process = popen_straced("run", "--slower", "1ms", "--", sys.executable, "-c", READS + "print(1)", path)
    pid = until(lambda: _reader(path), 60, "it reads")
    until(lambda: is_reading(pid), 20)
    until(lambda: _has_slept(pid), 20)
    give(path)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, b"1\n"), err
    text = err.decode()
    assert "Calls of 1.0 ms or more: " in text
    assert text.index("Calls of 1.0 ms") > text.index("exact")
    row = next(line for line in text.splitlines() if f"<{path}>" in line and "read(" in line)
    assert str(path)[-40:] in row.split("read(")[0]
    assert str(pid) in row


def _reader(path: Path) -> int:
    """Who has a file open, besides us."""
    for pid in proc.pids():
        with contextlib.suppress(OSError):  # it has ended
            if str(path) in proc.fds(pid).values():
                return pid
    return 0


def _has_slept(pid: int) -> bool:
    """Whether it has been in its read for 5 ms on end, which is longer than the limit."""
    begun = time.monotonic()
    while time.monotonic() - begun < 0.005:
        if not is_reading(pid):
            return False
    return True


@pytest.mark.needs("ebpf")
def test_sums_by_file(tmp_path: Path) -> None:
    code = "import os\nfor _ in range(100):\n    try: os.stat('none')\n    except OSError: pass"
    result = straced("run", "--files", "--all", "--", sys.executable, "-c", code, cwd=tmp_path)
    row = next(line for line in result.err.splitlines() if f"{tmp_path}/none (ENOENT)" in line)
    assert row.split()[:2] == ["100", "100"]
    shown = straced("run", "--files", "--json", "--", sys.executable, "-c", code, cwd=tmp_path)
    found = {each["name"]: each for each in json.loads(shown.err)["files"]["rows"]}
    assert found[f"{tmp_path}/none"]["errors"] == 100


def test_sums_by_file_are_of_the_whole_time() -> None:
    straced("attach", "1", "--files", "-i", "1s").assert_clear_error(2)
    straced("attach", "1", "--files", "--tracer", "strace").assert_clear_error(2)


@pytest.mark.parametrize(("verb", "status"), [(("attach", "1"), 2), (("run", "--", "true"), 125)])
def test_what_makes_no_sense_is_refused(verb: tuple[str, ...], status: int) -> None:
    name, *rest = verb
    alone = straced(name, "--waits", *rest)
    alone.assert_clear_error(status)
    assert "--slower" in alone.err
    other = straced(name, "--slower", "10ms", "--tracer", "strace", *rest)
    other.assert_clear_error(status)
    assert "eBPF" in other.err


@pytest.mark.needs("ebpf", "io_uring")
def test_requests_of_io_uring(binaries: tuple[Path, Path | None]) -> None:
    result = straced("run", "--io-uring", "--all", "--", binaries[0], "ring", "50")
    row = next(line for line in result.err.splitlines() if line.endswith(" io_uring:openat (ENOENT)"))
    assert row.split()[:3] == ["100", "50", "0"]
    shown = straced("run", "--io-uring", "--json", "--", binaries[0], "ring", "50")
    found = {each["name"]: each for each in json.loads(shown.err)["io_uring"]["rows"]}
    assert found["io_uring:nop"]["requests"] == 50
    straced("attach", "1", "--io-uring", "-i", "1s").assert_clear_error(2)
    straced("attach", "1", "--io-uring", "--tracer", "strace").assert_clear_error(2)

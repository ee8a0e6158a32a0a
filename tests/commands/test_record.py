"""``straced record`` and ``straced dump``: a flight recorder at a shell, and who may ask it.

Of `commands/record.py`, `commands/dump.py`, `workflows/dump.py`, `workflows/flight.py` and `workflows/flight_link.py`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from straced.records.reader import RecordFile
from straced.records.values import RecordKind
from straced.workflows import flight_link
from tests.support import proc
from tests.support.cli import popen_straced, straced
from tests.support.poll import until
from tests.support.records import check_sums
from tests.tracers.ebpf.test_lifecycle import loaded, programs_of

LOOP = """
import os, time
while True:
    os.getppid(); time.sleep(0.001)
    try: open("/there/is/none")
    except OSError: pass
"""


@contextmanager
def looping() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", LOOP]) as loop:
        try:
            yield loop
        finally:
            loop.kill()


@contextmanager
def recorder(*words: object) -> Iterator[subprocess.Popen[bytes]]:
    """A recorder that can be asked."""
    process = popen_straced("record", *words)
    try:
        path = flight_link.folder() / f"{process.pid}.sock"
        until(lambda: path.exists() or process.poll() is not None, 60, "it can be asked")
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


@pytest.mark.needs("ebpf")
def test_a_dump_from_another_shell(tmp_path: Path) -> None:
    path = tmp_path / "t.strc"
    with looping() as loop, recorder(loop.pid, "--ring", "1MiB") as process:
        done = straced("dump", loop.pid, "-o", path)
        assert done.status == 0, done.err
        assert " calls, " in done.err
        assert path.stat().st_mode & 0o777 == 0o600
        check_sums(RecordFile(path))
        again = straced("dump", loop.pid, "-o", path)
        assert (again.status, "exists" in again.err) == (2, True)
        assert straced("dump", loop.pid, "-o", path, "--overwrite", "--last", "50ms").status == 0
        full = straced("dump", loop.pid, "-o", tmp_path / "none", "--min-free", "1000TB")
        assert (full.status, (tmp_path / "none").exists()) == (2, False)
        assert "nearly full" in full.err
        assert process.poll() is None
        report = json.loads(straced("report", path, "--json").out)
    assert any(
        "a dump: it has all calls of the last" in each["text"] for each in report["summary"]["quality"]["reasons"]
    )
    assert not list(flight_link.folder().glob(f"{process.pid}.sock"))


@pytest.mark.needs("ebpf")
def test_a_signal_writes_dumps_within_their_budget(tmp_path: Path) -> None:
    folder = tmp_path / "dumps"

    def dumps() -> list[Path]:
        return sorted(folder.glob("signal-*.strc"))

    folder.mkdir()
    old = folder / "signal-1-20000101T000000.strc"
    old.write_bytes(b"old")
    os.utime(old, (1, 1))
    with looping() as loop, recorder(loop.pid, "--ring", "1MiB", "--dumps", folder, "--max-age", "1h") as process:
        process.send_signal(signal.SIGUSR1)
        (found,) = until(lambda: [path for path in dumps() if path != old], 30, "a dump")
        assert not old.exists()
        check_sums(RecordFile(found))
        assert RecordFile(found).end.reason == "signal"  # type: ignore[union-attr]


@pytest.mark.needs("ebpf")
def test_what_came_last_is_written_when_the_target_ends(tmp_path: Path) -> None:
    path = tmp_path / "t.strc"
    with looping() as loop, recorder(loop.pid, "-o", path) as process:
        loop.kill()
        _out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    file = RecordFile(path)
    check_sums(file)
    assert [each.result for each in file if each.kind is RecordKind.EXIT] == [signal.SIGKILL]


@pytest.mark.needs("ebpf", "bpftool")
def test_a_killed_recorder_leaves_nothing_loaded(tmp_path: Path) -> None:
    with looping() as loop:
        with recorder(loop.pid) as process:
            held = programs_of(process.pid)
            assert held
            process.kill()
            process.communicate(timeout=30)
        until(lambda: not loaded(held), 30, "the kernel has let go of it")
        assert proc.state(loop.pid) in "RSD"
        done = straced("dump", loop.pid, "-o", tmp_path / "t.strc")
        assert (done.status, (tmp_path / "t.strc").exists()) == (6, False)
        assert f"straced record {loop.pid}" in done.err
        (flight_link.folder() / f"{process.pid}.sock").unlink()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["record"], "missing target"),
        (["record", "1"], "--force"),
        (["record", str(os.getpid()), "--ring", "0"], "not above zero"),
        (["record", str(os.getpid()), "--ring", "1TB"], "is no size of a ring"),
        (["record", str(os.getpid()), "--ring", "4k"], "524.3 kB to 67.1 MB a CPU"),
        (["record", str(os.getpid()), "-e", "%desc"], "only strace knows"),
        (["record", str(os.getpid()), "-o", "/there/is/no/t.strc"], "/there/is/no"),
        (["dump", str(os.getpid())], "-o"),
        (["dump", str(os.getpid()), "-o", "t.strc"], "begin one: straced record"),
    ],
)
@pytest.mark.needs("ebpf")
def test_what_cannot_be_is_said(words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = straced(*words)
    assert done.status
    assert said in done.err
    assert not (tmp_path / "t.strc").exists()


@pytest.mark.needs("ebpf", "root")
def test_nobody_else_is_listened_to(tmp_path: Path) -> None:
    """The directory is its user's alone; who gets a connection all the same is told nothing."""
    with looping() as loop, recorder(loop.pid) as process:
        folder = flight_link.folder()
        assert folder.stat().st_mode & 0o777 == 0o700
        path = folder / f"{process.pid}.sock"
        code = (
            "import os, socket, sys\n"
            "s = socket.socket(socket.AF_UNIX)\n"
            "if sys.argv[2] == 'late':\n"
            "    os.chdir(os.path.dirname(sys.argv[1])); sys.argv[1] = os.path.basename(sys.argv[1])\n"
            "os.setgid(65534); os.setuid(65534)\n"
            "try:\n    s.connect(sys.argv[1])\n    print(s.recv(1))\nexcept OSError: print('refused')"
        )
        for when in ("early", "late"):
            done = subprocess.run([sys.executable, "-c", code, path, when], capture_output=True, check=True, timeout=60)
            assert done.stdout.strip() in (b"refused", b"b''")

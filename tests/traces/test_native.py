"""The native core gives the bytes that the Python reader gives: on logs of every form, damaged ones, and every prefix.

Of `traces/native/choice.py`, `traces/native/library.py`, `traces/native/core.py`, `traces/native/tables.py`,
`traces/native/packed.py`, `traces/native/tally.py`, `traces/native/counting.py`, `traces/native/scanning.py`,
`traces/native/ordered_pass.py`, `traces/native/finding.py`, `traces/analysis/block_counting.py` and
`traces/analysis/lock_waits.py`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import util
from pathlib import Path

import pytest

from straced.traces.analysis import error_calls, file_stats, idle_calls, lock_waits, tally, tasks, time_buckets
from straced.traces.native import choice, library, ordered_pass
from straced.traces.parsing import source
from tests.support.needs import require
from tests.traces.differ import differs, outcome
from tests.traces.recorded import ENVIRONMENT, MIXED, record

ROOT = Path(__file__).parents[2]
MUTATIONS = int(os.environ.get("STRACED_FUZZ_LOGS", "60"))
"""``make soak`` takes 100,000."""
FORMS = [
    ("-f", "-ttt", "-T"),
    ("-f", "-ttt", "-T", "-yy"),
    ("-f", "-tt", "-T", "-y", "-i"),
    ("-f", "-t", "-Y"),
    ("-f", "-r", "-T", "-X", "raw"),
    ("-f",),
]
_NETWORK = """
import fcntl, os, select, socket, threading
server = socket.socket(); server.bind(("127.0.0.1", 0)); server.listen()
def client():
    for _ in range(3):
        one = socket.create_connection(server.getsockname()); one.sendall(b"x" * 600); one.recv(10); one.close()
thread = threading.Thread(target=client); thread.start()
for _ in range(3):
    one, _ = server.accept(); one.recv(1000); one.sendall(b"y"); one.close()
thread.join()
r, w = os.pipe(); os.write(w, b"abc"); poll = select.poll(); poll.register(r, select.POLLIN)
poll.poll(0); os.read(r, 10); poll.poll(0); os.close(os.dup(w)); os.chdir("/")
epoll = select.epoll(); epoll.register(r, 1); epoll.poll(0); epoll.close()
for path in ("nope", "./rel/x", "/etc/passwd"):
    try: os.close(os.open(path, os.O_RDONLY))
    except OSError: pass
folder = os.open("/etc", os.O_RDONLY); os.stat("passwd", dir_fd=folder); os.fstat(folder); os.listdir(folder)
fcntl.flock(folder, fcntl.LOCK_EX); fcntl.fcntl(r, fcntl.F_SETFD, 1); fcntl.fcntl(r, fcntl.F_DUPFD, 9); os.getpid()
a, b = socket.socketpair(); a.send(b"1"); unix = socket.socket(socket.AF_UNIX)
try: unix.connect("/nope")
except OSError: pass
os.execv("/bin/true", ["true"])
"""
NETWORK = (sys.executable, "-I", "-S", "-c", _NETWORK)


@pytest.fixture(scope="session", autouse=True)
def core() -> None:
    """The core is here, and of these sources."""
    require("cc")
    assert _build().build(choice.PATH)
    loaded = library.library()
    assert loaded is not None
    assert loaded.sources == _build().digest()


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two programs, in each form."""
    folder = tmp_path_factory.mktemp("logs")
    programs = (NETWORK, MIXED)
    found = [
        record(folder, programs[number % 2], flags, f"log{number}")
        for number, flags in enumerate([*FORMS, *FORMS[:3][::-1]])
    ]
    waiting = folder / "waiting"  # as lines of records are, with what of each duration the thread waited
    waiting.write_bytes(re.sub(rb"<(\d\.\d{6})>\n", rb"<\g<1>001+\g<1>000>\n", found[1].read_bytes()))
    return [*found, waiting]


def _build():  # type: ignore[no-untyped-def]
    spec = util.spec_from_file_location("native_build", ROOT / "native" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_logs_of_every_form(logs: list[Path]) -> None:
    for path in logs:
        log = path.read_bytes()
        assert log.count(b"\n") > 100
        assert not differs(log), path
    assert not differs(logs[0].read_bytes().replace(b"\n", b"\r\n"))


def test_most_lines_are_read_by_the_core(logs: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    by_python: list[object] = []
    read = ordered_pass.NativeOrderedPass.read
    monkeypatch.setattr(
        ordered_pass.NativeOrderedPass, "read", lambda self, found: (by_python.extend(found), read(self, found))
    )
    log = logs[0].read_bytes()
    outcome(log, "native")
    assert 0 < len(by_python) < log.count(b"\n") / 2


def test_blocks_and_jobs_change_nothing(logs: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    log = logs[0].read_bytes() * 3
    whole = outcome(log, "python")
    monkeypatch.setattr(source, "BLOCK_BYTES", 10_000)
    monkeypatch.setattr("straced.traces.analysis.reader.SMALL_BYTES", 20_000)
    assert [outcome(log, "native", jobs=jobs) for jobs in (1, 2, 5)] == [whole] * 3


def test_prefixes(logs: list[Path]) -> None:
    for path in logs:
        log = b"\n".join(path.read_bytes().split(b"\n")[30:42])
        for length in range(1, len(log), 1 if MUTATIONS > 1000 else 211):
            assert not differs(log[:length]), log[:length]


def test_beyond_every_limit(logs: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, limit in (
        (file_stats, "MOST_PATHS", 10), (file_stats, "MOST_OF_EACH", 3), (lock_waits, "MOST_LOCKS", 1),
        (idle_calls, "MOST", 1), (error_calls, "BURST_KEYS", 4), (tally, "MOST_ROWS", 20),
        (tally, "FOLD_LINES", 50), (tally, "KEPT_TASKS", 2), (time_buckets, "TICK_KEYS", 5), (tasks, "_MOST_IDLE", 2),
        (tasks, "_MOST_TASKS", 4), (source, "BLOCK_BYTES", 4_000),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, limit)
    for path in logs:
        assert not differs(path.read_bytes()), path


@pytest.mark.parametrize(
    "text",
    [
        b"", b"\n\n\n", b"70 getpid() = 70\n" * 3, b"70 read(3, \"" + b"x" * 100_000 + b"\", 100000) = 100000\n",
        b"70 " + b"n" * 300 + b"(1) = 0\n70 getpid() = 70\n", b"70 open(\"\0/\", 0) = 3\n70 read(3, \"\", 1) = 0\n",
        b"70 1" + b"1" * 200 + b" read(3, \"\", 1) = 0\n70 1790000000.000001 read(3, \"\", 1) = 0\n",
        b"70 read(3, <unfinished ...>\n" * 3 + b"70 <... read resumed>\"\", 1) = 0\n",
        b"70 pread64(99999999999, \"\", 1, 0) = 0\n70 dup2(5, 7) = 7\n70 read(7</a->, \"\", 1) = 0 <99999999.999999>\n",
        b"70 open(\"(all other paths)\", 0) = -1 ENOENT (x)\n70 +++ exited with 0 +++\n70 getpid() = 70\n",
    ],
)  # fmt: skip
def test_odd_logs(text: bytes) -> None:
    assert not differs(text)
    assert not differs(b"70 1790000000.000000 getppid() = 1 <0.000010>\n" + text)


@pytest.mark.limit(100_000 if MUTATIONS > 1000 else 120)
def test_mutations_without_undefined_behaviour(logs: list[Path]) -> None:
    folder = ROOT / "native" / "build"
    folder.mkdir(exist_ok=True)
    sanitized = folder / "sanitized.so"
    assert _build().build(sanitized, sanitize=True)
    compiler = _build().compiler()
    asked = [[*compiler, f"-print-file-name={name}"] for name in ("libasan.so", "libubsan.so")]
    runtime = [subprocess.run(each, capture_output=True, text=True, check=True).stdout.strip() for each in asked]
    preload = " ".join(runtime)
    seed = os.environ.get("STRACED_FUZZ_SEED", "1")
    done = subprocess.run(
        [sys.executable, "-m", "tests.traces.differ", str(sanitized), str(MUTATIONS), seed, *map(str, logs)],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={
            **ENVIRONMENT, "PYTHONPATH": str(ROOT / "src"), "LD_PRELOAD": preload, "ASAN_OPTIONS": "detect_leaks=0",
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_python_serves_where_it_is_chosen_or_the_core_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert choice.describe() == "the native reader"
    monkeypatch.setenv(choice.CHOICE, "python")
    assert library.library() is None
    assert choice.describe() == "the Python reader (STRACED_READER=python)"
    monkeypatch.delenv(choice.CHOICE)
    for content in (None, b"", b"\x7fELF"):
        other = tmp_path / f"other{content!r}.so"
        if content is not None:
            other.write_bytes(content)
        monkeypatch.setattr(choice, "PATH", other)
        assert library.library() is None
        assert choice.describe().startswith("the Python reader (the native one was not built")
    assert b'"getpid"' in outcome(b"70 getpid() = 70\n", "native")

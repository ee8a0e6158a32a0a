"""Checks inside a booted kernel: what becomes of records that are more than a ring holds; none is unaccounted for."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import asdict

from straced.records.reader import RecordFile
from straced.records.values import RecordKind
from straced.workflows import flight_link
from tests.kernels.checks import LONG_S, STRACED, check, straced
from tests.support.poll import until
from tests.support.records import check_sums

RING = "512KiB"
"""Of each CPU: some ten thousand records."""
MAKES = 90_000
CODE = f"""
import os
os.read(0, 1)
children = []
while len(children) < 2:
    children.append(os.fork())
    if not children[-1]:
        break
for _ in range({MAKES} // 3):
    os.getppid()
if not children[-1]:
    os._exit(0)
for child in children:
    os.waitpid(child, 0)
os.access("/there/is/none", 0)
os.write(1, b"made")
os.read(0, 2)
"""
TARGET = (sys.executable, "-I", "-S", "-c", CODE)
"""When it is told to, it makes so many calls in three processes; then it waits to be let go."""


@check
def flight(refused: str) -> str:
    """A flight recorder keeps what came last, at a dump and at the end, and knows how much made way."""
    with tempfile.TemporaryDirectory() as name, _started(TARGET) as target:
        dump, last = Path(name) / "dump.strc", Path(name) / "last.strc"
        words = ("record", str(target.pid), "--ring", RING, "-o", str(last))
        if refused:
            return _refusal(*words)
        with _started((*STRACED, *words)) as recorder:
            socket = flight_link.folder() / f"{recorder.pid}.sock"
            until(lambda: socket.exists() or recorder.poll() is not None, LONG_S, "it can be asked", pause_s=0.05)
            _make_many(target)
            straced("dump", str(target.pid), "-o", str(dump))
            _finish(target, recorder)
        taken, ended = RecordFile(dump), RecordFile(last)
        found = [_fates(each) for each in (taken, ended)]
        inside = [(each.label, each.args[2]) for each in taken if each.kind is RecordKind.START]
        exits = [each.result for each in ended if each.kind is RecordKind.EXIT and each.tid == target.pid]
        paths = {blob.data for each in ended for blob in each.blobs.values()}
    assert inside == [("read", 2)], inside
    assert exits == [0], exits
    assert b"/there/is/none" in paths, paths
    for fates in found:
        assert (fates["filtered"], fates["lost"]) == (0, 0), fates
        assert fates["overwritten"] > MAKES // 2, fates
    return f"{found[0]['overwritten']} of {found[0]['counted']} calls made way for a dump of the others"


@check
def losses(refused: str) -> str:
    """What a reader that stands still does not take is lost, and what a filter leaves out is told: name by name."""
    with tempfile.TemporaryDirectory() as name, _started(TARGET) as target:
        path = Path(name) / "t.strc"
        words = ("trace", str(target.pid), "--ring", RING, "-e", "!read,wait4", "-o", str(path))
        if refused:
            return _refusal(*words)
        with _started((*STRACED, *words)) as tracer:
            until(lambda: tracer.poll() is not None or _size(path), LONG_S, "it records", pause_s=0.05)
            tracer.send_signal(signal.SIGSTOP)
            _make_many(target)
            tracer.send_signal(signal.SIGCONT)
            _finish(target, tracer)
        file = RecordFile(path)
        fates = _fates(file)
        assert file.end is not None
        for name in ("read", "wait4"):
            each = file.end.calls[name]
            assert each.filtered == each.counted, (name, each)
    assert fates["lost"] > MAKES // 2, fates
    return f"{fates['lost']} of {fates['counted']} calls lost, {fates['filtered']} filtered"


def _refusal(*words: str) -> str:
    return straced(*words, expect=5).stderr.strip().splitlines()[0]


@contextmanager
def _started(argv: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _make_many(target: subprocess.Popen[bytes]) -> None:
    assert target.stdin is not None
    assert target.stdout is not None
    target.stdin.write(b"x")
    assert target.stdout.read(4) == b"made"


def _finish(target: subprocess.Popen[bytes], tracer: subprocess.Popen[bytes]) -> None:
    """Let the target end, and so who traces it."""
    assert target.stdin is not None
    target.stdin.write(b"xx")
    _out, err = tracer.communicate(timeout=LONG_S)
    assert tracer.returncode == 0, err


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _fates(file: RecordFile) -> Counter[str]:
    """What became of all calls, after it was checked that none of them is missing, name by name."""
    check_sums(file)
    found: Counter[str] = Counter()
    assert file.end is not None
    for fates in file.end.calls.values():
        found.update(asdict(fates))
    return found

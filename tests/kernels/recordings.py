"""Checks inside a booted kernel: records of a command, and whether none is missing; slow calls, and sums by file."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

from straced.records.reader import RecordFile
from straced.records.values import RecordKind
from straced.tracers.base import Rights
from straced.tracers.ebpf import flight, recorder
from straced.tracers.ebpf.flight import FlightOptions, FlightRecorder
from straced.tracers.ebpf.record_session import RecorderOptions
from straced.tracers.ebpf.recorder import LoadedRecorder
from straced.tracers.ebpf.suited import suited_engine
from straced.tracers.ebpf.uring import UringWatch
from tests.kernels.checks import check, straced
from tests.support.records import check_sums


@check
def parts(refused: str) -> str:
    """The kernel takes all that is loaded only when it is asked for, and attaches it."""
    if refused:
        return f"eBPF cannot serve: {refused}"
    asyncio.run(_load_recorders())
    engine = suited_engine(details=True, files=True)
    try:
        engine.start()
        requests = UringWatch(engine)
        requests.start(0)
        requests.close()
        assert requests.state().rows is not None, requests.state().problems
    finally:
        engine.close()
    return "records, those of a user, flight recorder, slow calls, sums by file, io_uring"


async def _load_recorders() -> None:
    await _start_and_close(await recorder.load(RecorderOptions()))
    await _start_and_close(await recorder.load(RecorderOptions(user=Rights(65534, 65534, 0))))
    await _start_and_close(await flight.load(FlightOptions()))


async def _start_and_close(loaded: LoadedRecorder | FlightRecorder) -> None:
    try:
        loaded.engine.start()
    finally:
        await loaded.close()


SCRIPT = """
for i in 1 2 3; do
    ls /usr /there/is/none >/dev/null 2>&1 &
    (exit $i)
done
wait
kill -9 $$
"""


@check
def records(refused: str) -> str:
    """Each call of a command has its record, with its path, name by name."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "t.strc"
        done = straced("trace", "-o", str(path), "--", "sh", "-c", SCRIPT, expect=None)
        if refused:
            assert done.returncode == 5, done.stderr
            assert not path.exists()
            return done.stderr.strip().splitlines()[0]
        assert done.returncode == 128 + 9, (done.returncode, done.stderr)
        file = RecordFile(path)
        counted = check_sums(file)
        paths = {blob.data for each in file for blob in each.blobs.values() if each.kind is RecordKind.CALL}
    assert file.end is not None
    assert not any(fate.lost for fate in file.end.calls.values()), file.end
    assert {b"/usr", b"/there/is/none"} <= paths, paths
    assert any(data.startswith(b"ls\0/usr\0") for data in paths), paths
    return f"{counted.total()} calls of {len(counted)} names, each with its record"


SLOW = """
mkfifo fifo
(
    until read where < /proc/$$/wchan; case $where in *pipe_read*) ;; *) false ;; esac; do sleep 0.01; done
    sleep 0.1
    echo x
) > fifo &
read x < fifo
for i in 1 2 3; do
    test -e /there/is/none
done
true
"""
"""An emulator may stop a CPU for long: the writer waits until the read has begun."""
REFUSED = (sys.executable, "-ISc", "import _socket; _socket.socket().connect_ex(('127.0.0.1', 9))")


def _first_object(text: str) -> dict[str, Any]:
    """The JSON that stands among other lines."""
    assert "{" in text, text
    found: dict[str, Any] = json.JSONDecoder().raw_decode(text, text.index("{"))[0]
    return found


@check
def details(refused: str) -> str:
    """A slow call has its file, and calls are added up by path and peer, also by one that refuses."""
    words = ("run", "--slower", "10ms", "--files", "--json", "--")
    if refused:
        done = straced(*words, "true")
        told = _first_object(done.stderr)
        assert told["slow"] is None
        assert "there are no slow calls and no sums by file" in done.stderr, done.stderr
        return "told by eBPF alone, as is said"
    with tempfile.TemporaryDirectory() as name:
        told = _first_object(straced(*words, "sh", "-c", SLOW + shlex.join(REFUSED), cwd=name).stderr)
        read = [call for call in told["slow"]["calls"] if call["path"] == f"{name}/fifo"]
        assert read, told["slow"]
        none = [row for row in told["files"]["rows"] if row["name"] == "/there/is/none"]
        peer = [row for row in told["files"]["rows"] if row["name"] == "tcp 127.0.0.1:9"]
    assert [row["errors"] for row in none] == [3], told["files"]
    assert [row["errors"] for row in peer] == [1], told["files"]
    assert not told["files"]["unplaced"]
    return f"{read[0]['name']} of a FIFO took {read[0]['duration_ns'] / 1e6:.0f} ms; {len(told['files']['rows'])} files"

"""A thousand slow calls on a slow file system: each is told with its file, and nothing else is.

STRACED_SOAK_SLOW=100 makes it fewer.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.soak.conftest import Figures
from tests.tracers.ebpf.slow_targets import OPTIONS, Script, slow_session

COUNT = int(os.environ.get("STRACED_SOAK_SLOW", "1000"))
MILLISECONDS = 20
MNT_DETACH = 2
READS = """
folder, count = sys.argv[1], int(sys.argv[2])
for number in range(count):
    fd = os.open(f"{folder}/{number}", os.O_RDONLY)
    os.read(fd, 1)
    os.close(fd)
    os.stat(folder)
"""


@pytest.fixture
def slow_files(tmp_path: Path) -> Iterator[Path]:
    """The folder of a file system that takes 20 ms to read."""
    folder = tmp_path / "slow"
    folder.mkdir()
    server = Path(__file__).with_name("slow_files.py")
    process = subprocess.Popen([sys.executable, server, folder, str(MILLISECONDS)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield folder
    finally:
        process.kill()
        process.communicate()
        ctypes.CDLL(None).umount2(os.fsencode(folder), MNT_DETACH)


@pytest.mark.needs("root", "ebpf")
async def test_each_of_a_thousand_is_named(slow_files: Path, tmp_path: Path, figures: Figures) -> None:
    script = Script(READS, tmp_path, slow_files, COUNT)
    options = replace(OPTIONS, slower_ns=MILLISECONDS * 10**6, slow_kept=10 * COUNT)
    async with slow_session(script, options) as session:
        script.go()
        summary = await session.result()
    slow = summary.slow
    assert slow is not None
    reads = sorted(
        (call for call in slow.calls if call.name == "read" and call.kind == "file"), key=lambda c: c.start_ns
    )
    others = [call for call in slow.calls if call not in reads]
    with figures.row("slow reads of files", COUNT) as found:
        found["told with their file"] = len(reads)
        found["other calls of 20 ms"] = [call.name for call in others]
        found["calls"] = summary.total.calls
    assert [call.path for call in reads] == [f"{slow_files}/{number}" for number in range(COUNT)]
    assert (slow.untold, slow.lost) == (0, 0)
    assert all(call.duration_ns >= slow.limit_ns for call in slow.calls)

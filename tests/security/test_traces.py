"""A full trace by the service: whoever does not read it harms themselves alone, and never the target.

Of `service/api/trace_spool.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from straced.ipc.messages import Attached, SessionParams, TraceParams, TracePiece
from straced.linux import procfs
from tests.security.hostile import HOSTILE, user
from tests.security.served import ends_in_time, others_are_served
from tests.service.daemon import Daemon, serving
from tests.service.needs import needs_root
from tests.service.processes import READY, running
from tests.support.poll import auntil

pytestmark = [needs_root, pytest.mark.needs("strace")]
LOUD = (
    "import os\n"
    + READY
    + "for line in sys.stdin:\n"
    + "    [os.access('/' + 'x' * 200, 0) for _ in range(int(line))]\n"
    + "    print('done', flush=True)\n"
)
SMALL = "[ipc]\n#\nmax_spool_per_user = 1600000\n"
"""A sixteenth of it is one trace's: 100 kB."""
NOT_READING = """
import subprocess
target = subprocess.Popen(["/usr/bin/python3", "-S", "-c", sys.argv[2]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
target.stdout.readline()
sock = greeted()
said = lines(sock)
sock.sendall(ask(2, "trace", pid=target.pid, string_bytes=200))
started = next(said)
print("ready", flush=True)
target.stdin.write(b"20000\\n")
target.stdin.flush()
print(target.stdout.readline().decode().strip(), flush=True)
sock.sendall(ask(3, "session.wait", session=started["result"]["session"]))
size, ended, read_all = 0, None, False
sock.sendall(ask(4, "trace.read", session=started["result"]["session"]))
while not (read_all and ended):
    answer = next(said)
    if answer["id"] == 3:
        ended = answer
    elif answer["result"]["data"]:
        size += len(answer["result"]["data"])
        sock.sendall(ask(4, "trace.read", session=started["result"]["session"]))
    else:
        read_all = True
target.kill()
target.wait()
print(json.dumps([size, ended["result"]]), flush=True)
sys.stdin.readline()
"""


def test_who_does_not_read_ends_their_trace(public: Path) -> None:
    """Twenty thousand calls are made while nobody reads: the target is done with them, and what is missing is said."""
    with serving(public, SMALL) as daemon:
        with others_are_served(daemon), user(HOSTILE, NOT_READING, daemon.socket, LOUD) as hostile:
            assert hostile.line() == "done"
            size, ended = json.loads(hostile.line())
        assert ended["reason"] == "reader_slow"
        assert ended["dropped_lines"] > 0
        assert 100_000 < size < 1_000_000  # what fits, and two pipes, in base64
        ends_in_time(daemon)


async def test_a_trace_is_complete_for_who_reads(daemon: Daemon, tmp_path: Path) -> None:
    with running(LOUD) as target:
        async with daemon.client() as client:
            trace = await client.trace(target.pid, tmp_path / "trace", filter="access")
            assert target.stdin is not None
            assert target.stdout is not None
            target.stdin.write("5000\n")
            target.stdin.flush()
            assert target.stdout.readline() == "done\n"
            ended = await trace.stop()
            assert (ended.reason, trace.dropped_lines) == ("detached", 0)
            assert procfs.tracer_pid(target.pid) == 0
        calls = [line for line in (tmp_path / "trace").read_text().splitlines() if not line.startswith("#")]
        assert "\n".join(calls).count("access(") == 5000


def mounting(*words: str) -> None:
    subprocess.run(words, check=True)


@pytest.mark.needs("tmpfs")
async def test_a_full_disk_of_the_client_ends_the_trace(daemon: Daemon, tmp_path: Path) -> None:
    """It is the client who writes, and finds out; whole lines stay."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounting("mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk))
    try:
        with running(LOUD) as target:
            async with daemon.client() as client:
                trace = await client.trace(target.pid, disk / "trace", min_free_bytes=100_000, string_bytes=200)
                assert target.stdin is not None
                assert target.stdout is not None
                target.stdin.write("20000\n")
                target.stdin.flush()
                assert (await trace.wait()).reason == "disk_full"
                assert target.stdout.readline() == "done\n"
                assert procfs.tracer_pid(target.pid) == 0
        space = os.statvfs(disk)
        assert space.f_bfree * space.f_frsize >= 100_000
        assert (disk / "trace").read_bytes().endswith(b"\n")
    finally:
        mounting("umount", str(disk))


async def test_a_client_that_goes_leaves_no_trace(daemon: Daemon) -> None:
    """Neither an attached strace, nor a spool of what nobody read."""
    with running(LOUD) as target:
        async with daemon.client() as client:
            attached = await client.request("trace", TraceParams(pid=target.pid), Attached)
            assert target.stdin is not None
            target.stdin.write("2000\n")
            target.stdin.flush()
            piece = await client.request("trace.read", SessionParams(session=attached.session), TracePiece)
            assert piece.data.endswith(b"\n")
        async with daemon.client() as other:
            while (await other.status()).sessions:
                pass
            assert target.stdout is not None
            assert target.stdout.readline() == "done\n"
            await auntil(lambda: procfs.tracer_pid(target.pid) == 0, 20, "it lets go")

"""Each call of a socket stands in the row of the peer that it was about, also of one that refuses; and its replies.

Of `bpf/details_peers.h`.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from straced.model.files import FileTable
from tests.tracers.ebpf.slow_targets import Script
from tests.tracers.ebpf.test_files import row, run, table

pytestmark = pytest.mark.needs("ebpf")
PREPARED = "import errno, select, struct\nkept = []\n"
REFUSED = """
for family, place in ((2, ("127.0.0.1", port)), (10, ("::ffff:127.0.0.1", port)), (10, ("::1", port)),
                      (1, "none"), (1, "\\0none")):
    for _ in range(3):
        one = socket.socket(family)
        os.fstat(one.fileno())
        assert one.connect_ex(place)
        kept.append(one)
for _ in range(4):
    one = socket.socket()
    one.setblocking(False)
    assert one.connect_ex(("127.0.0.2", port)) == errno.EINPROGRESS
    select.select([], [one], [])
    assert one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
    kept.append(one)
for _ in range(2):
    one = socket.socket()
    try:
        one.bind(("127.0.0.1", port))
    except OSError:
        kept.append(one)
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.connect(("127.0.0.3", port))
datagrams.send(b"x")
select.select([datagrams], [], [])
assert datagrams.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
for one in (datagrams, *kept):
    one.detach()  # else Python asks for their addresses at its end
"""
SPOKEN = """
import json, time
least, most = [], []
udp = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
for one in udp:
    one.bind(("127.0.0.1", 0))
one, *others = udp
for other in others:
    least.append(0)
    most.append(0)
    for _ in range(5):
        sends = time.monotonic_ns()
        one.sendto(b"ab", other.getsockname())
        sent = time.monotonic_ns()
        received, who = other.recvfrom(9)
        other.sendmsg([b"cd", b"ef"], [], 0, who)
        receives = time.monotonic_ns()
        one.recvmsg(9)
        least[-1] += receives - sent
        most[-1] += time.monotonic_ns() - sends
server = socket.create_server(("127.0.0.1", 0))
for _ in range(5):
    with socket.create_connection(server.getsockname(), timeout=20) as client:
        given = server.accept()[0]
        given.send(b"abc")
        given.close()
        client.recv(3)
paths = [socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(4)]
paths[0].bind("\\0straced " + str(os.getpid()))
for other in paths[1:]:
    other.sendto(b"xyz", paths[0].getsockname())
    paths[0].recv(3)
for _ in range(2):
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as links:
        links.send(struct.pack("IHHIIBxxx", 20, 18, 0x301, 1, 0, 0))
ports = [each.getsockname()[1] for each in (*udp, server)]
json.dump({"ports": ports, "least": least, "most": most}, open("told", "w"))
"""


def expect(found: FileTable, name: str, calls: int, errors: int, errno: str | None, moved: int = 0) -> None:
    told = row(found, name)
    assert (told.name, told.calls, told.errors, told.errno, told.bytes) == (name, calls, errors, errno, moved)


async def test_who_refuses(tmp_path: Path) -> None:
    with socket.socket() as bound:  # and does not listen
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        script = Script(REFUSED, tmp_path, port, before=f"{PREPARED}port = int(sys.argv[1])")
        found = table(await run(script))
    expect(found, f"tcp 127.0.0.1:{port}", 6, 6, "ECONNREFUSED")
    expect(found, f"tcp [::1]:{port}", 3, 3, "ECONNREFUSED")
    expect(found, "unix none", 3, 3, "ENOENT")
    expect(found, "unix @none", 3, 3, "ECONNREFUSED")
    expect(found, f"tcp 127.0.0.2:{port}", 8, 4, "ECONNREFUSED")  # the calls failed with EINPROGRESS
    expect(found, f"tcp 127.0.0.1:{port}, own address", 2, 2, "EADDRINUSE")
    expect(found, f"udp 127.0.0.3:{port}", 3, 0, "ECONNREFUSED", 1)
    expect(found, "unix, not connected", 6, 0, None)
    assert not [each.name for each in found.rows if (each.name or "").startswith("socket:")]


async def test_whom_a_call_is_about(tmp_path: Path) -> None:
    """One socket with many peers, a server at a port that the kernel has chosen, and one who waits in poll(2)."""
    script = Script(SPOKEN, tmp_path, before=PREPARED)
    found = table(await run(script))
    told = json.loads((tmp_path / "told").read_text())
    one, first, second, server = told["ports"]
    for port, least, most in zip((first, second), told["least"], told["most"], strict=True):
        expect(found, f"udp 127.0.0.1:{port}", 10, 0, None, 5 * 2 + 5 * 4)
        peer = row(found, f"udp 127.0.0.1:{port}")
        assert peer.replies == 5
        assert least <= peer.reply_ns <= most, "from what was sent to what came"
        assert peer.reply_ns // 5 <= (peer.reply_max_ns or 0) <= peer.reply_ns
    assert row(found, f"udp 127.0.0.1:{one}").bytes == 2 * (5 * 2 + 5 * 4)
    served, asked = row(found, f"tcp 127.0.0.1 at port {server}"), row(found, f"tcp 127.0.0.1:{server}")
    assert (served.kind, served.bytes, asked.bytes) == ("accepted", 15, 15)
    assert asked.calls >= 5 * 4  # connect, getsockopt, poll and recvfrom, perhaps a poll before connect has returned
    assert (asked.replies, asked.reply_max_ns) == (0, None), "nothing was sent"
    assert row(found, f"unix @straced {script.pid}").bytes == 18
    assert row(found, "netlink ROUTE").bytes == 40

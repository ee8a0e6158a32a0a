"""A program whose files and peer are known: it syncs one file, does not find another, and waits for its peer."""

from __future__ import annotations

import asyncio
import socket

from straced.model.file_window import FileRow, FileWindow
from tests.tracers.ebpf.slow_targets import Script

BEFORE = "fd = os.open('data', os.O_WRONLY | os.O_CREAT)"
"""What it has done when it is attached to."""
CODE = """
for _ in range(7):
    os.write(fd, b"x" * 100)
    os.fsync(fd)
for _ in range(5):
    try:
        os.open("missing", os.O_RDONLY)
    except OSError:
        pass
with socket.socket() as peer:
    peer.connect(("127.0.0.1", int(sys.argv[1])))
    for _ in range(3):
        peer.send(b"ask")
        peer.recv(10)
"""
"""14 calls and 700 bytes of ``data``; 5 failures of ``missing``; 7 calls and 27 bytes of the peer."""


async def serve(server: socket.socket, script: Script) -> None:
    """Be the peer: answer each question when somebody has waited for it for a while."""
    loop = asyncio.get_running_loop()
    server.setblocking(False)
    peer, _ = await loop.sock_accept(server)
    with peer:
        for _ in range(3):
            assert await loop.sock_recv(peer, 10) == b"ask"
            await script.inside("recvfrom")
            await loop.sock_sendall(peer, b"answer")


def file_rows(window: FileWindow | None) -> dict[str, FileRow]:
    """By name what has one."""
    return {row.name: row for row in window.rows if row.name is not None} if window is not None else {}

"""A process that has dressed itself up to break a screen: its name, command line, threads, files and sockets.

argv: whatever; stdin: ends it. Says "ready" on stdout.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
import threading

NAMES = (
    b"\x1b[31mred\x1b[0m",
    b"\x1b]0;owned\x07",
    b"[@click=q]x[/]",
    b"a\nb\rc\td",
    b"\xe2\x80\xaegnp.exe",
    b"\xff\xfe\xc3(",
    b"\xc2\x9b31mc1",
)
PR_SET_NAME = 15


def rename(name: bytes) -> None:
    """Change the name of the calling thread."""
    ctypes.CDLL(None).prctl(PR_SET_NAME, name, 0, 0, 0)


def main() -> None:
    reader, writer = os.pipe()
    named = threading.Barrier(len(NAMES) + 1)

    def stand(name: bytes) -> None:
        rename(name)
        named.wait()
        os.read(reader, 1)

    for name in NAMES:
        threading.Thread(target=stand, args=(name,), daemon=True).start()
    named.wait()
    rename(NAMES[1][:15])
    paths = [os.path.join(os.fsencode(sys.argv[1]), name.replace(b"/", b"")) for name in NAMES]
    files = [os.open(path, os.O_RDWR | os.O_CREAT, 0o600) for path in paths]
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(b"\0straced-\x1b[2J-%d" % os.getpid())
    listener.listen()
    print("ready", flush=True)
    sys.stdin.read()
    for file in (*files, writer):
        os.close(file)


if __name__ == "__main__":
    main()

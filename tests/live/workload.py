"""A process that makes a known number of calls a second, and stands in a known call the rest of the time.

    python workload.py BATCHES_S CALLS ERRORS THREADS FILE

Each of BATCHES_S batches a second is CALLS getppid(2) and ERRORS openat(2) of a file that is not there, then a sleep.
THREADS threads wait in read(2) of a pipe. FILE is open, and a socket listens on the loopback. Says "ready PORT" when
all of that is so; ends when its stdin does.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
import threading
import time


def reads(tid: int, fd: int) -> bool:
    """Whether a thread is inside a call whose first argument is this descriptor."""
    with open(f"/proc/self/task/{tid}/syscall") as file:
        return file.read().split()[1:2] == [hex(fd)]


def main() -> None:
    batches, calls, errors, threads = (int(word) for word in sys.argv[1:5])
    keep = open(sys.argv[5], "w")  # noqa: SIM115
    listener = socket.create_server(("127.0.0.1", 0))
    reader, writer = os.pipe()
    waiting = [threading.Thread(target=os.read, args=(reader, 1), daemon=True) for _ in range(threads)]
    for thread in waiting:
        thread.start()
    while not all(reads(thread.native_id or 0, reader) for thread in waiting):
        time.sleep(0.001)
    print("ready", listener.getsockname()[1], flush=True)
    start, number = time.monotonic(), 0
    while True:
        number += 1
        for _ in range(calls):
            os.getppid()
        for _ in range(errors):
            with contextlib.suppress(OSError):
                os.open("/nonexistent/straced", os.O_RDONLY)
        left = start + number / batches - time.monotonic()
        if select.select([0], [], [], max(0.0, left))[0]:
            break
    keep.close()
    os.close(writer)


if __name__ == "__main__":
    main()

"""One fuzzing process of one user: several connections, anything at all. Arguments: SOCKET SEED SECONDS."""

from __future__ import annotations

import random
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.security import requests

CONNECTIONS = 8


def dial(path: str) -> socket.socket | None:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(1)
    try:
        sock.connect(path)
    except OSError:
        sock.close()
        return None
    sock.setblocking(False)
    return sock


def main(path: str, seed: int, seconds: float) -> None:
    chance = random.Random(seed)
    socks: list[socket.socket] = []
    sent = 0
    deadline = time.monotonic() + seconds
    print("ready", flush=True)
    while time.monotonic() < deadline:
        if len(socks) < CONNECTIONS and (made := dial(path)) is not None:
            socks.append(made)
            if chance.random() < 0.9:
                made.send(requests.request("hello", '{"protocol": 1}'))
        for sock in list(socks):
            try:
                sent += sock.send(requests.random_bytes(chance))
                if chance.random() < 0.7:
                    sock.recv(1 << 20)
                if chance.random() < 0.02:
                    raise ConnectionError
            except BlockingIOError:
                pass
            except OSError:
                socks.remove(sock)
                sock.close()
        time.sleep(0.002)
    for sock in socks:
        sock.close()
    print(sent, flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))

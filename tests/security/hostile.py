"""Other users of the host, as real processes with real sockets; each says ``ready`` when it has done its worst."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HOSTILE, BYSTANDER = 65534, 65533
PRELUDE = """
import array, errno, json, os, resource, socket, struct, sys, threading, time
PATH = sys.argv[1]
def dial(wait=True):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(20)
    while True:
        try:
            sock.connect(PATH)
            return sock
        except BlockingIOError:
            time.sleep(0.005)
def ask(number, method, **params):
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode() + b"\\n"
HELLO = ask(1, "hello", protocol=1)
def lines(sock):
    data = b""
    while True:
        part = sock.recv(65536)
        if not part:
            return
        data += part
        *whole, data = data.split(b"\\n")
        yield from (json.loads(line) for line in whole)
def greeted():
    sock = dial()
    sock.sendall(HELLO)
    first = next(lines(sock), {})
    assert "result" in first, first
    return sock
def ready():
    print("ready", flush=True)
    sys.stdin.readline()
"""
PINGING = """
worst, stolen, count, refused, ticks, wanted, over = 0.0, 0.0, 0, 0, set(), int(sys.argv[2]), []
print("ready", flush=True)
threading.Thread(target=lambda: (sys.stdin.readline(), over.append(time.monotonic())), daemon=True).start()
while not over or (len(ticks) < wanted and time.monotonic() - over[0] < float(sys.argv[3]) + 2 * stolen):
    began = time.monotonic()
    try:
        sock = dial()
        sock.sendall(HELLO + ask(2, "status"))
        said = lines(sock)
        welcome, status = next(said), next(said)
        if "result" in status:
            ticks.add(status["result"]["ticks"])
        else:
            refused += 1
    except (OSError, StopIteration):
        refused += 1
    finally:
        sock.close()
    worst = max(worst, time.monotonic() - began)
    count += 1
    began = time.monotonic()
    time.sleep(0.02)
    stolen = max(stolen, time.monotonic() - began - 0.02)
found = {"worst": worst, "stolen": stolen, "count": count, "refused": refused, "ticks": len(ticks)}
print(json.dumps(found), flush=True)
"""


def as_user(uid: int) -> list[str]:
    """The words before a command that make it run as that user."""
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"] if uid else []


class User:
    """A process of a user that runs ``code`` after the prelude, with the path of a socket as its first argument."""

    def __init__(self, uid: int, code: str, socket: Path, *words: object, **options: object) -> None:
        argv = [*as_user(uid), sys.executable, "-I", "-S", "-c", PRELUDE + code, str(socket), *map(str, words)]
        self.process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            **options,  # type: ignore[call-overload]
        )

    def line(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def go_on(self) -> None:
        """Let it go on after ``ready()``."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self) -> None:
        """Kill and reap it."""
        self.process.kill()
        self.process.communicate()


@contextlib.contextmanager
def user(uid: int, code: str, socket: Path, *words: object, **options: object) -> Iterator[User]:
    """A user for the length of a block, from ``ready`` on."""
    made = User(uid, code, socket, *words, **options)
    try:
        assert made.line() == "ready"
        yield made
    finally:
        made.end()


class Pinger:
    """Connects and asks for the status, again and again, as one user; remembers the longest wait.

    Asked how it went, it goes on for ``wait_s`` more, unless it has seen so many ticks. ``stolen`` is the longest for
    which the machine let even a sleeper wait.
    """

    def __init__(self, uid: int, socket: Path, ticks: int, wait_s: float) -> None:
        self._user = User(uid, PINGING, socket, ticks, wait_s)
        assert self._user.line() == "ready"

    def told(self) -> dict[str, float]:
        """How it went."""
        self._user.go_on()
        try:
            found: dict[str, float] = json.loads(self._user.line())
            return found
        finally:
            self._user.end()

"""What an open page costs the service: its CPU with a page that listens, less what it is without one."""

from __future__ import annotations

import http.client
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.result import Result, at_most
from benchmarks.service_world import Speed, cpu_s, daemon, steady, workers

PROCESSES, ACTIVE = 100, 10
ROUNDS = 3


def page(seconds: float) -> list[Result]:
    """By turns without and with a page of all processes; then one of a process; 100 processes, 10 of them active."""
    with tempfile.TemporaryDirectory() as name, workers(PROCESSES, ACTIVE) as parent:
        folder = Path(name)
        folder.chmod(0o755)
        with daemon(folder, parent, page=True) as (pid, _where):
            steady(lambda: cpu_s(pid))
            door = _Door(folder / "state" / "web.url")
            speed = Speed()
            speed.start()
            bare, watched = [], []
            for _ in range(ROUNDS):
                bare.append(_used_pct(pid, seconds))
                with door.listening():
                    watched.append(_used_pct(pid, seconds))
            slow = speed.slowdown()
    costs = [100 * (with_ - without) for with_, without in zip(watched, bare, strict=True)]
    what = f"an open page of {PROCESSES} processes, {ACTIVE} active"
    return [
        at_most(f"{what}: CPU at the machine's best", "%", [each / slow for each in costs], 5.0),
        Result(f"{what}: CPU as it was", "%", statistics.median(costs), None, f"slowdown {slow:.2f}", True, ROUNDS),
        Result("the service without a page: CPU as it was", "%", 100 * statistics.median(bare), None, "", True, ROUNDS),
    ]


def _used_pct(pid: int, seconds: float) -> float:
    """The part of a CPU that it used."""
    time.sleep(2)  # who came or went is told all at once
    before, began = cpu_s(pid), time.monotonic()
    time.sleep(seconds)
    return (cpu_s(pid) - before) / (time.monotonic() - began)


class _Door:
    """Lets in with the token that the service wrote, as the page does."""

    def __init__(self, file: Path) -> None:
        where, _, token = file.read_text().strip().partition("/#")
        self._authority = where.removeprefix("http://")
        answer = self._ask("/api/login", {"Authorization": f"Bearer {token}"})
        key = answer.read().decode().split('"')[3]
        cookie = (answer.getheader("set-cookie") or "").partition(";")[0]
        self._headers = {"Cookie": cookie, "X-Straced-Key": key}

    def _ask(self, path: str, headers: dict[str, str]) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(self._authority, timeout=30)
        connection.request("GET", path, headers=headers)
        return connection.getresponse()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """One who reads what an open page is told, for the length of a block."""
        over = threading.Event()
        heard = threading.Event()

        def read() -> None:
            answer = self._ask("/api/live", self._headers)
            while not over.is_set() and answer.readline():
                heard.set()
            answer.close()

        reader = threading.Thread(target=read)
        reader.start()
        try:
            assert heard.wait(30), "the page is told nothing"
            yield
        finally:
            over.set()
            reader.join()

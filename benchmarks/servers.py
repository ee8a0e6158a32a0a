"""Servers, and who keeps them busy: each a context manager over a folder that gives the server's pid and port.

``redis-benchmark`` needs more processor time for a request than redis does: it is what is measured then, with what
every tracer costs everybody on the machine. ``workloads/client.c`` is at work for about half of the time.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

CLIENT = "client"
GET_PAGE = "GET /page.html HTTP/1.1\r\nHost: x\r\n\r\n"
_NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/errors;
events {{ worker_connections 512; }}
http {{
  access_log {folder}/access; sendfile on; tcp_nopush on; keepalive_requests 1000000000;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{ listen 127.0.0.1:{port}; root {folder}; }}
}}
"""
PAGE_BYTES = 1000
LARGE_PAGE_BYTES = 100_000
"""Of a picture or a script, say: what is sent costs more than the calls."""


class Asked(NamedTuple):
    """What a client got."""

    a_second: float
    busy: float | None
    """Which part of the time the client was at work itself; ``None``: it does not say."""


class Load(NamedTuple):
    """A server and its client."""

    server: Callable[[Path], contextlib.AbstractContextManager[tuple[int, int]]]
    ask: Callable[[Path, int, int, int], Asked]
    """With the folder of the compiled programs, a port, a number of requests, and of connections."""


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextlib.contextmanager
def _running(words: list[str], port: int) -> Iterator[tuple[int, int]]:
    program = shutil.which(words[0], path=f"{os.environ['PATH']}:/usr/local/sbin:/usr/sbin")
    if program is None:
        raise RuntimeError(f"there is no {words[0]} here")
    with subprocess.Popen([program, *words[1:]], stdout=subprocess.DEVNULL) as process:
        try:
            while process.poll() is None:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.01)
            if process.poll() is not None:
                raise RuntimeError(f"{words[0]} does not start")
            yield process.pid, port
        finally:
            process.terminate()


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[tuple[int, int]]:
    """A redis that keeps nothing, with one key."""
    port = _free_port()
    words = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with _running([*words, "--dir", str(folder)], port) as server:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"SET key xxx\r\n")
            connection.recv(64)
        yield server


@contextlib.contextmanager
def nginx(folder: Path, page_bytes: int = PAGE_BYTES) -> Iterator[tuple[int, int]]:
    """An nginx of one process that serves a page from a file, and writes its access log, as it does by default."""
    port = _free_port()
    (folder / "page.html").write_bytes(b"x" * page_bytes)
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, port=port))
    with _running(["nginx", "-e", str(folder / "errors"), "-c", str(folder / "nginx.conf")], port) as server:
        yield server


def redis_benchmark(programs: Path, port: int, requests: int, clients: int) -> Asked:
    """What redis-benchmark gets of GET."""
    words = ["redis-benchmark", "-p", str(port), "-n", str(requests), "-c", str(clients), "-t", "get", "--csv"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    return Asked(float(said[-1].split(",")[1].strip('"')), None)


def _client(request: str) -> Callable[[Path, int, int, int], Asked]:
    def ask(programs: Path, port: int, requests: int, clients: int) -> Asked:
        words = [str(programs / CLIENT), str(port), str(clients), str(requests), request]
        rate, busy = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
        return Asked(float(rate), float(busy))

    return ask


LOADS = {
    "nginx": Load(nginx, _client(GET_PAGE)),
    "nginx-large": Load(functools.partial(nginx, page_bytes=LARGE_PAGE_BYTES), _client(GET_PAGE)),
    "redis": Load(redis, _client("*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n")),
    "redis-benchmark": Load(redis, redis_benchmark),
}


def cpu_s(pid: int) -> float:
    """The processor time that a process has had, all its threads together."""
    return time.clock_gettime(~pid << 3 | 2)  # the clock of clock_getcpuclockid(3)

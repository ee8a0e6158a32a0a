"""Servers that have nothing to do: those that are installed, each with a client that is silent."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.poll import until

NGINX = """
daemon off; worker_processes 2; pid {folder}/pid; error_log {folder}/errors; user root;
events {{ worker_connections 100; }}
http {{
  access_log {folder}/access; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b;
  fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{ listen 127.0.0.1:{port}; }}
}}
"""
HAPROXY = """
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend all
  bind 127.0.0.1:{port}
"""
SSHD = "ListenAddress 127.0.0.1:{port}\nHostKey {folder}/key\nPidFile {folder}/pid\nLoginGraceTime 0\n"
LIGHTTPD = (
    'server.document-root = "{folder}"\nserver.port = {port}\nserver.bind = "127.0.0.1"\nserver.max-read-idle = 9999\n'
)
THREADS = """
import socketserver
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(100): self.request.sendall(data)
socketserver.ThreadingTCPServer(("127.0.0.1", {port}), Echo).serve_forever()
"""
LOOP = """
import asyncio
async def echo(reader, writer):
    while data := await reader.read(100): writer.write(data)
async def main(): await (await asyncio.start_server(echo, "127.0.0.1", {port})).serve_forever()
asyncio.run(main())
"""
FORKS = """
import os, socket
server = socket.create_server(("127.0.0.1", {port}))
for _ in range(3):
    if not os.fork():
        while True:
            one = server.accept()[0]
            while data := one.recv(100): one.sendall(data)
os.wait()
"""
POSTGRES = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")


def commands(folder: Path, ports: Iterator[int]) -> Iterator[tuple[str, list[str], int]]:
    """The name, the command line and the port of each server that this machine has.

    Args:
        folder: for their files.
        ports: that nobody listens at.
    """
    for name, code in (("threads", THREADS), ("loop", LOOP), ("forks", FORKS)):
        port = next(ports)
        yield name, [sys.executable, "-c", code.format(port=port)], port
    port = next(ports)
    yield "http.server", [sys.executable, "-m", "http.server", str(port), "-b", "127.0.0.1", "-d", str(folder)], port
    for name, argv in (
        ("redis-server", ["--port", "{port}", "--dir", "{folder}", "--appendonly", "yes"]),
        ("memcached", ["-u", "root", "-l", "127.0.0.1", "-p", "{port}"]),
        ("dnsmasq", ["-k", "-p", "{port}", "-a", "127.0.0.1", "-C", "/dev/null", "--no-resolv", "-u", "root"]),
        ("nginx", ["-c", "{file}", "-p", "{folder}"]),
        ("haproxy", ["-f", "{file}", "-W", "-db"]),
        ("sshd", ["-D", "-f", "{file}"]),
        ("lighttpd", ["-D", "-f", "{file}"]),
    ):
        path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
        if path is not None:
            port = next(ports)
            yield name, [path, *_filled(folder / name, name, argv, port)], port
    yield from _databases(folder, ports)


def _filled(folder: Path, name: str, argv: list[str], port: int) -> list[str]:
    folder.mkdir()
    text = {"nginx": NGINX, "haproxy": HAPROXY, "sshd": SSHD, "lighttpd": LIGHTTPD}.get(name, "")
    (folder / "file").write_text(text.format(folder=folder, port=port))
    if name == "sshd":
        subprocess.run(["ssh-keygen", "-q", "-N", "", "-f", str(folder / "key")], check=True, stdin=subprocess.DEVNULL)
        Path("/run/sshd").mkdir(exist_ok=True)
    return [word.format(folder=folder, port=port, file=folder / "file") for word in argv]


def _databases(folder: Path, ports: Iterator[int]) -> Iterator[tuple[str, list[str], int]]:
    quiet = {
        "check": True,
        "env": _environment(),
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
        "timeout": 300,
    }
    if found := sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
        data, port = folder / "postgres", next(ports)
        data.mkdir(mode=0o700)
        shutil.chown(data, "postgres", "postgres")
        subprocess.run([*POSTGRES, str(found[-1].with_name("initdb")), "-D", str(data)], **quiet)  # type: ignore[call-overload]
        yield "postgres", [*POSTGRES, str(found[-1]), "-D", str(data), "-p", str(port), "-k", str(data)], port
    if installer := shutil.which("mariadb-install-db"):
        data, port = folder / "mariadb", next(ports)
        data.mkdir()
        shutil.chown(data, "mysql", "mysql")
        subprocess.run([installer, "--user=mysql", f"--datadir={data}"], **quiet)  # type: ignore[call-overload]
        server = shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin") or "mariadbd"
        yield "mariadb", [server, "--user=mysql", f"--datadir={data}", f"--socket={data}/s", f"--port={port}"], port


@contextlib.contextmanager
def idle_servers(folder: Path) -> Iterator[dict[str, int]]:
    """Start them all, each with a client that says nothing; their pids by name.

    Args:
        folder: which all users may enter.
    """
    with contextlib.ExitStack() as stack:
        pids = {}
        for name, argv, port in commands(folder, _free_ports()):
            log = stack.enter_context((folder / f"{name}.log").open("wb"))
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_environment(), start_new_session=True
            )
            stack.callback(_end, process)
            until(lambda at=port: _connects(stack, at), 120, f"{name} listens")  # type: ignore[misc]
            pids[name] = process.pid
        yield pids


def _free_ports() -> Iterator[int]:
    while True:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
        yield port


def _connects(stack: contextlib.ExitStack, port: int) -> bool:
    try:
        stack.enter_context(socket.create_connection(("127.0.0.1", port), 5))
    except OSError:
        return False
    return True


def _environment() -> dict[str, str]:
    """Without the temporary directory of the test, which other users may not enter."""
    return {**os.environ, "TMPDIR": "/tmp"}


def _end(process: subprocess.Popen[bytes]) -> None:
    """In order, and with all that it has started."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(30)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()

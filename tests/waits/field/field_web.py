"""nginx and haproxy in front of a worker that takes its time, and servers that answer with threads of their own."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from field_judge import TICKS, Truth
from field_world import Field, program, scenario
from why_world import World

from straced.linux import procfs

TELL = """
def tell(path):
    with open(path, 'w') as file: file.write(f'{threading.get_native_id()}.')
"""
"""Code of a server: the thread that serves a slow request writes its number where the request says."""
_APP = (
    TELL
    + """
import http.server, urllib.parse
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path, _, told = self.path.partition('?')
        if path == '/slow':
            tell(told)
            time.sleep(600)
        self.send_response(200); self.send_header('Content-Length', '3'); self.end_headers(); self.wfile.write(b'ok.')
    def log_message(self, *words): pass
server = http.server.ThreadingHTTPServer((ARGS[0], int(ARGS[1])), Handler)
ready()
server.serve_forever()
"""
)
CLIENT = """
client = socket.create_connection((ARGS[0], int(ARGS[1])))
client.sendall(b'GET ' + ARGS[2].encode() + b' HTTP/1.1\\r\\nHost: field\\r\\n\\r\\n')
ready()
client.recv(1)
"""
_POLLING_CLIENT = CLIENT.replace("client.recv(1)", "p = select.poll(); p.register(client, select.POLLIN); p.poll()")


def number_in(world: World, path: Path) -> int:
    """The number that a thread has written into a file."""
    world.until(lambda: path.exists() and path.read_text().endswith("."), f"nobody wrote {path}")
    return int(path.read_text()[:-1])


class Proxy:
    """A proxy on a port of its own, before an application on another."""

    def __init__(self, field: Field) -> None:
        self.port, self.behind = field.port(), field.port()
        self.place = field.place(type(self).__name__.lower())
        self.pid = self._start(field)
        field.world.until(lambda: field.connects(self.port), f"{type(self).__name__} does not start")

    def _start(self, field: Field) -> int:
        raise NotImplementedError


class Nginx(Proxy):
    def _start(self, field: Field) -> int:
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = " ".join(f"{kind}_temp_path {self.place}/{kind};" for kind in kinds)
        (self.place / "nginx.conf").write_text(
            f"daemon off; worker_processes 1; pid {self.place}/pid; error_log {self.place}/errors; events {{}}\n"
            f"http {{ access_log off; {temporary} proxy_read_timeout 600;\n"
            f"server {{ listen {field.host}:{self.port};\n"
            f"location /own {{ return 200 own; }}\n"
            f"location / {{ proxy_pass http://{field.host}:{self.behind}; }} }} }}\n"
        )
        command = (
            program("nginx"),
            "-p",
            str(self.place),
            "-c",
            f"{self.place}/nginx.conf",
            "-e",
            f"{self.place}/errors",
        )
        return field.server(*command, stop=signal.SIGTERM)


class Haproxy(Proxy):
    def _start(self, field: Field) -> int:
        (self.place / "haproxy.cfg").write_text(
            "defaults\n mode http\n timeout connect 600s\n timeout client 600s\n timeout server 600s\n"
            f"listen field\n bind {field.host}:{self.port}\n server app {field.host}:{self.behind}\n"
        )
        return field.server(program("haproxy"), "-db", "-q", "-f", f"{self.place}/haproxy.cfg", stop=signal.SIGINT)


def _behind(proxy: Proxy, field: Field, world: World, client: str) -> Truth:
    """Two clients: one is served and keeps its connection, the other waits for the slow worker."""
    app = world.python(_APP, field.host, proxy.behind)
    served = world.python(CLIENT + "rest()", field.host, proxy.port, "/quick")
    told = world.directory / "handler"
    target = world.python(client, field.host, proxy.port, f"/slow?{told}")
    handler = number_in(world, told)
    world.rests_in(("clock_nanosleep",), served.pid, handler)
    world.rests(target.pid)
    return Truth(
        target=target.pid,
        verdicts=TICKS,
        culprits=frozenset({handler}),
        says=(" sent data ", "and nothing came back since"),
        next=f"py-spy dump --pid {app.pid}",
        may_be_one_of=True,
    )


@scenario("nginx")
def nginx_before_a_slow_worker(field: Field, world: World) -> Truth:
    return _behind(field.shared(Nginx), field, world, CLIENT)


@scenario("nginx")
def nginx_before_a_slow_worker_polled(field: Field, world: World) -> Truth:
    return _behind(field.shared(Nginx), field, world, _POLLING_CLIENT)


@scenario("haproxy")
def haproxy_before_a_slow_worker(field: Field, world: World) -> Truth:
    return _behind(field.shared(Haproxy), field, world, CLIENT)


@scenario("nginx")
def nginx_stopped(field: Field, world: World) -> Truth:
    """The worker of nginx itself is stopped, before it has accepted: its master has the listener, too."""
    nginx = field.shared(Nginx)
    worker = world.only_child(nginx.pid)
    world.stop(worker)
    target = world.python(CLIENT, field.host, nginx.port, "/own")
    world.rests(target.pid)
    return Truth(target=target.pid, verdicts=("stuck",), culprits=frozenset({worker}))


_WSGI = (
    TELL
    + """
import threading, time
def app(environ, start_response):
    if environ['PATH_INFO'].startswith('/slow'):
        tell(environ['QUERY_STRING'])
        time.sleep(600)
    start_response('200 OK', [('Content-Length', '3')])
    return [b'ok.']
"""
)
_ASGI = (
    TELL
    + """
import asyncio, threading, time
async def app(scope, receive, send):
    if scope['type'] != 'http': return
    def work():
        tell(scope['query_string'].decode())
        time.sleep(600)
    if scope['path'].startswith('/slow'): await asyncio.get_running_loop().run_in_executor(None, work)
    await send({'type': 'http.response.start', 'status': 200, 'headers': [(b'content-length', b'3')]})
    await send({'type': 'http.response.body', 'body': b'ok.'})
"""
)


def _served_by_a_thread(field: Field, world: World, code: str, *argv: str, may_be_one_of: bool = False) -> Truth:
    port = field.port()
    (world.directory / "app.py").write_text(code)
    words = [word.format(host=field.host, port=port) for word in argv]
    environment = {**os.environ, "HOME": str(world.directory)}
    world.command(sys.executable, "-m", *words, "app:app", cwd=world.directory, env=environment)
    world.until(lambda: field.connects(port), f"{argv[0]} does not start")
    said = world.directory / "handler"
    target = world.python(CLIENT, field.host, port, f"/slow?{said}")
    handler = number_in(world, said)
    world.rests(target.pid, handler)
    return Truth(
        target=target.pid,
        verdicts=TICKS,
        culprits=frozenset({handler}),
        next=f"py-spy dump --pid {procfs.status(handler)['Tgid']}",
        may_be_one_of=may_be_one_of,
    )


@scenario("gunicorn")
def gunicorn_with_threads(field: Field, world: World) -> Truth:
    return _served_by_a_thread(
        field, world, _WSGI, "gunicorn", "--log-level=error", "--threads=4", "-b", "{host}:{port}"
    )


@scenario("uvicorn")
def uvicorn_with_a_thread(field: Field, world: World) -> Truth:
    return _served_by_a_thread(
        field, world, _ASGI, "uvicorn", "--host={host}", "--port={port}", "--log-level=error", may_be_one_of=True
    )

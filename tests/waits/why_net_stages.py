"""Staged situations of names and networks: the same name or address may mean different things to two processes."""

from __future__ import annotations

import os
from pathlib import Path

from why_require import need_root
from why_stages import _TCP_CLIENT, Stage, _children, _pair, stage
from why_world import PYTHON, World


@stage
def unix_relative_names(world: World) -> Stage:
    """Two servers bound the same relative name in two directories: which one is meant cannot be told."""
    server = "os.chdir(ARGS[0]); s = socket.socket(socket.AF_UNIX); s.bind('r.sock'); s.listen(0); ready(); rest()"
    one, other = world.directory / "one", world.directory / "other"
    one.mkdir()
    other.mkdir()
    world.python(server, one)
    code = (
        "os.chdir(ARGS[0]); kept = []; ready()\nwhile True:\n s = socket.socket(1); kept.append(s); s.connect('r.sock')"
    )
    world.python(server, other)
    target = world.python(code, other)
    world.rests(target.pid)
    return Stage(target=target.pid, verdict="stuck", says=("r.sock",))


@stage
def datagram_service_idle(world: World) -> Stage:
    """A log daemon with one client connected to it waits for work, not for that client."""
    path = world.directory / "log.sock"
    target = world.python("s = socket.socket(1, 2); s.bind(ARGS[0]); ready(); s.recv(1)", path)
    client = world.python("s = socket.socket(1, 2); s.connect(ARGS[0]); ready(); rest()", path)
    world.rests(target.pid, client.pid)
    return Stage(target=target.pid, verdict="idle", says=("log.sock",))


@stage
def tcp_reuseport(world: World) -> Stage:
    """Two servers share a port; the one whose queue holds the connection is meant."""
    code = """
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
s.bind(('127.0.0.1', int(ARGS[0]))); s.listen(5); ready(s.getsockname()[1]); rest()
"""
    one = world.python(code, 0)
    port = one.words[0]
    other = world.python(code, port)
    target = world.python(_TCP_CLIENT, port)
    world.rests(target.pid)
    lines = Path("/proc/net/tcp").read_text().split("\n")
    queued = [line.split() for line in lines if f":{int(port):04X} 00000000:0000 0A" in line]
    inode = next(words[9] for words in queued if int(words[4].split(":")[1], 16))
    culprit = next(role for role in (one, other) if f"socket:[{inode}]" in _links(role.pid))
    return _pair(world, target, culprit, f"127.0.0.1:{port}")


def _links(pid: int) -> set[str]:
    return {os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")}


@stage
def server_in_a_shell(world: World) -> Stage:
    """A wrapper that waits for a server which waits for work is idle as well."""
    code = "import socket; s = socket.create_server(('127.0.0.1', 0)); s.accept()"
    shell = world.command("sh", "-c", f'{PYTHON} -I -S -c "{code}"; true')
    world.until(lambda: len(_children(shell.pid)) == 1, "the server did not start")
    server = _children(shell.pid)[0]
    world.rests_in(("accept4", "accept"), server)
    return Stage(target=shell.pid, culprit=server, verdict="idle", says=("child", "somebody to connect"))


@stage
def other_network_namespace(world: World) -> Stage:
    """Both ends live in a network namespace of their own; the same port is served here by somebody else."""
    need_root()
    decoy = world.python("s = socket.create_server(('127.0.0.1', 0)); ready(s.getsockname()[1]); rest()")
    port = decoy.words[0]
    code = """
import ctypes
if ctypes.CDLL(None).unshare(0x40000000):
    raise OSError('unshare')
s = socket.socket(); fcntl.ioctl(s, 0x8914, struct.pack('16sH14x', b'lo', 0x49))
server = socket.create_server(('127.0.0.1', int(ARGS[0])))
child = os.fork()
if child == 0:
    server.close(); s.close()
    c = socket.create_connection(('127.0.0.1', int(ARGS[0]))); c.send(b'x'); ready(os.getpid()); c.recv(1)
c, _ = server.accept(); rest()
"""
    culprit = world.python(code, port)
    target = int(culprit.words[0])
    world.rests(target, culprit.pid)
    return Stage(target=target, culprit=culprit.pid, verdict="stuck", says=(f"127.0.0.1:{port}",))

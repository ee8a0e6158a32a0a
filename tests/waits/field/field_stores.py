"""redis and memcached: one thread for all clients, and several."""

from __future__ import annotations

import os

from field_judge import TICKS, Truth
from field_world import Field, program, scenario, unprivileged
from why_world import Role, World

from straced.linux import procfs

_CLIENT = """
client = socket.create_connection((ARGS[0], int(ARGS[1])))
client.sendall(ARGS[2].encode() + b'\\r\\n')
ready()
client.recv(1)
rest()
"""


class Redis:
    """A server that all share, or one of a scenario's own world, which is killed with it."""

    def __init__(self, field: Field, world: World | None = None) -> None:
        self.port, self.host = field.port(), field.host
        place = field.place("redis")
        # A slow script is answered for, "BUSY", after five seconds; on a busy machine these are over too soon.
        options = ("--save", "", "--appendonly", "no", "--lua-time-limit", "600000", "--dir", str(place))
        command = (program("redis-server"), "--bind", field.host, "--port", str(self.port), *options)
        self.pid = world.command(*command).pid if world is not None else field.server(*command)
        field.world.until(lambda: field.connects(self.port), "redis does not start")

    def client(self, world: World, command: str) -> Role:
        return world.python(_CLIENT, self.host, self.port, command)


class Memcached:
    def __init__(self, field: Field) -> None:
        self.port, self.host = field.port(), field.host
        user = unprivileged("memcache")
        as_it = ("-u", user) if user else ()
        self.pid = field.server(program("memcached"), *as_it, "-l", field.host, "-p", str(self.port), "-U", "0")
        field.world.until(lambda: field.connects(self.port), "memcached does not start")


@scenario("redis-server")
def redis_idle(field: Field, world: World) -> Truth:
    """With a client that rests between two commands."""
    server = field.shared(Redis)
    client = server.client(world, "PING")
    world.rests_in(("clock_nanosleep",), client.pid)
    return Truth(target=server.pid, verdicts=("idle",))


@scenario("redis-server")
def redis_blocked_pop(field: Field, world: World) -> Truth:
    """A client waits for an element that somebody has to push: the server itself has nothing to do."""
    server = field.shared(Redis)
    pusher = server.client(world, "PING")
    client = server.client(world, "BLPOP queue 0")
    world.rests(client.pid, pusher.pid)
    return Truth(target=client.pid, verdicts=TICKS, says=(str(server.pid),))


@scenario("redis-server")
def redis_slow_script(field: Field, world: World) -> Truth:
    server = Redis(field, world)
    server.client(world, 'EVAL "while true do end" 0')
    client = server.client(world, "GET one")
    world.until(lambda: procfs.stat(server.pid).state == "R", "the script does not run")
    world.rests(client.pid)
    return Truth(target=client.pid, verdicts=("slow",), culprits=frozenset({server.pid}))


@scenario("redis-server")
def redis_stopped(field: Field, world: World) -> Truth:
    server = field.shared(Redis)
    world.stop(server.pid)
    client = server.client(world, "GET one")
    world.rests(client.pid)
    return Truth(target=client.pid, verdicts=("stuck",), culprits=frozenset({server.pid}))


@scenario("memcached")
def memcached_idle(field: Field, world: World) -> Truth:
    server = field.shared(Memcached)
    client = world.python(_CLIENT, server.host, server.port, "version")
    world.rests_in(("clock_nanosleep",), client.pid)
    return Truth(target=server.pid, verdicts=("idle",))


@scenario("memcached")
def memcached_stopped(field: Field, world: World) -> Truth:
    """All its threads are stopped: that of the connection is named, or the process."""
    server = field.shared(Memcached)
    client = world.python(
        _CLIENT + "client.sendall(b'version\\r\\n'); client.recv(1)", server.host, server.port, "version"
    )
    world.rests(client.pid)
    world.stop(server.pid)
    waiting = world.python(_CLIENT, server.host, server.port, "version")
    world.rests(waiting.pid)
    threads = frozenset(map(int, os.listdir(f"/proc/{server.pid}/task")))
    return Truth(target=waiting.pid, verdicts=("stuck",), culprits=threads)

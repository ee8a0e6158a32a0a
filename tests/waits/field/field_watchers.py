"""Programs that wait for files, clocks and datagrams: wake-ups that nobody in particular owes them."""

from __future__ import annotations

import contextlib
import os

from field_judge import TICKS, Truth
from field_world import Field, scenario
from why_world import World

from straced.linux import procfs

_WITH_A_CHILD = """
import ctypes
libc = ctypes.CDLL(None)
if ARGS[0] == 'inotify':
    fd = libc.inotify_init()
    libc.inotify_add_watch(fd, ARGS[1].encode(), 0x100)
else:
    fd = libc.timerfd_create(1, 0)
    libc.timerfd_settime(fd, 0, (ctypes.c_long * 4)(600, 0, 600, 0), None)
ours, theirs = socket.socketpair()
if os.fork() == 0:
    ours.close()
    theirs.recv(1)
    os._exit(0)
theirs.close()
epoll = select.epoll()
epoll.register(fd, 1)
epoll.register(ours, 1)
ready()
epoll.poll()
"""


@scenario()
def tail_and_grep(field: Field, world: World) -> list[Truth]:
    """Both wait for the file to grow; tail watches the pipe, too, to see grep leave."""
    log = world.directory / "log"
    log.touch()
    shell = world.command("sh", "-c", f"tail -F {log} | grep --line-buffered x; true")
    world.until(lambda: _programs(shell.pid) == {"tail", "grep"}, "the pipeline is not complete")
    members = procfs.children(shell.pid)
    world.until(lambda: all("inotify" in _links(pid) for pid in members if _comm(pid) == "tail"), "tail does not watch")
    world.rests(shell.pid, *members)
    return [Truth(target=pid, verdicts=("idle",)) for pid in (*members, shell.pid)]


def _programs(pid: int) -> set[str]:
    return {_comm(child) for child in procfs.children(pid)}


def _comm(pid: int) -> str:
    return procfs.stat(pid).comm


def _links(pid: int) -> str:
    found = ""
    with contextlib.suppress(OSError):  # a program that starts opens and closes its libraries
        for fd in os.listdir(f"/proc/{pid}/fd"):
            found += os.readlink(f"/proc/{pid}/fd/{fd}")
    return found


def _watches(world: World, kind: str) -> list[Truth]:
    watching = world.python(_WITH_A_CHILD, kind, world.directory)
    child = world.only_child(watching.pid)
    world.rests(watching.pid, child)
    return [
        Truth(target=watching.pid, verdicts=("idle",)),
        Truth(target=child, verdicts=("stuck", "idle"), says=(str(watching.pid),)),
    ]


@scenario()
def inotify_beside_a_child(field: Field, world: World) -> list[Truth]:
    return _watches(world, "inotify")


@scenario()
def timerfd_beside_a_child(field: Field, world: World) -> list[Truth]:
    return _watches(world, "timerfd")


_ASKS = """
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect((ARGS[0], int(ARGS[1])))
s.send(bytes(29))
p = select.poll()
p.register(s, select.POLLIN)
ready(s.getsockname()[1])
p.poll(600_000)
"""


@scenario()
def dns_unanswered(field: Field, world: World) -> Truth:
    """As the resolver of glibc asks: a connected socket, one datagram, poll with a timeout. The server is stopped."""
    server = world.python("s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((ARGS[0], 0))\n"
                          "ready(s.getsockname()[1]); s.recv(1); rest()", field.host)  # fmt: skip
    world.stop(server.pid)
    target = world.python(_ASKS, field.host, server.words[0])
    world.rests(target.pid)
    says = ("answer", f"{field.host}:{server.words[0]}")
    return Truth(target=target.pid, verdicts=("stuck",), culprits=frozenset({server.pid}), says=says)


@scenario("root", "ip")
def dns_unanswered_from_afar(field: Field, world: World) -> Truth:
    """The server is on no machine that can be seen: a namespace in which all that goes there is dropped."""
    code = (
        "import subprocess\n"
        "subprocess.run('ip link set lo up; ip route add 192.0.2.0/24 dev lo',"
        " shell=True, check=True)\n" + _ASKS
    )
    target = world.python_in("unshare", "-n", code=code, args=("192.0.2.53", 53))
    world.rests(target.pid)
    return Truth(target=target.pid, verdicts=("stuck",), says=("answer", "192.0.2.53:53"))


@scenario()
def zero_window(field: Field, world: World) -> Truth:
    """The receiver reads nothing any more: its window is shut."""
    receiver = world.python(
        "s = socket.create_server((ARGS[0], 0)); ready(s.getsockname()[1]); c, _ = s.accept(); rest()", field.host
    )
    target = world.python(
        "c = socket.create_connection((ARGS[0], int(ARGS[1]))); ready()\nwhile True: c.send(bytes(1 << 16))",
        field.host,
        receiver.words[0],
    )
    world.rests_in(("sendto",), target.pid)
    return Truth(target=target.pid, verdicts=("stuck",), culprits=frozenset({receiver.pid}))


_PROXY = """
server = socket.create_server((ARGS[0], 0))
ready(server.getsockname()[1])
client, _ = server.accept()
upstream = socket.create_connection((ARGS[0], int(ARGS[1])))
poll = select.poll()
poll.register(client, select.POLLIN); poll.register(upstream, select.POLLIN)
while True:
    for fd, _ in poll.poll():
        source, sink = (client, upstream) if fd == client.fileno() else (upstream, client)
        sink.sendall(source.recv(4096))
"""


@scenario()
def proxy_chain_of_three(field: Field, world: World) -> Truth:
    """Each watches its client and its server: the one at the end sleeps over the request."""
    last = world.python(
        "s = socket.create_server((ARGS[0], 0)); ready(s.getsockname()[1]); c, _ = s.accept(); c.recv(99); rest()",
        field.host,
    )
    port, proxies = last.words[0], []
    for _ in range(3):
        proxies.append(world.python(_PROXY, field.host, port))
        port = proxies[-1].words[0]
    target = world.python(
        "c = socket.create_connection((ARGS[0], int(ARGS[1]))); c.send(b'request'); ready(); c.recv(1)",
        field.host,
        port,
    )
    world.rests_in(("clock_nanosleep",), last.pid)
    world.rests(target.pid, *(proxy.pid for proxy in proxies))
    return Truth(target=target.pid, verdicts=("stuck",), culprits=frozenset({last.pid}))


def _rest(world: World, pids: list[int], count: int) -> bool:
    with contextlib.suppress(procfs.Gone):
        return len(pids) == count and all(world.is_at_rest(pid, "S") for pid in pids)
    return False


@scenario()
def pool_whose_worker_died(field: Field, world: World) -> list[Truth]:
    """A pool of Python's starts another worker, and the result of the lost task never comes. Nobody blocks anybody."""
    code = """
import multiprocessing
def work(number):
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number
pool = multiprocessing.get_context('fork').Pool(2)
result = pool.map_async(work, range(3), chunksize=1)
ready()
result.get()
"""
    parent = world.python(code)
    world.until(lambda: _rest(world, procfs.children(parent.pid), 2), "the pool has not two workers")
    workers = procfs.children(parent.pid)
    pids = frozenset({parent.pid, *map(int, procfs.tasks(parent.pid))})
    return [
        Truth(target=parent.pid, verdicts=(*TICKS, "idle")),
        *(
            Truth(
                target=pid,
                verdicts=(*TICKS, "idle"),
                culprits=pids | set(workers),
                next=f"py-spy dump --pid {parent.pid}",
                may_be_one_of=True,
            )
            for pid in workers
        ),
    ]

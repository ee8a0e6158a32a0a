"""Servers of several threads, proxies and brokers: the thread that serves, and what the one in the middle waits for.

Of `waits/holders/behind.py`, `waits/holders/proxies.py`, `waits/holders/serving.py` and `waits/classify/titles.py`.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import why_more_stages  # noqa: F401, registers its stages
from why_stages import _FLOCK, _TCP_CLIENT, READER, STAGES
from why_world import Role, World, close

from straced.views.why.overview import overview
from straced.views.why.report import report, sentence
from straced.waits.all_processes import why_everybody
from straced.waits.model import ONE_OF, Node, Why, walk
from straced.waits.process import why_process

_WINDOW_NS = 100_000_000
_THREADED = """
server = socket.create_server(('127.0.0.1', 0))
def serve(connection):
    word = connection.recv(10)
    if word == b'lock':
        fcntl.flock(open(ARGS[0], 'w'), fcntl.LOCK_EX)
    rest()
ready(server.getsockname()[1])
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
"""
_ASK = "c = socket.create_connection(('127.0.0.1', int(ARGS[0]))); c.send(ARGS[1].encode()); ready(); c.recv(1)"
_SILENT = "s = socket.create_server(('127.0.0.1', 0)); ready(s.getsockname()[1]); c = s.accept(); rest()"
_PROXY = """
listening = socket.create_server(('127.0.0.1', 0)); ready(listening.getsockname()[1])
client, _ = listening.accept(); upstream = socket.create_connection(('127.0.0.1', int(ARGS[0])))
if ARGS[1:] == ['loop']:
    kept = [socket.create_connection(('127.0.0.1', int(ARGS[0])))]
poller = select.epoll() if ARGS[1:] == ['loop'] else select.poll()
poller.register(client, 1); poller.register(upstream, 1)
if ARGS[1:] == ['loop']:
    poller.register(listening, 1); poller.register(kept[0], 1)
while True:
    for fd, _ in poller.poll():
        if fd == client.fileno():
            upstream.send(client.recv(100))
"""


def _ask(pid: int) -> Why:
    return why_process(pid, _WINDOW_NS)


def _path(why: Why) -> list[Node]:
    assert why.chain is not None
    return walk(why.chain)


def _threads(world: World, role: Role, count: int) -> list[int]:
    world.until(lambda: len(os.listdir(f"/proc/{role.pid}/task")) == count, "threads")
    found = [int(tid) for tid in os.listdir(f"/proc/{role.pid}/task") if int(tid) != role.pid]
    return sorted(found)


def _threaded(world: World) -> tuple[Role, Role, Path]:
    """A server with a thread for each client, and who has the lock that one of them wants."""
    path = world.directory / "served.lock"
    holder = world.python(_FLOCK.replace("ready(); ", "") + "ready(); rest()", path)
    return world.python(_THREADED, path), holder, path


def test_the_thread_that_serves_is_followed(world: World) -> None:
    """The main thread waits for the next client, the other for a lock: that one has this client."""
    server, holder, _ = _threaded(world)
    client = world.python(_ASK, server.words[0], "lock")
    (thread,) = _threads(world, server, 2)
    world.rests_in(("flock",), thread)
    world.rests(client.pid, holder.pid)
    why = _ask(client.pid)
    assert why.verdict == "stuck", report(why)
    assert [node.task.tid for node in _path(why)] == [client.pid, thread, holder.pid], report(why)
    assert f"likely thread {thread} of {server.pid}" in sentence(why)


def test_one_of_several_threads(world: World) -> None:
    """One thread waits for a lock, another sleeps; nothing tells which of them has this client: it is one of them."""
    server, holder, _ = _threaded(world)
    other = world.python(_ASK, server.words[0], "lock")
    world.rests(other.pid)
    (locked,) = _threads(world, server, 2)
    client = world.python(_ASK, server.words[0], "sleep")
    threads = _threads(world, server, 3)
    world.rests_in(("flock",), locked)
    world.rests(client.pid, holder.pid, *threads)
    why = _ask(client.pid)
    assert why.chain is not None
    assert {node.task.tid for node in why.chain.holders} <= {*threads}, report(why)
    assert next(tid for tid in threads if tid != locked) in {node.task.tid for node in why.chain.holders}, report(why)
    assert why.root_cause is None
    if len(why.chain.holders) > 1:  # else the sleeping one alone ran since the data came
        assert why.chain.holders[0].task.tid == locked, "the stuck one comes first"
        assert {node.relation for node in why.chain.holders} == {ONE_OF}


@pytest.mark.needs("root")
def test_a_stopped_process_is_named_as_one(world: World) -> None:
    server, _, _ = _threaded(world)
    client = world.python(_ASK, server.words[0], "sleep")
    threads = _threads(world, server, 2)
    world.rests(client.pid, server.pid, *threads)
    os.kill(server.pid, signal.SIGSTOP)
    world.rests(server.pid, *threads, states="T")
    why = _ask(client.pid)
    assert why.root_cause is not None, report(why)
    assert (why.root_cause.task.pid, why.next) == (server.pid, f"kill -CONT {server.pid}")


def test_a_proxy_of_two_sockets(world: World) -> None:
    """The asker's own connection is no reason for its wait; the other one is."""
    server = world.python(_SILENT)
    proxy = world.python(_PROXY, server.words[0])
    client = world.python(_TCP_CLIENT, proxy.words[0])
    world.rests(server.pid, proxy.pid, client.pid)
    why = _ask(client.pid)
    assert [node.task.pid for node in _path(why)] == [client.pid, proxy.pid, server.pid], report(why)
    assert (why.verdict, why.root_cause) == ("stuck", None)
    assert _path(why)[-1].end == "likely"
    assert _ask(proxy.pid).verdict == "idle", "a proxy itself waits for either side"


def test_a_chain_of_three_proxies(world: World) -> None:
    roles = [world.python(_SILENT)]
    for _ in range(3):
        roles.append(world.python(_PROXY, roles[-1].words[0]))
    client = world.python(_TCP_CLIENT, roles[-1].words[0])
    world.rests(client.pid, *(role.pid for role in roles))
    why = _ask(client.pid)
    assert [node.task.pid for node in _path(why)] == [client.pid, *(role.pid for role in reversed(roles))], report(why)


def test_an_event_loop_with_other_connections(world: World) -> None:
    """Beside the listening socket a loop watches two connections of its own: one of them, the asked one first."""
    server = world.python(_SILENT.replace("c = s.accept()", "c = s.accept(), s.accept()"))
    proxy = world.python(_PROXY, server.words[0], "loop")
    client = world.python(_TCP_CLIENT, proxy.words[0])
    world.rests(server.pid, proxy.pid, client.pid)
    why = _ask(client.pid)
    assert [node.task.pid for node in _path(why)] == [client.pid, proxy.pid, server.pid], report(why)
    assert why.root_cause is None
    assert _ask(proxy.pid).verdict == "idle"


def test_a_connection_that_owes_nothing_is_not_blamed(world: World) -> None:
    """A server has an idle connection to a database, which has answered, and does not answer its client itself."""
    database = world.python(
        "s = socket.create_server(('127.0.0.1', 0)); ready(s.getsockname()[1]); c, _ = s.accept()\n"
        "c.recv(10); time.sleep(0.1); c.send(b'row'); rest()"
    )
    code = """
kept = socket.create_connection(('127.0.0.1', int(ARGS[0]))); kept.send(b'select'); kept.recv(10)
listening = socket.create_server(('127.0.0.1', 0)); ready(listening.getsockname()[1])
client, _ = listening.accept(); client.recv(10)
select.select([listening, kept, client], [], [])
"""
    server = world.python(code, database.words[0])
    client = world.python(_TCP_CLIENT, server.words[0])
    world.rests(database.pid, server.pid, client.pid)
    why = _ask(client.pid)
    assert why.verdict == "stuck"
    assert [root.end for root in why.roots] == ["one of"], report(why)
    assert "work of its own that cannot be seen" in sentence(why)


def test_a_broker_and_its_clients(world: World) -> None:
    """Three clients of a server that waits for any of them: each may be who is waited for, none is to blame."""
    code = """
listening = socket.create_server(('127.0.0.1', 0)); ready(listening.getsockname()[1])
poller = select.epoll(); poller.register(listening, 1); kept = {}
while True:
    for fd, _ in poller.poll():
        if fd == listening.fileno():
            c, _ = listening.accept(); kept[c.fileno()] = c; poller.register(c, 1)
        else:
            kept[fd].recv(100)
"""
    broker = world.python(code)
    clients = [world.python(_TCP_CLIENT, broker.words[0]) for _ in range(3)]
    world.rests(broker.pid, *(client.pid for client in clients))
    why = _ask(clients[0].pid)
    (middle,) = why.chain.holders if why.chain else ()
    assert {node.task.pid for node in middle.holders} == {client.pid for client in clients[1:]}, report(why)
    assert (why.root_cause, why.deadlock) == (None, False)
    assert "root cause" not in report(why)
    assert "deadlock" not in report(why)
    assert "one of: " in sentence(why)


def test_a_multiplexer_over_unix_sockets(world: World) -> None:
    """As ssh's master does: clients come by a unix socket, and one connection goes out."""
    server = world.python(_SILENT)
    path = world.directory / "master.sock"
    code = """
listening = socket.socket(socket.AF_UNIX); listening.bind(ARGS[1]); listening.listen(5)
upstream = socket.create_connection(('127.0.0.1', int(ARGS[0]))); ready()
client, _ = listening.accept(); select.select([listening, client, upstream], [], [])
client.recv(100); upstream.send(b'x'); select.select([listening, client, upstream], [], [])
"""
    master = world.python(code, server.words[0], path)
    ask = "c = socket.socket(socket.AF_UNIX); c.connect(ARGS[0]); c.send(b'x'); ready(); c.recv(1)"
    client = world.python(ask, path)
    world.rests(server.pid, master.pid, client.pid)
    why = _ask(client.pid)
    assert [node.task.pid for node in _path(why)] == [client.pid, master.pid, server.pid], report(why)
    assert why.root_cause is None


def test_the_list_begins_with_what_is_proven_and_ends_with_who_rests(world: World) -> None:
    """A deadlock, a stopped one that is waited for, a stuck one; last the shell behind its program and idle workers."""
    deadlock = STAGES["cycle_of_two"](world)
    stopped = STAGES["writer_to_a_stopped_reader"](world)
    shell = world.python("child = os.fork() or rest()\nready(child); os.waitpid(child, 0)")
    code = """
r, w = os.pipe()
workers = [os.fork() or (os.close(w), os.read(r, 1), os._exit(0)) for _ in range(4)]
ready(*workers); signal.pause()
"""
    master = world.python(code)
    workers = [int(word) for word in master.words]
    world.rests(shell.pid, master.pid, *workers)
    found = why_everybody(_WINDOW_NS)
    order = [why.pid for why in found.processes]
    assert isinstance(stopped.culprit, int)
    wanted = [deadlock.target, stopped.culprit, stopped.target, shell.pid]
    assert sorted(wanted, key=order.index) == wanted
    verdicts = {why.pid: why.verdict for why in found.processes}
    assert {verdicts[pid] for pid in workers} == {"idle"}
    text = overview(found, limit=len(found.processes))
    lines = [line for line in text.split("\n") if f"4 idle workers of {master.pid} (python" in line]
    assert len(lines) == 1, text
    assert all(str(pid) in lines[0] for pid in workers)
    assert lines[0].startswith("idle")


def test_a_process_that_rests_elsewhere_does_not_serve(world: World) -> None:
    """A master and its worker both have the listening socket; the worker is stopped, the master waits for signals."""
    code = """
listening = socket.create_server(('127.0.0.1', 0))
worker = os.fork()
if worker == 0:
    while True: kept = listening.accept()
ready(listening.getsockname()[1], worker); signal.pause()
"""
    master = world.python(code)
    port, worker = master.words
    world.rests_in(("accept4",), int(worker))
    os.kill(int(worker), signal.SIGSTOP)
    world.rests(int(worker), states="T")
    client = world.python(_TCP_CLIENT, port)
    world.rests(client.pid, master.pid)
    why = _ask(client.pid)
    assert [node.task.pid for node in _path(why)] == [client.pid, int(worker)], report(why)
    assert (_path(why)[-1].end, why.next) == ("likely", f"kill -CONT {worker}")


def test_forty_candidates_are_not_forty_lines(world: World) -> None:
    """Who of a process with many threads has the other end is not known: some are named, the others are counted."""
    reading, writing, name = world.pipe()
    code = "[threading.Thread(target=threading.Event().wait, daemon=True).start() for _ in range(40)]; ready(); rest()"
    holder = world.python(code, fds=(writing,))
    target = world.python(READER, reading, fds=(reading,))
    close(reading, writing)
    world.rests(target.pid, *map(int, os.listdir(f"/proc/{holder.pid}/task")))
    why = _ask(target.pid)
    assert why.chain is not None
    assert (why.verdict, why.root_cause) == ("stuck", None), report(why)
    assert why.chain.holders[0].task.tid == holder.pid, "the one that sleeps comes before those that wait for others"
    assert len(why.chain.holders) + why.chain.more == 41
    assert len(_path(why)) < 12, report(why)
    assert name in sentence(why)

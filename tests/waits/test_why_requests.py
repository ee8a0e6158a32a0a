"""A client whose request is not answered waits for the answer; one that has its answer, or serves others, does not.

Of `waits/classify/requests.py` and `waits/facts/tcp_times.py`.
"""

from __future__ import annotations

import os

import pytest
from msgspec.structs import replace
from why_world import Role, World

from straced.views.why.bundle import bundle
from straced.views.why.report import report, sentence
from straced.waits.facts.tcp_times import TcpTimes
from straced.waits.model import Node, Request, Why
from straced.waits.process import why_process

_SERVER = """
server = socket.create_server(('127.0.0.1', 0))
ready(server.getsockname()[1])
client, _ = server.accept()
for _ in range(int(ARGS[0])):
    client.recv(100)
    client.sendall(b'answer')
rest()
"""
_CONNECT = """
client = socket.create_connection(('127.0.0.1', int(ARGS[0])))
client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
def ask():
    client.sendall(b'request')
def told():
    client.recv(100)
    time.sleep(0.05)
def watch(*more):
    p = select.epoll()
    for one in (client, *more):
        p.register(one, select.EPOLLIN)
    ready()
    p.poll()
"""


def _request(world: World, code: str, answers: int = 0) -> tuple[Why, Request | None, str]:
    """What a client does that runs ``code`` with a server that answers so often; its request; the server's address."""
    server = world.python(_SERVER, answers)
    return *_asked(world, world.python(_CONNECT + code, server.words[0])), f"127.0.0.1:{server.words[0]}"


def _asked(world: World, role: Role) -> tuple[Why, Request | None]:
    world.rests(role.pid)
    why = why_process(role.pid, 50_000_000)
    assert why.chain is not None
    return why, why.chain.task.wait.request


def test_a_read_of_an_answer(world: World) -> None:
    why, request, address = _request(world, "ask(); ready(); client.recv(1)")
    assert request is not None
    assert (request.peer, request.taken, request.answered_before) == (address, True, False)
    assert request.sent_ns is not None
    assert why.verdict == "stuck"
    assert "waits for an answer on the TCP socket" in sentence(why)
    assert f"-> {address}: data last sent" in report(why)


@pytest.mark.parametrize(
    "watch",
    ["watch()", "watch(os.eventfd(0))", "pair = socket.socketpair(); watch(pair[0])"],
    ids=["alone", "eventfd", "pair"],
)
def test_an_event_loop_that_has_asked(world: World, watch: str) -> None:
    why, request, address = _request(world, f"ask(); {watch}")
    assert request is not None
    assert request.peer == address
    assert why.verdict == "stuck"


def test_a_second_request_on_the_same_connection(world: World) -> None:
    _, request, _ = _request(world, "ask(); told(); ask(); watch()", answers=1)
    assert request is not None
    assert request.answered_before


@pytest.mark.parametrize(
    "code",
    [
        "ask(); told(); watch()",
        "watch()",
        "ask(); watch(socket.create_server(('127.0.0.1', 0)))",
        "ask(); watch(os.openpty()[0])",
    ],
    ids=["answered", "nothing asked", "listens, too", "terminal, too"],
)
def test_nothing_is_outstanding(world: World, code: str) -> None:
    _, request, _ = _request(world, code, answers=1 if "told" in code else 0)
    assert request is None


def test_a_sender_that_never_gets_answers(world: World) -> None:
    """A thread that ships logs is woken by those who log."""
    code = "ask(); threading.Thread(target=time.sleep, args=(600,), daemon=True).start(); watch(os.eventfd(0))"
    _, request, _ = _request(world, code)
    assert request is None


def test_the_one_who_was_connected_to_asks_nothing(world: World) -> None:
    """A server that has sent last waits for the next request, not for an answer."""
    server = world.python(
        "server = socket.create_server(('127.0.0.1', 0)); ready(server.getsockname()[1]); c, _ = server.accept()\n"
        "c.sendall(b'welcome'); c.recv(1)"
    )
    client = world.python("c = socket.create_connection(('127.0.0.1', int(ARGS[0]))); ready(); rest()", server.words[0])
    world.rests(client.pid)
    _, request = _asked(world, server)
    assert request is None


def test_a_datagram(world: World) -> None:
    server = world.python("s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('127.0.0.1', 0))\n"
                          "ready(s.getsockname()[1]); rest()")  # fmt: skip
    client = world.python(
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(('127.0.0.1', int(ARGS[0]))); s.send(b'?')\n"
        "p = select.poll(); p.register(s, select.POLLIN); ready(); p.poll(600_000)",
        server.words[0],
    )
    why, request = _asked(world, client)
    assert request == Request(local=why.chain.task.wait.watched[0].name, peer=f"127.0.0.1:{server.words[0]}")
    assert "waits for an answer on the UDP socket" in sentence(why)
    assert [root.task.pid for root in why.roots] == [server.pid]


def test_nobody_to_be_seen_at_the_other_end(world: World) -> None:
    """The other end is in nobody's descriptors, but on its way in a unix socket: the wait is no rest for all that."""
    server = world.python(
        "import array\n"
        "server = socket.create_server(('127.0.0.1', 0)); ready(server.getsockname()[1]); c, _ = server.accept()\n"
        "one, other = socket.socketpair(); rights = array.array('i', [c.fileno()])\n"
        "one.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]); c.close(); rest()"
    )
    address = f"127.0.0.1:{server.words[0]}"
    client = world.python(_CONNECT + "ask(); watch()", server.words[0])
    world.rests_in(("clock_nanosleep",), server.pid)
    why, request = _asked(world, client)
    assert request is not None
    assert why.verdict == "stuck"
    assert f"waits for an answer of {address}, sent" in sentence(why)
    assert os.getpid() not in {root.task.pid for root in why.roots}


def test_whom_it_asks_is_not_in_a_bundle(world: World) -> None:
    """Of an answer about another machine, as far as a namespace without one allows: its addresses are put in."""
    why, request, _ = _request(world, "ask(); watch()")
    assert why.chain is not None
    assert request is not None
    ours, theirs = "10.1.2.3:40000", "198.51.100.7:443"
    wait = why.chain.task.wait
    socket = replace(wait.watched[0], name=ours, peer=theirs)
    wait = replace(wait, watched=(socket,), request=replace(request, local=ours, peer=theirs))
    chain = Node(task=replace(why.chain.task, wait=wait))
    asking = replace(why, chain=chain, evidence=(f"tcp_info of {ours} -> {theirs}: data last sent 3 s ago",))
    assert f"waits for an answer of {theirs}" in bundle(asking, redact=False)
    text = bundle(asking)
    assert ours not in text
    assert theirs not in text
    assert "waits for an answer of <name" in text


@pytest.mark.parametrize(
    ("sent_ms", "received_ms", "ever_received", "unanswered"),
    [
        (5000, 5000, False, True),
        (5000, 9000, True, True),
        (5000, 5012, True, False),
        (5000, 4000, True, False),
    ],
    ids=["first request", "asked later", "a pong", "answered"],
)
def test_who_spoke_last(sent_ms: int, received_ms: int, ever_received: bool, unanswered: bool) -> None:
    times = TcpTimes(sent_ms=sent_ms, received_ms=received_ms, unacked=0, ever_received=ever_received)
    assert times.is_unanswered == unanswered

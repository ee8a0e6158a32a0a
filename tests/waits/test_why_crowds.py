"""Ten thousand connections, five thousand threads: bounded time, and what was left out is said.

Of `waits/selection.py`.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from typing import TypeVar

import pytest
from why_world import World

from straced.views.why.report import report, sentence
from straced.waits.all_processes import why_everybody
from straced.waits.process import why_process

_CONNECTIONS = 10_000
_THREADS = 5_000
_WINDOW_NS = 50_000_000
_FAR_TOO_MUCH_S = 10.0
"""A second is seen; twice the work for each of so many would take minutes."""
_SERVER = """
listener = socket.create_server(('127.0.0.1', 0), backlog=4096)
count = int(ARGS[0])
child = os.fork()
if child == 0:
    made = [socket.create_connection(listener.getsockname()) for _ in range(count)]
    listener.close()
    made[count // 2].send(b'x')
    made[count // 2].recv(1)
taken = [listener.accept()[0] for _ in range(count)]
epoll = select.epoll()
for each in (*taken, listener): epoll.register(each, select.EPOLLIN | select.EPOLLET)
ready(child)
while True: epoll.poll()
"""
Answer = TypeVar("Answer")


def _in_time(ask: Callable[[], Answer]) -> Answer:
    began = time.process_time()
    answer = ask()
    assert time.process_time() - began <= _FAR_TOO_MUCH_S
    return answer


@pytest.mark.needs("root")
@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_NOFILE)[1] < _CONNECTIONS + 100, reason="too few descriptors")
def test_ten_thousand_connections(world: World) -> None:
    """Which of its connections the server attends to nobody knows, and how many of them were looked at is said."""
    server = world.python(_SERVER, _CONNECTIONS)
    client = int(server.words[0])
    world.rests(server.pid, client)
    own = _in_time(lambda: why_process(server.pid, _WINDOW_NS))
    assert own.verdict == "idle"
    assert sentence(own).endswith(" 256 or more descriptors.")
    asked = _in_time(lambda: why_process(client, _WINDOW_NS))
    assert (asked.verdict, asked.deadlock, asked.root_cause) == ("stuck", False, None), report(asked)
    assert f"whose other end is {server.pid} ({own.comm})" in sentence(asked)
    assert " more descriptors" in sentence(asked)


def test_five_thousand_threads(world: World) -> None:
    """The first threads are explained, all are counted, and those that were left out are told."""
    target = world.program("threads", _THREADS)
    world.rests(target.pid)
    why = _in_time(lambda: why_process(target.pid, _WINDOW_NS))
    assert why.verdict == "stuck"
    assert why.root_cause is None
    assert f"{_THREADS - len(why.threads):,} threads of {target.pid} beyond the first ones" in why.not_seen
    assert {why.verdict for why in _in_time(lambda: why_everybody(_WINDOW_NS, [target.pid])).processes} == {"stuck"}

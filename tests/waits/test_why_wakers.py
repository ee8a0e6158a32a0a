"""With eBPF asked for by name: of several who could end a wait, the one who did it the last time, and only if proven.

Of `waits/wakers.py` and `tracers/ebpf/wakes.py`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable

import pytest
from why_stages import READER, SLEEPER
from why_world import Role, World, close

from straced.tracers.ebpf import wakes
from straced.views.why.report import report, sentence
from straced.waits.facts.proc import ProcReader
from straced.waits.facts.snapshot import ProcSnapshot
from straced.waits.model import ONE_OF, Node, Why
from straced.waits.process import why_process
from straced.waits.verdict.chain import ChainBuilder
from straced.waits.wakers import Wakers, marked

_WINDOW_NS = 100_000_000
_TOLD = "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n"
_READS = "ready()\nwhile True: os.read(int(ARGS[0]), 1)"
_WRITES = _TOLD + "ready()\nwhile signal.sigwait([signal.SIGUSR1]): os.write(int(ARGS[0]), b'x')"


def _asked(world: World, monkeypatch: pytest.MonkeyPatch, target: Role, waker: Role) -> Why:
    """What is said when a role, told by a signal, has woken the other one while that was watched, and both rest again.

    As often as it likes it would do so in the middle of a look on a busy machine, and nothing is said of what moves.
    """

    class Watch(wakes.WakeWatch):
        def __init__(self, tids: Iterable[int]) -> None:
            world.rests(target.pid, waker.pid)
            super().__init__(tids)
            os.kill(waker.pid, signal.SIGUSR1)
            world.until(lambda: target.pid in self.read(), f"{waker.pid} does not wake {target.pid}")
            world.rests(target.pid, waker.pid)

    monkeypatch.setattr(wakes, "WakeWatch", Watch)
    why = why_process(target.pid, _WINDOW_NS, wakes=True)
    assert not any("who wakes whom" in line for line in why.not_seen), why.not_seen
    assert why.chain is not None
    return why


@pytest.mark.needs("ebpf")
def test_one_of_the_threads_signals_a_condition(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    target = world.program("woken")
    signaller = int(target.words[0])
    why = _asked(world, monkeypatch, target, target)
    assert why.chain is not None
    assert [holder.task.tid for holder in why.chain.holders if holder.woke_last] == [signaller], report(why)
    assert len(why.chain.holders) == 4
    assert why.chain.holders[0].relation == ONE_OF
    assert f"(the last time it was its thread {signaller} (roles))" in sentence(why)
    assert f"{signaller} woke {target.pid} the last time, " in report(why)


@pytest.mark.needs("ebpf")
def test_one_of_the_writers_of_a_pipe(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing, _ = world.pipe()
    writers = [world.python(code, writing, fds=(writing,)) for code in (SLEEPER, _WRITES, SLEEPER)]
    target = world.python(_READS, reading, fds=(reading,))
    close(reading, writing)
    why = _asked(world, monkeypatch, target, writers[1])
    assert why.chain is not None
    assert [holder.task.pid for holder in why.chain.holders if holder.woke_last] == [writers[1].pid], report(why)
    assert f"(the last time it was {writers[1].pid} (python" in sentence(why)


@pytest.mark.needs("ebpf")
def test_one_of_the_clients(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over loopback the client that sends wakes its server by itself, though from a softirq."""
    serve = (
        "l = socket.create_server(('127.0.0.1', 0)); ready(l.getsockname()[1]); c = [l.accept()[0] for _ in range(3)]\n"
        "l.close(); e = select.epoll(); by = {s.fileno(): s for s in c}\n"
        "for s in c: e.register(s, select.EPOLLIN)\n"
        "while True:\n for fd, _ in e.poll(): by[fd].recv(100)"
    )
    target = world.python(serve)
    port = target.words[0]
    quiet = "s = socket.create_connection(('127.0.0.1', int(ARGS[0]))); ready(); rest()"
    talks = _TOLD + quiet.replace("rest()", "\nwhile signal.sigwait([signal.SIGUSR1]): s.send(b'x')")
    clients = [world.python(code, port) for code in (quiet, talks, quiet)]
    why = _asked(world, monkeypatch, target, clients[1])
    assert why.chain is not None
    assert [holder.task.pid for holder in why.chain.holders if holder.woke_last] == [clients[1].pid], report(why)


@pytest.mark.needs("ebpf")
def test_an_interrupt_in_the_call_of_a_writer_is_not_the_writer(world: World) -> None:
    """Both are on one CPU: the timer of the one that polls comes while the other one writes to that very pipe."""
    cpu = min(os.sched_getaffinity(0))
    pinned = f"os.sched_setaffinity(0, [{cpu}]); p = select.poll(); p.register(int(ARGS[0]), 0)\n"
    reading, writing, _ = world.pipe()
    writes = pinned + "os.set_blocking(int(ARGS[0]), False); ready()\nwhile True:\n try: os.write(int(ARGS[0]), b'x')\n"
    writer = world.python(writes + " except BlockingIOError: pass", writing, fds=(writing,))
    target = world.python(pinned + "ready()\nwhile True: p.poll(1)", reading, fds=(reading,))  # for its end alone
    close(reading, writing)
    watch = wakes.WakeWatch([target.pid])
    try:
        found: dict[bool, int] = {}  # in others, too, that have this CPU now and then

        def in_the_writer() -> bool:
            if (wake := watch.read().get(target.pid)) is not None and wake.pid == writer.pid:
                found[wake.interrupted] = found.get(wake.interrupted, 0) + 1
            return bool(found)

        world.until(in_the_writer, "no timer came in a call of the writer")
        assert list(found) == [True]
    finally:
        watch.close()


def test_what_was_about_something_else_proves_nothing(world: World) -> None:
    """As an interrupt leaves it that wakes the reader while one of the writers is in a call of its own."""
    reading, writing, _ = world.pipe()
    writers = [world.python(SLEEPER, writing, fds=(writing,)) for _ in range(2)]
    target = world.python(READER, reading, fds=(reading,))
    close(reading, writing)
    world.rests(target.pid, *(role.pid for role in writers))
    look = ProcSnapshot(ProcReader())
    chain = ChainBuilder(look).build(target.pid, target.pid)
    assert {holder.relation for holder in chain.holders} == {ONE_OF}

    def by(call: str, argument: int, interrupted: bool = False) -> Node:
        found = Wakers()
        pid = writers[1].pid
        wake = wakes.LastWake(
            pid=pid, tid=pid, call=call, argument=argument, monotonic_ns=0, wakes=1, interrupted=interrupted
        )
        found.last = {target.pid: wake}
        return marked(look, chain, found)

    for call, argument in (("write", 0), ("write", 999), ("futex", 0x7F00), ("sendto", 1)):
        assert by(call, argument) == chain
    assert by("write", writing, interrupted=True) == chain
    assert by("write", writing).holders[0].woke_last
    assert by("write", writing).holders[0].task.pid == writers[1].pid


def test_nothing_is_loaded_unless_it_is_asked_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(tids: object) -> None:
        raise AssertionError("loaded")

    monkeypatch.setattr(wakes, "WakeWatch", fail)
    target = world.python(SLEEPER)
    world.rests(target.pid)
    assert why_process(target.pid, 10_000_000).verdict == "idle"


def test_where_it_is_refused_that_is_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(tids: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(wakes, "WakeWatch", refuse)
    target = world.python(SLEEPER)
    assert "who wakes whom (Operation not permitted)" in why_process(target.pid, 10_000_000, wakes=True).not_seen

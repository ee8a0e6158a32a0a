"""Waits with several ways out: nobody is blamed for what anybody may end, and a deadlock has no way out at all.

Of `waits/holders/ways.py`, `waits/holders/watched.py` and `waits/verdict/ends.py`.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from why_stages import READER, SLEEPER
from why_world import Role, World, close

from straced.views.why.report import report, sentence
from straced.waits.model import Why, walk
from straced.waits.process import why_process

_WINDOW_NS = 100_000_000
_MAKE = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def timer(seconds):
    fd = libc.timerfd_create(1, 0); libc.timerfd_settime(fd, 0, (ctypes.c_long * 4)(0, 0, seconds, 0), None); return fd
def watch():
    fd = libc.inotify_init(); libc.inotify_add_watch(fd, b'/', 0x100); return fd
def signals(bit):
    mask = (ctypes.c_ulong * 16)(1 << bit); libc.sigprocmask(0, mask, None); return libc.signalfd(-1, mask, 0)
def queue():
    libc.mq_open.restype = ctypes.c_int
    fd = libc.mq_open(f'/straced-{os.getpid()}'.encode(), 0o102, 0o600, None)
    libc.mq_unlink(f'/straced-{os.getpid()}'.encode()) if fd >= 0 else sys.exit(1)
    return fd
"""
_OTHERS = {
    "inotify": ("watch()", "a change of a watched file (inotify)"),
    "timerfd": ("timer(300)", "its timer (timerfd, "),
    "signalfd": ("signals(9)", "a signal"),
    "eventfd": ("os.eventfd(0)", "an eventfd"),
    "queue": ("queue()", "a message on the POSIX queue /straced-"),
    "pidfd": ("os.pidfd_open(os.getppid())", f"{os.getpid()} ("),
}


def _ask(pid: int) -> Why:
    return why_process(pid, _WINDOW_NS)


def _names(why: Why) -> set[int]:
    assert why.chain is not None
    return {node.task.pid for node in walk(why.chain)}


def _forked(world: World, fd: str) -> tuple[Role, int]:
    """A process that polls a socket pair with its child, and something else; the child reads the other end."""
    code = f"""{_MAKE}
fd = {fd}
ours, theirs = socket.socketpair()
child = os.fork()
if child == 0:
    ours.close(); theirs.recv(1); os._exit(0)
theirs.close()
epoll = select.epoll(); epoll.register(fd, 1); epoll.register(ours, 1)
ready(child); epoll.poll()
"""
    target = world.python(code)
    child = int(target.words[0])
    world.rests_in(("epoll_wait",), target.pid)
    world.rests_in(("recvfrom",), child)
    return target, child


@pytest.mark.parametrize("kind", _OTHERS)
def test_what_anybody_may_end_is_nobodys_fault(kind: str, world: World) -> None:
    """Who watches one thing more beside a socket is not held up by the socket's other end alone."""
    target, child = _forked(world, _OTHERS[kind][0])
    why = _ask(target.pid)
    assert (why.verdict, why.root_cause, why.deadlock) == ("idle", None, False), report(why)
    assert "one of: " in sentence(why), sentence(why)
    assert {f"{child} (", _OTHERS[kind][1]} <= {
        text for text in (f"{child} (", _OTHERS[kind][1]) if text in sentence(why)
    }
    worker = _ask(child)
    assert (worker.verdict, worker.root_cause, worker.deadlock) == ("idle", None, False), report(worker)
    assert "root cause" not in report(why) + report(worker)


@pytest.mark.needs("root")
@pytest.mark.parametrize("fd", ["timer(0)", "disarmed()"])
def test_what_is_disarmed_ends_nothing(fd: str, world: World) -> None:
    """A timer that is not set, a descriptor that EPOLLONESHOT has switched off: the socket alone is waited for."""
    other = "\ndef disarmed():\n r, w = os.pipe(); return r\n"
    code = f"""{_MAKE}{other}
ours, theirs = socket.socketpair(); fd = {fd}
child = os.fork() or rest()
theirs.close()
epoll = select.epoll(); epoll.register(fd, 0 if ARGS[0] == 'disarmed()' else 1); epoll.register(ours, 1)
if ARGS[0] == 'disarmed()': epoll.modify(fd, select.EPOLLONESHOT | 1)
ready(child); epoll.poll()
"""
    if fd == "disarmed()":
        code = code.replace("r, w = os.pipe(); return r", "r, w = os.pipe(); os.write(w, b'x'); return r").replace(
            "ready(child)", "assert epoll.poll(0); ready(child)"
        )
    target = world.python(code, fd)
    world.rests_in(("epoll_wait",), target.pid)
    why = _ask(target.pid)
    assert why.root_cause is not None, report(why)
    assert (why.verdict, why.root_cause.task.pid) == ("stuck", int(target.words[0]))


def test_tail_and_grep_wait_for_the_file(world: World) -> None:
    """tail watches its output for its end only, and the file by inotify; grep waits for tail."""
    path = world.directory / "growing.log"
    path.write_text("")
    shell = world.command("sh", "-c", f"tail -F '{path}' | grep --line-buffered x | cat; true", stderr=-3)

    def members() -> dict[str, int]:
        pids = Path(f"/proc/{shell.pid}/task/{shell.pid}/children").read_text().split()
        return {Path(f"/proc/{pid}/comm").read_text().strip(): int(pid) for pid in pids}

    world.until(lambda: set(members()) == {"tail", "grep", "cat"}, "the pipeline is not complete")
    world.rests(*members().values())
    for name, pid in members().items():
        why = _ask(pid)
        assert (why.verdict, why.deadlock, why.root_cause) == ("idle", False, None), (name, report(why))
    assert "inotify" in sentence(_ask(members()["tail"]))


def test_a_pipe_that_tells_of_the_parents_end(world: World) -> None:
    """Two workers watch for the end of the one that started them, as PostgreSQL's do: it does not hold them up."""
    code = f"""{_MAKE}
r, w = os.pipe()
def work():
    os.close(w); fd = signals(22)
    epoll = select.epoll(); epoll.register(fd, 1); epoll.register(r, 1); epoll.poll(); os._exit(0)
workers = [os.fork() or work() for _ in range(2)]
os.close(r); ready(*workers); rest()
"""
    parent = world.python(code)
    workers = [int(word) for word in parent.words]
    world.rests_in(("epoll_wait",), *workers)
    for worker in workers:
        why = _ask(worker)
        assert (why.verdict, _names(why)) == ("idle", {worker}), report(why)
        assert "a signal" in sentence(why)


def test_a_latch_and_a_title(world: World) -> None:
    """A backend that says of itself that it waits is stuck, nobody is blamed, and the next step is the database's."""
    code = f"""{_MAKE}
open('/proc/self/comm', 'w').write('postgres')
r, w = os.pipe(); children = []
for title in ('UPDATE waiting', 'idle'):
    children.append(os.fork())
    if children[-1] == 0:
        os.close(w)
        os.execv(sys.executable, [f'postgres: app db [local] {{title}}', '-I', '-S', '-c', ARGS[0], str(r)])
os.close(r); ready(*children); rest()
"""
    backend = f"""import os, select, sys
{_MAKE}
open('/proc/self/comm', 'w').write('postgres')
epoll = select.epoll(); epoll.register(signals(22), 1); epoll.register(int(sys.argv[1]), 1); epoll.poll()
"""
    parent = world.python(code.replace("r, w = os.pipe()", "r, w = os.pipe(); os.set_inheritable(r, True)"), backend)
    waiting, idle = (int(word) for word in parent.words)
    world.rests_in(("epoll_wait",), waiting, idle)
    why = _ask(waiting)
    assert (why.verdict, _names(why), why.root_cause) == ("stuck", {waiting}, None), report(why)
    assert 'its latch, which any process of its server may set; its title says "UPDATE waiting"' in sentence(why)
    assert why.next == f"SELECT pg_blocking_pids({waiting})"
    assert _ask(idle).verdict == "idle"


def test_a_circle_with_a_way_out_is_no_deadlock(world: World) -> None:
    """Two processes read from each other; one of them would also go on for a signal."""
    first, second = world.pipe(), world.pipe()
    code = f"{_MAKE}\nfd = signals(9); ready(); select.select([int(ARGS[0]), fd], [], [])"
    one = world.python(code, first[0], fds=(first[0], second[1]))
    other = world.python(READER, second[0], fds=(second[0], first[1]))
    close(*first[:2], *second[:2])
    world.rests_in(("read",), other.pid)
    world.rests(one.pid)
    for pid in (one.pid, other.pid):
        why = _ask(pid)
        assert not why.deadlock, report(why)
        assert "deadlock" not in report(why)
        assert why.root_cause is None


def test_a_thread_that_could_act_is_a_way_out(world: World) -> None:
    """The other process has a second thread: it may write, though the first one waits for the reader."""
    first, second = world.pipe(), world.pipe()
    code = "threading.Thread(target=lambda: os.read(int(ARGS[0]), 1)).start(); ready(); rest()"
    other = world.python(code, second[0], fds=(second[0], first[1]))
    target = world.python(READER, first[0], fds=(first[0], second[1]))
    close(*first[:2], *second[:2])
    world.rests(target.pid, other.pid)
    why = _ask(target.pid)
    assert (why.verdict, why.deadlock) == ("stuck", False), report(why)
    assert "one of the threads" in sentence(why)


@pytest.mark.needs("root")
def test_a_root_cause_is_claimed_where_it_is_proven(world: World) -> None:
    """A stopped reader is one; of two writers neither is."""
    reading, writing, _ = world.pipe()
    writers = [world.python(SLEEPER, fds=(writing,)) for _ in range(2)]
    target = world.python(READER, reading, fds=(reading,))
    close(reading, writing)
    world.rests(target.pid, *(each.pid for each in writers))
    why = _ask(target.pid)
    assert why.root_cause is None
    assert {root.end for root in why.roots} == {"one of"}, report(why)
    writers[0].process.kill()
    writers[0].process.wait(10)
    os.kill(writers[1].pid, signal.SIGSTOP)
    world.rests(writers[1].pid, states="T")
    why = _ask(target.pid)
    assert why.root_cause is not None
    assert (why.root_cause.task.pid, why.root_cause.end) == (writers[1].pid, "root cause")
    assert "<- root cause" in report(why)


def test_who_shares_an_eventfd_may_write_it(world: World) -> None:
    """Two processes have it, beside a socket of one: each may end the wait."""
    code = f"""{_MAKE}
fd = os.eventfd(0); ours, theirs = socket.socketpair()
def sleep(*closed):
    for one in closed: one.close()
    rest()
first = os.fork() or sleep(ours)
theirs.close()
second = os.fork() or sleep(ours)
epoll = select.epoll(); epoll.register(fd, 1); epoll.register(ours, 1)
ready(first, second); epoll.poll()
"""
    target = world.python(code)
    first, second = (int(word) for word in target.words)
    world.rests_in(("epoll_wait",), target.pid)
    world.rests(first, second)
    why = _ask(target.pid)
    assert (why.verdict, _names(why)) == ("idle", {target.pid, first, second}), report(why)

"""One thread is asked about: what the others of its process do is no answer to that.

Of `waits/threads.py`.
"""

from __future__ import annotations

import os

from why_world import Role, World

from straced.linux import procfs
from straced.views.why.report import report, sentence
from straced.waits.process import why_process
from straced.waits.threads import stuck_threads

_BESIDE = """
def wait():
    ready(threading.get_native_id())
    file = open(ARGS[0], 'w')
    fcntl.flock(file, fcntl.LOCK_EX)
threading.Thread(target=wait, daemon=True).start()
while True: sum(range(1000))
"""
_HOLDS = "file = open(ARGS[0], 'w'); fcntl.flock(file, fcntl.LOCK_EX); ready(); rest()"
_WINDOW_NS = 300_000_000


def test_a_thread_that_is_stuck_beside_a_busy_one(world: World) -> None:
    lock = world.directory / "lock"
    holder = world.python(_HOLDS, lock)
    target = world.python(_BESIDE, lock)
    thread = int(target.words[0])
    world.until(lambda: procfs.read(f"{target.pid}/task/{thread}/wchan").startswith(b"locks_"), "it has the lock")
    why = why_process(thread, _WINDOW_NS)
    assert why.verdict == "stuck", report(why)
    assert [root.task.pid for root in why.roots] == [holder.pid]
    keys = [(target.pid, target.pid), (target.pid, thread), (holder.pid, holder.pid)]
    found = stuck_threads(_WINDOW_NS, keys)
    assert [each.chain.task.tid for each in found if each.chain is not None] == [thread]


_CAUGHT = """
import ctypes
lock = ctypes.CDLL(None).pthread_mutex_lock
both = threading.Barrier(2)
def take(first, second):
    if ARGS: os.read(int(ARGS[0]), 1)
    lock(first)
    both.wait()
    lock(second)
one, other = (ctypes.c_byte * 40)(), (ctypes.c_byte * 40)()
for pair in ((one, other), (other, one)): threading.Thread(target=take, args=pair, daemon=True).start()
ready(ctypes.addressof(one), ctypes.addressof(other))
while True: sum(range(1000))
"""


def _are_caught(target: Role) -> bool:
    """Whether each of the two mutexes is waited for; on the way there the threads wait for Python's own lock, too."""
    waits = [procfs.read(f"{target.pid}/task/{tid}/syscall").split() for tid in procfs.tasks(target.pid)]
    return {int(words[1], 16) for words in waits if len(words) > 1} >= {int(word) for word in target.words}


def test_a_deadlock_beside_a_busy_thread(world: World) -> None:
    """It is proven, and never ends: that the process computes meanwhile is the smaller news."""
    target = world.python(_CAUGHT)
    world.until(lambda: _are_caught(target), "they do not wait for each other")
    why = why_process(target.pid, _WINDOW_NS)
    assert (why.verdict, why.deadlock) == ("stuck", True), report(why)
    assert sentence(why).startswith("thread ")
    assert sentence(why).endswith(": a deadlock.")


def test_a_deadlock_that_begins_while_it_is_watched(world: World) -> None:
    """Its threads ran in the window: what they wait for at its end proves it all the same."""
    reading, writing = os.pipe()
    target = world.python(_CAUGHT, reading, fds=(reading,))
    os.close(reading)

    def begin(*_: object) -> None:
        os.write(writing, b"xx")
        world.until(lambda: _are_caught(target), "they do not wait for each other")

    with os.fdopen(writing, "wb"):
        why = why_process(target.pid, _WINDOW_NS, sharpen=begin, eager=True)
    assert (why.verdict, why.deadlock) == ("stuck", True), report(why)

"""Ctrl-S: a program whose output a person stopped is not held up by the terminal emulator, which has read it all.

Of `linux/terminals.py`.
"""

from __future__ import annotations

import os

from tests.support.poll import until
from why_world import World

from straced.linux import procfs
from straced.linux.terminals import unread_bytes
from straced.waits.process import why_process

EMULATOR = """
import pty, select, threading
leader, follower = os.openpty(); os.set_inheritable(follower, True)
def show():
    while True: os.read(leader, 65536)
ready(os.ttyname(follower), leader)
while not os.path.exists(ARGS[0]): select.select([leader], [], [], 0.002)[0] and os.read(leader, 65536)
os.write(leader, b'\\x13')
show()
"""
WRITER = "fd = os.open(ARGS[0], os.O_RDWR | os.O_NOCTTY); ready()\nwhile True: os.write(fd, b'x' * 4096)"


def is_stuck(pid: int) -> bool:
    """Whether a process has slept in one write(2) over two looks at it."""
    before = procfs.read(f"{pid}/status")
    return procfs.stat(pid).state == "S" and procfs.read(f"{pid}/status") == before


def test_who_pressed_ctrl_s_is_to_press_ctrl_q(world: World) -> None:
    stop = world.directory / "stop"
    emulator = world.python(EMULATOR, stop)
    name, leader = emulator.words
    writer = world.python(WRITER, name)
    stop.touch()

    def stopped() -> bool:
        return unread_bytes(emulator.pid, int(leader)) == 0 and is_stuck(writer.pid)

    until(stopped, 10, "the output is stopped, and all of it read")
    why = why_process(writer.pid, 10**8)
    assert why.verdict == "stuck"
    assert [root.task.pid for root in why.roots] == [writer.pid]
    assert why.next == f"press Ctrl-Q at {name}: its output was stopped there (Ctrl-S)"


def test_what_is_unread_at_a_master_side() -> None:
    leader, follower = os.openpty()
    try:
        assert unread_bytes(os.getpid(), leader) == 0
        os.write(follower, b"seven\r\n")
        until(lambda: unread_bytes(os.getpid(), leader) == 8, 5, "the line discipline makes it eight")
        assert unread_bytes(os.getpid(), 10**6) is None
    finally:
        os.close(leader)
        os.close(follower)
    assert unread_bytes(0, 0) is None

"""Ctrl-S: a program whose output a person stopped is not held up by the terminal emulator, which has read it all.

Of `linux/terminals.py`.
"""

from __future__ import annotations

import os

from tests.support.poll import until
from why_world import World

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
open(ARGS[0] + '.pressed', 'w').close()
show()
"""
WRITER = "fd = os.open(ARGS[0], os.O_RDWR | os.O_NOCTTY); ready()\nwhile True: os.write(fd, b'x' * 4096)"


def test_who_pressed_ctrl_s_is_to_press_ctrl_q(world: World) -> None:
    stop = world.directory / "stop"
    emulator = world.python(EMULATOR, stop)
    name, leader = emulator.words
    writer = world.python(WRITER, name)
    stop.touch()

    def all_read() -> bool:
        return unread_bytes(emulator.pid, int(leader)) == 0

    def stopped() -> bool:
        return all_read() and world.is_at_rest(writer.pid, "S") and all_read()

    world.until((world.directory / "stop.pressed").exists, "nobody pressed Ctrl-S")
    world.until(stopped, "the output is not stopped, or not all of it is read")
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

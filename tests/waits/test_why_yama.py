"""Yama's ptrace_scope 1, the everyday case: calls and memory are refused, kernel functions and descriptors are not.

Of `waits/classify/by_wchan.py`.
"""

from __future__ import annotations

import pytest
import why_more_stages  # noqa: F401, registers its stages
import why_net_stages  # noqa: F401, registers its stages
from why_grade import grade
from why_stages import STAGES
from why_world import World, yama_root

from straced.waits.process import why_process

_STILL_RIGHT = {
    "pipe_read",
    "chain_of_three",
    "unix_stream",
    "lock_flock",
    "lock_through_fork",
    "child_sleeps",
    "stopped",
    "traced",
    "zombie",
    "vfork_parent",
    "epoll_idle",
    "accepts",
    "busy",
    "spin_on_eagain",
    "pipeline_stopped",
    "python_queue",
}
_LESS = {
    "fifo_full",
    "pipe_write",
    "mutex_deadlock",
    "shared_mutex",
    "tcp_silent_peer",
    "lock_ofd",
    "terminal",
    "mixed_chain",
    "make_waits_for_token",
    "unix_backlog",
    "waits_for_io_uring",
    "futex_of_unknown_layout",
}


@pytest.mark.parametrize("name", sorted(_STILL_RIGHT | _LESS))
def test_less_is_said_and_nothing_wrong(name: str, world: World) -> None:
    stage = STAGES[name](world)
    root = yama_root(world.directory / "proc", *stage.pids)
    word, text = grade(stage, why_process(stage.target, 50_000_000, root=root), may_say_less=True)
    assert word != "wrong", text
    if name in _STILL_RIGHT:
        assert word == "right", text

"""Ctrl-Z on the live screen: the shell has its terminal back, and ``fg`` brings the screen.

Of `views/tui/actions.py`.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.commands.top.test_terminal import LIMIT_S
from tests.commands.top.test_terminal_keys import named
from tests.commands.top.test_terminal_reports import top_of
from tests.support import proc
from tests.support.poll import until


def test_ctrl_z_gives_the_terminal_back_until_it_goes_on(tmp_path: Path) -> None:
    with named(tmp_path, "victim-one") as (victim,), top_of(victim) as line:
        line.write(b"\x1a")
        line.until(b"\x1b[?1049l")
        until(lambda: proc.state(line.pid) == "T", LIMIT_S, lambda: f"state {proc.state(line.pid)}")
        os.kill(line.pid, signal.SIGCONT)
        line.until(b"\x1b[?1049h")
        line.until(f"{victim.pid} ".encode())

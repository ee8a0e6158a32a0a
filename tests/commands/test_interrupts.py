"""Ctrl-C while straced still imports what a verb needs: quiet, and never lost.

Of `concurrency/interrupts.py` and `concurrency/stopping.py`.
"""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

IMPORTS = """
import os, signal, sys, weakref
from straced.concurrency import interrupts

class Slow:  # a module that asks for a signal while it is imported, as somebody who presses Ctrl-C then
    def find_spec(self, name, path, target=None):
        if name == {name!r}:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)
            for _ in range(1000): pass
        return None

sys.meta_path.insert(0, Slow())
from straced.commands import main
main({words!r})
"""


def interrupted_at(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    """The command line, with a SIGINT in the import of this module."""
    code = IMPORTS.format(name=name, words=words)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("straced.commands.group", ("attach", "TARGET")),
        ("click.core", ("attach", "TARGET")),
        ("straced.commands.attach", ("attach", "TARGET")),
        ("straced.workflows.attach", ("attach", "TARGET")),
        ("straced.profiling.profiler", ("attach", "TARGET")),
        ("straced.workflows.trace", ("trace", "--tracer", "strace", "TARGET")),
        ("straced.workflows.record", ("trace", "TARGET")),
        ("straced.workflows.doctor", ("doctor",)),
    ],
)
@pytest.mark.needs("ebpf")  # without rights, to attach ends by itself
def test_an_interrupted_import_is_quiet(name: str, words: tuple[str, ...]) -> None:
    """Of work that never ends by itself; who is attached by then says what was counted, with status 0."""
    with subprocess.Popen(["sleep", "600"]) as target:
        try:
            done = interrupted_at(name, *(str(target.pid) if word == "TARGET" else word for word in words))
        finally:
            target.kill()
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert done.returncode in (0, 130), done.stderr


def test_ctrl_c_before_the_loop_hears_of_it_stops_the_work() -> None:
    code = (
        "import asyncio, os, signal\n"
        "from straced.concurrency import stopping\n"
        "make = asyncio.new_event_loop\n"
        "def interrupted():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    return make()\n"
        "asyncio.events.new_event_loop = interrupted\n"
        "async def work(requests):\n"
        "    await requests.event.wait()\n"
        "    return 7\n"
        "print(stopping.run(work))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("7\n", "")


def test_a_handler_of_somebody_else_stays() -> None:
    code = (
        "import signal\n"
        "from straced.concurrency import interrupts\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "interrupts.install()\n"
        "interrupts.let_die()\n"
        "assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


HELD = """
import os, signal
from straced.concurrency import interrupts

interrupts.install()
try:
    with interrupts.held():
        os.kill(os.getpid(), signal.SIGINT)
        print("whole")
except KeyboardInterrupt:
    print("then")
"""


def test_what_would_be_left_half_done_is_done_first() -> None:
    done = subprocess.run([sys.executable, "-c", HELD], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("whole\nthen\n", "")


CANCELLED = """
import asyncio, os, signal
from straced.concurrency import interrupts, stopping

async def work():
    try:
        os.kill(os.getpid(), signal.SIGINT)
        print("not here")
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        print("cleaned up")
        raise

interrupts.install()
before = signal.getsignal(signal.SIGINT)
try:
    stopping.cancelled_by_ctrl_c(work())
except KeyboardInterrupt:
    print("then", signal.getsignal(signal.SIGINT) is before)
"""


def test_ctrl_c_cancels_the_work_of_a_loop() -> None:
    """Not raised where it happens to be: what it awaits cleans up, as with ``asyncio.run``."""
    done = subprocess.run([sys.executable, "-c", CANCELLED], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("not here\ncleaned up\nthen True\n", "")

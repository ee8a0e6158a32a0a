"""The process that the guard keeps ready to become the next strace: harmless, replaceable, and never in the way.

Of `tracers/strace/guard/prefork.py` and `tracers/strace/guard/calibrate.py`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from straced import StraceManager
from straced.errors import OwnProcess
from straced.tracers.strace import guard as guard_folder
from straced.tracers.strace.own_helpers import own_helpers
from tests.support import proc
from tests.support.owner import start_owner
from tests.support.poll import auntil, until
from tests.support.workload import Starter

pytestmark = pytest.mark.needs("strace", "cc")


def guards(owner: int) -> list[int]:
    return [pid for pid in proc.children(owner) if "guard" in " ".join(proc.cmdline(pid)) and proc.alive(pid)]


def spare(owner: int) -> int:
    """The one that waits; 0 for none."""
    below = [pid for guard in guards(owner) for pid in proc.children(guard)]
    # Its name comes first, then it closes what it has inherited, then it waits.
    ready = [pid for pid in below if proc.comm(pid) == "straced-spare" and len(proc.fds(pid)) == 5]
    return ready[0] if ready else 0


async def next_spare() -> int:
    return await auntil(lambda: spare(os.getpid()), what="a spare waits")


@pytest.fixture
async def measured(manager: StraceManager, start: Starter) -> StraceManager:
    """A manager that knows what a traced call costs: measuring that, once in the background, takes a spare too."""
    target = start("tick")
    cost = None
    while cost is None:
        assert await manager.attach(target.pid), manager.last_error(target.pid)
        before = target.ticks()
        await auntil(lambda: target.ticks() > before + 2)  # noqa: B023
        summary = await manager.detach(target.pid)
        assert summary is not None
        cost = summary["quality"]["overhead"]["ns_per_call"]
    target.kill()
    return manager


def facts(strace: int) -> dict[str, object]:
    """What must not depend on how a strace came to be."""
    fds = {number: what.partition(":")[0] for number, what in proc.fds(strace).items()}
    signals = {key: proc.status(strace, key) for key in ("SigBlk", "SigIgn", "SigCgt", "SigPnd")}
    place = {"leads its session": proc.session(strace) == strace, "cwd": os.readlink(f"/proc/{strace}/cwd")}
    return {**fds, **signals, **place, "argv": proc.cmdline(strace)}


async def test_the_spare_becomes_the_next_strace(measured: StraceManager, start: Starter) -> None:
    target = start("tick")
    assert await measured.attach(target.pid)
    (first,) = measured.get_strace_pids()
    waiting = await next_spare()
    fresh = facts(first)
    assert await measured.detach(target.pid) is not None
    assert await measured.attach(target.pid)
    assert measured.get_strace_pids() == [waiting]
    await auntil(lambda: facts(waiting) == fresh, what=lambda: f"{facts(waiting)} is {fresh}")


async def test_the_spare_holds_nothing_of_the_guard(measured: StraceManager, start: Starter) -> None:
    """A pipe whose writing end it held would never come to its end."""
    target = start("tick")
    assert await measured.attach(target.pid)
    held = proc.fds(await next_spare())
    assert [held[number] for number in (0, 1, 2)] == ["/dev/null"] * 3
    assert set(held) == {0, 1, 2, 3, 4}
    assert held[3].startswith("socket:"), "for the order"
    assert held[4].startswith("pipe:"), "of which the guard has the other end"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP])
async def test_a_spare_that_is_killed_or_stopped_costs_no_attach(
    measured: StraceManager, start: Starter, number: signal.Signals
) -> None:
    target = start("n", 20)
    assert await measured.attach(target.pid)
    for _ in range(3):
        waiting = await next_spare()
        assert await measured.detach(target.pid) is not None
        os.kill(start.owns(waiting), number)
        if number != signal.SIGSTOP:
            await auntil(lambda: not proc.alive(waiting), what="it is gone")  # noqa: B023
        assert await measured.attach(target.pid), measured.last_error(target.pid)
    await target.work()
    summary = await measured.detach(target.pid)
    assert summary is not None
    assert summary["syscall_counts"]["getppid"] == 20


async def test_the_spare_is_no_target(measured: StraceManager, start: Starter) -> None:
    target = start("tick")
    assert await measured.attach(target.pid)
    waiting = await next_spare()
    await auntil(lambda: waiting in own_helpers(), what="the owner knows of it")
    assert waiting not in own_helpers(idle=False)
    assert await measured.attach(waiting), "there is nothing to do"
    assert measured.last_error(waiting) is None
    assert proc.tracer(waiting) == 0
    assert measured.attached_pids == [target.pid]
    with pytest.raises(OwnProcess):
        await measured._profiler.attach(waiting)


@pytest.mark.parametrize("victim", ["owner", "guard", "both"])
def test_the_spare_dies_with_those_it_serves(start: Starter, victim: str) -> None:
    target = start("tick")
    owner = start_owner(
        start,
        """
        async def main():
            manager = StraceManager()
            pid, cost = int(os.environ["TARGET"]), None
            while cost is None:  # measuring that, in the background, takes a spare too
                assert await manager.attach(pid)
                await asyncio.sleep(0.01)
                cost = (await manager.detach(pid))["quality"]["overhead"]["ns_per_call"]
            assert await manager.attach(pid)
            say("attached"); await ahear()
        asyncio.run(main())
        """,
        env={"TARGET": str(target.pid)},
    )
    owner.channel.expect("attached")
    (guard,) = guards(owner.pid)
    waiting = until(lambda: spare(owner.pid), what="a spare waits")
    if victim in ("owner", "both"):
        owner.signal(signal.SIGKILL)
    if victim in ("guard", "both"):
        os.kill(start.owns(guard), signal.SIGKILL)
    until(lambda: not proc.alive(waiting), 3, "the spare is gone")
    until(target.untraced, 3)
    assert target.runs()


async def test_the_spare_goes_when_the_owner_is_done(measured: StraceManager, start: Starter) -> None:
    target = start("tick")
    assert await measured.attach(target.pid)
    waiting = await next_spare()
    await measured.detach_all()
    await auntil(lambda: proc.state(waiting) == "", 3, "the spare is gone, and reaped by the guard")


HUNG_UP_ON = """
import os, socket, sys
sys.path.insert(0, sys.argv[1])
import loop
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
guard = loop.Guard(theirs.detach(), os.pidfd_open(os.getppid()))
make = guard.spares.make
def made(now):
    done = make(now)
    if done:
        ours.shutdown(socket.SHUT_RDWR)
    return done
guard.spares.make, guard.spares.due = made, 0
guard.run()
assert guard.leaving and guard.spares.waiting is None
"""


def test_an_owner_that_hangs_up_while_a_spare_is_made_is_noticed() -> None:
    """The guard learns it from what it can not say, and then nothing else would have woken it."""
    folder = os.path.dirname(guard_folder.__file__)
    done = subprocess.run([sys.executable, "-I", "-c", HUNG_UP_ON, folder], timeout=20, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")

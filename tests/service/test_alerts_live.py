"""Alerts of a real service about real processes, and what they start.

Of `service/alerts/announcer.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import stat
import sys
from pathlib import Path

import pytest

from straced.client.client import Client
from straced.ipc.messages import Select
from straced.linux.host_reader import census
from straced.model.history import KeptAlert
from tests.service.daemon import serving
from tests.service.needs import needs_ebpf
from tests.service.processes import READY, running
from tests.support.poll import until

pytestmark = needs_ebpf
GO = "sys.stdin.readline()\n"
IDLE = "import select\nwhile not select.select([sys.stdin], [], [], 0.05)[0]: pass\n"  # calls that can be learnt
FILES = READY + "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))\n" + GO
SCRIPTS = {
    "fds": FILES + "kept = [os.open('/dev/null', 0) for _ in range(30)]\n" + GO,
    "cpu": READY + GO + "while True: pass",
    "zombies": READY + GO + "for _ in range(300):\n    if os.fork() == 0: os._exit(0)\n" + GO,
    "new_syscall": READY + IDLE + GO + "os.sync()\n" + GO,
    "new_errno": READY + IDLE + GO + "try: os.stat('/none')\nexcept OSError: pass\n" + GO,
    "error_shift": READY
    + "import select\nwhile not select.select([sys.stdin], [], [], 0.01)[0]:\n    for _ in range(100): os.getppid()\n"
    + GO
    + "while True:\n    try: os.close(999)\n    except OSError: pass\n    time.sleep(0.001)",
}
CONFIG = """
[alerts]
cooldown = "1h"
cpu_pct = 5
cpu_for = "400ms"
zombies = {zombies}
learn = "1s"
stuck = "600ms"
uninterruptible = "400ms"
"""


async def opened(client: Client, kind: str, pid: int | None, what: str = "") -> KeptAlert:
    """Wait for an alert."""
    async with asyncio.timeout(30):
        while True:
            for alert in await client.alerts(Select()):
                if alert.kind == kind and pid in (None, alert.pid) and what in alert.text:
                    return alert
            await asyncio.sleep(0.05)


async def ticks(client: Client, count: int) -> None:
    """So many samples more."""
    until = (await client.status()).ticks + count
    while (await client.status()).ticks < until:
        await asyncio.sleep(0.02)


async def test_each_kind_opens_once_and_closes_once(tmp_path: Path) -> None:
    """A process for each kind of trouble, which begins it when told to, and ends."""
    until(lambda: census()[1] < 100, 30)  # those of earlier tests, which pid 1 may reap late
    config = CONFIG.format(zombies=census()[1] + 150)
    with contextlib.ExitStack() as stack:
        every = {kind: stack.enter_context(running(code)) for kind, code in SCRIPTS.items()}
        rules = [f'[[watch]]\ntarget = "{each.pid}"\nlabels = {{job = "live"}}\n' for each in every.values()]
        daemon = stack.enter_context(serving(tmp_path, "".join(rules) + config))
        async with daemon.client() as client:
            await ticks(client, 12)  # more than it takes to learn what is usual
            assert [alert.kind for alert in await client.alerts(Select()) if alert.pid is not None] == []
            found = {}
            for kind, process in every.items():
                process.stdin.write("go\n")  # type: ignore[union-attr]
                process.stdin.flush()  # type: ignore[union-attr]
                found[kind] = await opened(client, kind, process.pid if kind != "zombies" else None)
                assert found[kind].job == ("" if kind == "zombies" else "live")
            for process in every.values():
                process.kill()
                process.wait()
            async with asyncio.timeout(30):
                ids = {alert.id for alert in found.values()}
                while ids & {alert.id for alert in await client.alerts(Select(open_only=True))}:
                    await asyncio.sleep(0.05)
            kept = {alert.id: alert for alert in await client.alerts(Select())}
            for kind, alert in found.items():
                closed = kept[alert.id]
                assert (closed.kind, closed.opened) == (kind, alert.opened)
                assert closed.closed is not None
                assert closed.closed >= closed.opened


@pytest.mark.needs("strace")
async def test_stuck_says_why_and_starts_a_trace_and_a_command(tmp_path: Path) -> None:
    """A process waits for a lock: the alert names the holder, a bounded trace is taken, and counting goes on."""
    lock, told = tmp_path / "lock", tmp_path / "told"
    holder = f"import fcntl\nkept = open({str(lock)!r}, 'w')\nfcntl.flock(kept, 2)\n" + READY + GO
    waiter = (
        f"import ctypes, fcntl\ngetppid = ctypes.CDLL(None).getppid\nkept = open({str(lock)!r}, 'w')\n"
        + READY
        + GO
        + "for _ in range(503): getppid()\nfcntl.flock(kept, 2)\nfor _ in range(211): getppid()\n"
        + "print('done', flush=True)\n"
        + GO
    )
    command = ["/bin/sh", "-c", f"cat > {told}.new; mv {told}.new {told}"]
    reaction = (
        f'[on_alert]\nkinds = ["stuck"]\ntrace = {{seconds = 1, bytes = "1MB"}}\ncommand = {json.dumps(command)}\n'
    )
    with running(holder) as keeper, running(waiter) as process:
        watch = f'[[watch]]\ntarget = "{process.pid}"\n'
        with serving(tmp_path, watch + CONFIG.format(zombies=0) + reaction) as daemon:
            async with daemon.client() as client:
                await ticks(client, 2)
                process.stdin.write("go\n")  # type: ignore[union-attr]
                process.stdin.flush()  # type: ignore[union-attr]
                alert = await opened(client, "stuck", process.pid, str(keeper.pid))
                assert "is in flock" in alert.text
                assert "lock" in str(alert.data["why"])
                async with asyncio.timeout(30):
                    while not (taken := [e for e in await client.events(Select()) if e.kind.startswith("trace_")]):
                        await asyncio.sleep(0.05)
                    while not told.exists():
                        await asyncio.sleep(0.05)
                assert taken[0].kind == "trace_taken", taken[0].text
                assert json.loads(told.read_text())["kind"] == "stuck"
                (trace,) = (daemon.state / "traces").iterdir()
                assert stat.S_IMODE(trace.stat().st_mode) == 0o600
                assert "flock(" in trace.read_text()
                assert trace.read_text().startswith("# straced trace {")
                keeper.kill()
                keeper.wait()
                assert process.stdout is not None
                await asyncio.to_thread(process.stdout.readline)

                async def calls() -> int:
                    answer = await client.history(Select(pid=process.pid))
                    return next((row.calls or 0 for row in answer.rows if row.name == "getppid"), 0)

                async with asyncio.timeout(20):
                    while await calls() < 503 + 211:
                        await asyncio.sleep(0.05)
                assert await calls() == 503 + 211


@pytest.mark.needs("root", "setpriv")
async def test_the_verdict_is_the_owners_view(tmp_path: Path) -> None:
    """What the owner of a stuck process could not find out, its alert does not tell."""
    from straced.model.owner import Owner
    from straced.service.alerts.why_verdict import verdict_on

    os.chmod(tmp_path, 0o755)
    with running(READY + GO) as process:
        theirs = await verdict_on(process.pid, Owner(65534, 65534, False))
        ours = await verdict_on(process.pid, Owner(0, 0, False))
    assert "sudo" in theirs or "another user" in theirs
    assert "another user" not in ours
    assert ours.split("\n")[0].startswith(f"{process.pid} ({Path(sys.executable).name[:6]}")

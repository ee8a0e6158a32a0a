"""Alerts about threads that are stuck: from before the service, beside busy ones, in deadlocks; none of idle ones.

Of `service/alerts/still_threads.py`, `service/alerts/suspects.py` and `waits/threads.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from straced.client.client import Client
from straced.ipc.messages import Select
from straced.model.history import KeptAlert
from tests.service.daemon import serving
from tests.service.needs import needs_ebpf
from tests.service.processes import READY, running

pytestmark = needs_ebpf
CONFIG = '\n[alerts]\nstuck = "600ms"\nnew_syscalls = false\nnew_errnos = false\n'
_LOCKS = "import fcntl\nkept = open({lock!r}, 'w')\n"
HOLDER = _LOCKS + "fcntl.flock(kept, 2)\n" + READY + "time.sleep(600)"
_TWO = """
import ctypes, threading
both = threading.Barrier(2)
def take(first, second):
    lock(first)
    both.wait()
    lock(second)
def start(first, second):
    threads = [threading.Thread(target=take, args=pair, daemon=True) for pair in ((first, second), (second, first))]
    for each in threads: each.start()
    return threads
"""
_REST = "import select, socket, queue\ns = socket.create_server(('127.0.0.1', 0))\n"
STUCK = {
    "before": _LOCKS + READY + "fcntl.flock(kept, 2)",
    "beside": _LOCKS
    + "import threading\nthreading.Thread(target=lambda: fcntl.flock(kept, 2), daemon=True).start()\n"
    + READY
    + "while True: sum(range(1000))",
    "c": _TWO
    + "lock = ctypes.CDLL(None).pthread_mutex_lock\nstart((ctypes.c_byte * 40)(), (ctypes.c_byte * 40)())\n"
    + READY
    + "while True: time.sleep(0.01)",
    "python": _TWO
    + "def lock(one): one.acquire()\n"
    + "threads = start(threading.Lock(), threading.Lock())\n"
    + READY
    + "threads[0].join()",
}
IDLE = {
    "listens": _REST + READY + "s.accept()",
    "pool": _REST
    + "import threading\nwork = queue.Queue()\n"
    + "for _ in range(4): threading.Thread(target=work.get, daemon=True).start()\n"
    + READY
    + "s.accept()",
    "reads": READY + "sys.stdin.read()",
    "child": "import subprocess\n" + READY + "subprocess.Popen(['cat'], stdin=subprocess.PIPE).wait()",
}


async def _alerts(client: Client) -> list[KeptAlert]:
    return [alert for alert in await client.alerts(Select()) if alert.kind == "stuck"]


async def test_each_is_told_and_nobody_else(tmp_path: Path) -> None:
    """All of them stood still before the service was there."""
    lock = str(tmp_path / "lock")
    with contextlib.ExitStack() as stack:
        keeper = stack.enter_context(running(HOLDER.format(lock=lock)))
        stuck = {
            name: stack.enter_context(running(code.replace("{lock!r}", repr(lock)))) for name, code in STUCK.items()
        }
        idle = {name: stack.enter_context(running(code)) for name, code in IDLE.items()}
        pids = [each.pid for each in (keeper, *stuck.values(), *idle.values())]
        rules = "".join(f'[[watch]]\ntarget = "{pid}"\n' for pid in pids)
        daemon = stack.enter_context(serving(tmp_path, rules + CONFIG))
        async with daemon.client() as client, asyncio.timeout(60):
            wanted = {each.pid for each in stuck.values()}
            while not wanted <= {alert.pid for alert in await _alerts(client)}:
                await asyncio.sleep(0.05)
            told = {alert.pid: alert for alert in await _alerts(client)}
    by_name = {name: told[each.pid] for name, each in stuck.items()}
    assert set(told) == wanted
    assert f"{stuck['before'].pid} (" in by_name["before"].text
    assert "is in flock" in by_name["before"].text
    assert f"thread {by_name['beside'].data['tid']} (" in by_name["beside"].text
    assert by_name["beside"].data["tid"] != stuck["beside"].pid
    assert by_name["c"].text.partition(";")[2].startswith(" it is in futex: a deadlock")
    assert "is in futex" in by_name["python"].text

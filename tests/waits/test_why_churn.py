"""Processes that come and go while they are looked at: an answer or "gone", never a traceback.

Of `waits/pausing.py`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from why_require import need_root
from why_world import World

from straced import errors
from straced.views.why.overview import overview
from straced.views.why.report import report
from straced.waits.all_processes import why_everybody
from straced.waits.model import Why, walk
from straced.waits.process import why_process

_CHURN = """
ready()
while True:
    children = []
    for n in range(8):
        child = os.fork()
        if child == 0:
            r, w = os.pipe()
            t = threading.Thread(target=time.sleep, args=(0.002 * n,))
            t.start(); t.join()
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
"""


def test_everybody_while_processes_churn(world: World) -> None:
    world.python(_CHURN)
    world.python(_CHURN)
    deadline = time.monotonic() + 20  # each look is at all processes of the machine, however many others have there
    for _ in range(10):
        found = why_everybody(5_000_000)
        assert overview(found)
        assert all(answer.verdict for answer in found.processes)
        if time.monotonic() > deadline:
            break


def test_one_by_one_while_processes_churn(world: World) -> None:
    role = world.python(_CHURN)
    children = Path(f"/proc/{role.pid}/task/{role.pid}/children")
    outcomes: set[str] = set()
    missed = {"gone", "ended", "no such process"}
    asked, deadline = 0, time.monotonic() + 40
    while (asked < 150 or not outcomes & missed) and time.monotonic() < deadline:
        for word in children.read_text().split()[:1]:
            asked += 1
            try:
                why = why_process(int(word), 1_000_000)
                outcomes.add(why.verdict)
                assert not re.search(rf"\b{os.getpid()}\b", report(why))  # whole: 1234 is in 12345, too
            except errors.NoSuchProcess:
                outcomes.add("no such process")
    assert outcomes & missed, (asked, outcomes)


_RECONNECTS = """
port = int(ARGS[0])
ready()
while True:
    try:
        with socket.create_connection(('127.0.0.1', port)) as made:
            made.send(b'x')
            made.recv(1)
    except OSError:
        pass
"""
_LISTENS = """
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(('127.0.0.1', int(ARGS[0])))
listener.listen()
ready(listener.getsockname()[1])
kept = []
while True: kept.append(listener.accept())
"""


def test_a_server_that_restarts_while_its_client_is_asked_about(world: World) -> None:
    """Whoever is named is the client, or the server at that time; and in the end it is the last one."""
    server = world.python(_LISTENS, 0)
    port = server.words[0]
    client = world.python(_RECONNECTS, port)
    servers = [server.pid]
    answers: list[Why] = []
    enough = threading.Event()

    def ask() -> None:
        while not enough.is_set():
            answers.append(why_process(client.pid, 1_000_000))

    with ThreadPoolExecutor(1) as beside:
        asking = beside.submit(ask)
        try:
            for _ in range(5):
                server.process.kill()
                server.process.wait()
                server = world.python(_LISTENS, port)
                servers.append(server.pid)
                seen = len(answers)
                world.until(lambda seen=seen: len(answers) > seen or asking.done(), "nothing is answered")
        finally:
            enough.set()
        asking.result()
    named = {node.task.pid for why in answers for node in walk(why.chain)}
    assert client.pid in named
    assert named <= {client.pid, *servers}
    world.rests_in(("recvfrom",), client.pid)
    world.rests(server.pid)
    assert [root.task.pid for root in why_process(client.pid, 1_000_000).roots] == [server.pid]


_REUSE = """
import contextlib, os, signal, time
from straced.linux import procfs
from straced.waits.facts.activity import Meter
from straced.waits.facts.proc import ProcReader
from straced.waits.process import why_process

with contextlib.suppress(OSError):  # 10 ms without a break, however busy the machine is; not for those that it forks
    os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))

def tick():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 10_000_000

def begin(computes):
    pid = os.fork()
    while not pid:
        if not computes:
            time.sleep(600)
    return pid

def end(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)

def replace(pid):
    end(pid)
    with open("/proc/sys/kernel/ns_last_pid", "w") as file:
        file.write(str(pid - 1))
    return begin(True) == pid

def of_the_target():
    before, reused = tick(), []
    while tick() == before:  # one begins: both may have begun in it
        pass
    pid = begin(False)
    began = procfs.stat(pid).start_ticks
    verdict = why_process(pid, 5_000_000, sharpen=lambda pid, _: reused.append(replace(pid)), eager=True).verdict
    same_tick = procfs.stat(pid).start_ticks == began
    end(pid)
    return reused, verdict, same_tick

def of_a_holder():
    pid = begin(False)
    meter, began = Meter(ProcReader(), [(pid, pid)]), tick()
    while tick() == began:
        pass
    reused = replace(pid)
    while not procfs.stat(pid).utime_ticks:
        time.sleep(0.002)
    activity = meter.finish().tasks[pid, pid]
    end(pid)
    return reused, activity.switches, activity.cpu_pct

found, deadline = [of_the_target()], time.monotonic() + 30
while not found[-1][-1] and time.monotonic() < deadline:
    found.append(of_the_target())
print(all(reused == [True] for reused, *_ in found), {verdict for _, verdict, _ in found}, found[-1][-1])
print(*of_a_holder())
"""


def test_a_pid_that_another_process_has_by_then(world: World) -> None:
    """In a PID namespace, where the next pid can be chosen, once the first look is over: that one is gone.

    Also when both began in the same tick, which the start time does not tell apart. What the other one did is not taken
    for what the first one did, either: of a holder only that is compared.
    """
    need_root()
    command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", _REUSE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "True {'gone'} True\nTrue None None\n", done

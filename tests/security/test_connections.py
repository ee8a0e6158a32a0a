"""Connections: how many, how silent, how loud, and who does not read.

Of `service/api/accounts.py` and `concurrency/pacing.py`.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.security.hostile import BYSTANDER, HOSTILE, user
from tests.security.served import MEMORY_BYTES, SOAK, ends_in_time, others_are_served, peak
from tests.service.daemon import Daemon, serving
from tests.service.needs import needs_ebpf, needs_root
from tests.service.processes import READY, popen
from tests.support.poll import until

pytestmark = needs_root
SILENT = """
KEPT = []
for number in range(64):
    KEPT.append(dial())
    if number % 2 and sys.argv[2]:
        try:
            KEPT[-1].sendall(HELLO)
        except OSError:  # sent away already, to make room
            pass
ready()
"""


@pytest.mark.parametrize("after_hello", ["", "yes"])
def test_four_users_with_as_many_connections_as_they_may(daemon: Daemon, after_hello: str) -> None:
    """Root, and a user who has none yet, come in; who has not said hello is sent away."""
    users = [user(uid, SILENT, daemon.socket, after_hello) for uid in range(60001, 60005)]
    with users[0], users[1], users[2], users[3], others_are_served(daemon):
        pass
    ends_in_time(daemon)


def test_who_says_nothing_is_sent_away(public: Path) -> None:
    with serving(public, '[ipc]\n#\nhello_timeout = "0.3s"\nsilence_timeout = "0.5s"\n') as daemon:
        code = (
            "dial_only, quiet = dial(), greeted()\nprint('ready', flush=True)\n"
            "for sock in (dial_only, quiet):\n    print(json.dumps(list(lines(sock))), flush=True)\n"
            "drip = dial()\nbegan = time.monotonic()\n"
            "try:\n    while True:\n        drip.send(b' ')\n        time.sleep(0.05)\n"
            "except OSError:\n    print(time.monotonic() - began, flush=True)\nready()\n"
        )
        with user(HOSTILE, code, daemon.socket) as hostile:
            for why in ("no hello was received", "no request was received"):
                (word,) = json.loads(hostile.line())
                assert word["error"]["data"]["code"] == "timed_out"
                assert word["error"]["message"].startswith(why)
            assert float(hostile.line()) < 10


async def test_a_silent_client_of_the_library_is_connected_again(public: Path) -> None:
    with serving(public, '[ipc]\n#\nhello_timeout = "2s"\nsilence_timeout = "0.2s"\n') as daemon:
        async with daemon.client() as client, daemon.client() as other:
            assert client._reader is not None
            await client._reader  # until the service has closed it
            assert (await client.status()).clients <= 2
            assert client.welcome is not None
            await other.status()


UNREAD = """
socks = [greeted() for _ in range(60)]
print("ready", flush=True)
for sock in socks:
    sock.setblocking(False)
deadline = time.monotonic() + float(sys.argv[3])
while time.monotonic() < deadline:
    for sock in list(socks):
        try:
            sock.send(eval(sys.argv[2]))
        except BlockingIOError:
            pass
        except OSError:
            socks.remove(sock)
            try:
                socks.append(greeted())
                socks[-1].setblocking(False)
            except (OSError, AssertionError):
                pass
    time.sleep(0.001)
ready()
"""
FLOODS = {
    "answers": 'b"".join(ask(n, "status") for n in range(200))',
    "history": 'ask(1, "events", limit=100000) * 50',
    "newlines": 'b"\\n" * 65536',
    "small": 'b\'{"method":"x"}\\n\' * 4000',
    "half": 'b"x" * 65536',
    "large": 'ask(1, "session.wait", session=1, more="x" * 900000)',
    "subscribed": 'ask(1, "subscribe", topics=["ticks", "events", "alerts"]) * 100',
}


FLOOD_S = 4.0 if SOAK else 1.5


@pytest.mark.limit(120)
@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood(daemon: Daemon, flood: str) -> None:
    """Requests, and what is no request, on sixty connections of which nobody reads a word."""
    with others_are_served(daemon), user(HOSTILE, UNREAD, daemon.socket, FLOODS[flood], FLOOD_S):
        time.sleep(FLOOD_S)  # the time for which it has to hold
    assert daemon.process is not None
    assert peak(daemon.process.pid) <= MEMORY_BYTES
    assert daemon.log.stat().st_size < 100_000
    ends_in_time(daemon)


ATTACHING = """
import subprocess
targets = [subprocess.Popen(["/bin/sleep", "60"], stdout=subprocess.DEVNULL) for _ in range(60)]
socks = [greeted() for _ in range(6)]
for number in range(60):
    socks[number % 6].sendall(ask(100 + number, "attach", pid=targets[number].pid))
answers = []
for index, sock in enumerate(socks):
    for _, line in zip(range(10), lines(sock)):
        answers.append("result" if "result" in line else line["error"]["data"]["code"])
print("ready", flush=True)
print(json.dumps({each: answers.count(each) for each in set(answers)}), flush=True)
sys.stdin.readline()
for target in targets:
    target.kill()
    target.wait()
print("ended", flush=True)
"""


@needs_ebpf
def test_sessions_are_counted_before_they_are_begun(daemon: Daemon) -> None:
    with others_are_served(daemon), user(HOSTILE, ATTACHING, daemon.socket) as hostile:
        assert json.loads(hostile.line()) == {"result": 16, "too_much": 44}
        hostile.go_on()
        assert hostile.line() == "ended"
    ends_in_time(daemon)


CROWDING = """
import subprocess
target = subprocess.Popen(["/bin/sleep", "60"], stdout=subprocess.DEVNULL)
sock = greeted()
answers = []
for number in range(8):
    sock.sendall(ask(100 + number, "attach", pid=target.pid))
for _, line in zip(range(8), lines(sock)):
    answers.append("result" if "result" in line else line["error"]["data"]["code"])
print("ready", flush=True)
print(json.dumps({each: answers.count(each) for each in sorted(set(answers))}), flush=True)
print(target.pid, flush=True)
sys.stdin.readline()
target.kill()
target.wait()
print("ended", flush=True)
"""


@needs_ebpf
async def test_one_user_does_not_take_all_sessions_of_a_process(daemon: Daemon) -> None:
    """Each takes programs and maps of its own, 20 MB; root can still look at the process."""
    with user(HOSTILE, CROWDING, daemon.socket) as hostile:
        assert json.loads(hostile.line()) == {"result": 2, "too_much": 6}
        async with daemon.client() as client:
            session = await client.attach(int(hostile.line()))
            await session.detach()
        hostile.go_on()
        assert hostile.line() == "ended"
    assert daemon.process is not None
    assert peak(daemon.process.pid) <= MEMORY_BYTES
    ends_in_time(daemon)


@needs_ebpf
async def test_ended_sessions_are_not_kept_for_ever(daemon: Daemon) -> None:
    own = popen(["/usr/bin/python3", "-S", "-c", READY + "sys.stdin.read()"])
    assert own.stdout is not None
    try:
        assert own.stdout.readline() == "ready\n"
        async with daemon.client() as client:
            for _ in range(80):
                session = await client.attach(own.pid)
                await session.detach()
            assert (await client.status()).sessions == 64
            assert (await session.detach()).target.pid == own.pid
    finally:
        own.kill()
        own.communicate()


async def test_with_few_descriptors_those_who_come_are_turned_away_at_once(public: Path) -> None:
    """They do not hang, whoever is in is served, and ticks have the descriptors that they need."""
    code = (
        "socks, told = [], 0\nprint('ready', flush=True)\n"
        "for _ in range(60):\n    sock = dial()\n    sock.settimeout(5)\n    socks.append(sock)\n"
        '    try:\n        sock.sendall(HELLO)\n        told += b"too_much" in sock.recv(1000)\n'
        "    except ConnectionError:\n        told += 1\nprint(told, flush=True)\nready()\n"
    )
    with serving(public, prefix=("prlimit", "--nofile=128:128")) as daemon:
        async with daemon.client() as client:
            with user(BYSTANDER, code, daemon.socket) as many:
                told = int(many.line())
                assert told > 0
                before = (await client.status()).ticks
                while (await client.status()).ticks < before + 3:
                    pass
        until(lambda: daemon.answers(), 10)

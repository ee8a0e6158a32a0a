"""``straced events -f``: nothing is lost between history and what is followed, and nothing told twice.

Of `commands/events.py`.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

from straced.client.client import Client
from straced.ipc.messages import Select
from tests.service.daemon import SOURCE, serving
from tests.service.processes import running

HELD = """
import sys
from straced.commands import main, service_query
ask = service_query.ask_history
def held(*words):
    found = ask(*words)
    print("asked", file=sys.stderr, flush=True)
    sys.stdin.readline()
    return found
service_query.ask_history = held
main()
"""
"""It goes on after each question of history when it is let."""


async def kept(client: Client, kind: str) -> None:
    """Until history has an event of a kind."""
    async with asyncio.timeout(30):
        while kind not in {event.kind for event in await client.events(Select())}:
            await asyncio.sleep(0.02)


async def test_what_happens_between_history_and_following_is_told_once(tmp_path: Path) -> None:
    with serving(tmp_path, 'tracer = "none"\n') as daemon, running() as target:
        async with daemon.client() as client:
            await client.watch(str(target.pid))
            await kept(client, "started")
            env = {**os.environ, "PYTHONPATH": SOURCE, "STRACED_SOCKET": str(daemon.socket)}
            argv = [sys.executable, "-c", HELD, "events", "-f", "--json"]
            pipe = subprocess.PIPE
            follow = await asyncio.create_subprocess_exec(*argv, stdin=pipe, stdout=pipe, stderr=pipe, env=env)
            assert follow.stdin is not None
            assert follow.stdout is not None
            assert follow.stderr is not None
            try:
                async with asyncio.timeout(40):
                    for asked in ("alerts", "events"):
                        assert await follow.stderr.readline() == b"asked\n"
                        if asked == "alerts":
                            follow.stdin.write(b"\n")
                    await client.unwatch(str(target.pid))
                    await kept(client, "unwatched")
                    follow.stdin.write(b"\n")
                    told: list[str] = []
                    while "unwatched" not in told:
                        told.append(json.loads(await follow.stdout.readline())["kind"])
                    await client.watch(str(target.pid))
                    while told.count("started") < 2:
                        told.append(json.loads(await follow.stdout.readline())["kind"])
                assert (told.count("unwatched"), told.count("service_started")) == (1, 1)
            finally:
                follow.terminate()
                await follow.communicate()

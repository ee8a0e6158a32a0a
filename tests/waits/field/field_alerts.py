"""Alerts about idle servers, by a service as it is by default: none is right. PYTHONPATH=.:tests/waits python ..."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from field_daemons import start_resting
from field_quiet import start_all
from field_runtimes import resting_java
from field_world import Field
from tests.service.daemon import Daemon, serving
from tests.support.needs import missing

from straced.ipc.messages import Select
from straced.model.history import KeptAlert

LEARNT = ("new_syscall", "new_errno")
"""That a program does something for the first time is news and no alarm: a server may, whenever somebody asks it."""
HTTP = """
import http.server, sys
http.server.ThreadingHTTPServer((sys.argv[1], 0), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
POOL = """
import concurrent.futures, socket, sys, threading
server = socket.create_server((sys.argv[1], 0))
pool = concurrent.futures.ThreadPoolExecutor(8)
list(pool.map(threading.Barrier(8).wait, [None] * 8))
while True:
    pool.submit(server.accept()[0].close)
"""


async def watch(daemon: Daemon, servers: list[int], seconds: float) -> list[KeptAlert]:
    """The alerts that were opened within a time."""
    async with daemon.client() as client:
        for pid in servers:
            await client.watch(str(pid))
        end = time.monotonic() + seconds
        told: set[str] = set()
        while (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(60, left))
            found = [
                alert for alert in await client.alerts(Select(limit=10000)) if alert.pid and alert.kind not in LEARNT
            ]
            for alert in found:
                if alert.id not in told:
                    print(f"  {time.strftime('%H:%M:%S')} {alert.kind}: {alert.text}", flush=True)
                    told.add(alert.id)
            print(f"  {(seconds - left) / 60:.0f} min: {len(found)} alerts", flush=True)
        snapshot = await client.snapshot()
        counted = {each.root[0] for each in snapshot.processes if each.calls is not None}  # type: ignore[union-attr]
        print(f"counted: {len(counted & {*servers})} of {len(servers)}", flush=True)
        return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-d", "--seconds", type=float, default=3600)
    parser.add_argument("--config", default="", help="of the service, beside what is the default")
    options = parser.parse_args()
    with Field(Path("/nonexistent")) as field, tempfile.TemporaryDirectory(prefix="straced-alerts-") as folder:
        servers = start_all(field)
        servers += [field.server(sys.executable, "-c", code, field.host) for code in (HTTP, POOL)]
        servers += [] if missing("javac") else [resting_java(field)]
        for name, pid in start_resting(field):
            print(f"  {name} rests", flush=True)
            servers.append(pid)
        time.sleep(10)  # what they do while they start is not idle
        with serving(Path(folder), options.config, interval="1s", discover="5s") as daemon:
            found = asyncio.run(watch(daemon, servers, options.seconds))
        print(f"{len(servers)} idle servers, {options.seconds:.0f} s: {len(found)} alerts")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

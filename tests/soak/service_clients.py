"""Clients of the soak, in a process of their own: ``python service_clients.py SOCKET COUNT``.

Each subscribes to everything, comes back when the service went away, and asks now and then. When stdin ends, they say
what they saw: ticks, gaps and how often they had to connect.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys

from straced.client.client import Client, Gap, Select
from straced.errors import StracedError
from straced.model.tick import Tick


class Seen:
    """What one client saw."""

    def __init__(self) -> None:
        self.ticks = 0
        self.gaps = 0
        self.connects = 0
        self.refused: list[str] = []


async def live(path: str, seen: Seen) -> None:
    """Read news until cancelled, across restarts of the service."""
    while True:
        try:
            async with Client(path) as client:
                seen.connects += 1
                async for news in client.news("ticks", "events", "alerts"):
                    seen.ticks += isinstance(news, Tick)
                    seen.gaps += isinstance(news, Gap)
                    if isinstance(news, Tick) and seen.ticks % 10 == 0:
                        await client.top(Select(limit=5))
        except StracedError as error:
            if error.code not in ("service_unreachable",):
                seen.refused.append(str(error))
            await asyncio.sleep(0.2)


async def main() -> None:
    """Run them."""
    every = [Seen() for _ in range(int(sys.argv[2]))]
    tasks = [asyncio.create_task(live(sys.argv[1], seen)) for seen in every]
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for task in tasks:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks, return_exceptions=True)
    print(json.dumps([vars(seen) for seen in every]), flush=True)


asyncio.run(main())

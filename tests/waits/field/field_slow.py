"""Slow calls of idle servers, told by a service as it is by default: PYTHONPATH=.:tests/waits python ..."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from field_quiet import start_all
from field_world import Field
from tests.service.daemon import Daemon, serving

from straced.ipc.messages import Select
from straced.model.history import KeptEvent


async def watch(daemon: Daemon, servers: list[int], seconds: float) -> list[KeptEvent]:
    """The slow calls that were told within a time."""
    async with daemon.client() as client:
        for pid in servers:
            await client.watch(str(pid))
        await asyncio.sleep(seconds)
        counted = {each.root[0] for each in (await client.snapshot()).processes if each.calls is not None}  # type: ignore[union-attr]
        print(f"counted: {len(counted & {*servers})} of {len(servers)}", flush=True)
        return await client.events(Select(kinds=("slow_call", "slow_calls"), limit=10000))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-d", "--seconds", type=float, default=600)
    options = parser.parse_args()
    with Field(Path("/nonexistent")) as field, tempfile.TemporaryDirectory(prefix="straced-slow-") as folder:
        servers = start_all(field)
        time.sleep(10)  # what they do while they start is not idle
        with serving(Path(folder)) as daemon:
            found = asyncio.run(watch(daemon, servers, options.seconds))
        for event in found:
            print(f"  {event.text}  {event.data.get('text', '')}", flush=True)
        print(f"{len(servers)} idle servers, {options.seconds:.0f} s: {len(found)} slow calls told")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

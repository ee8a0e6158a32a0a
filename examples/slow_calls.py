"""Tell each call of a process that takes 10 ms or more, with its file or peer: python slow_calls.py PID"""

from __future__ import annotations

import asyncio
import sys

import straced


async def main(pid: int) -> None:
    async with straced.Profiler() as profiler:
        session = await profiler.attach(pid, slower_than=0.01)
        async with session.slow_calls() as calls:
            async for call in calls:
                state = "is inside" if call.inside else "took"
                print(f"{call.tid} {call.name} {state} {call.duration_ns / 1e6:,.0f} ms: {call.about or call.call}")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))

"""A service whose clock is not the machine's: ``python service_hour.py STATE TARGET FIRST COUNT STEP_S``.

Each line on stdin makes it read its configuration anew. Each tick ends in the file before its number is printed, with
the resident memory and the state of history.
"""

from __future__ import annotations

import asyncio
import select
import sys
from pathlib import Path

from straced.config.paths import ServicePaths
from straced.config.schema import Alerts, Config, Nanoseconds, StoreConfig, WatchConfig
from straced.linux.host_reader import own_rss_bytes
from straced.service.collect.collector import Watcher
from straced.service.collect.tracer_choice import pick_tracer
from straced.service.service import Service
from straced.tracers.strace.tracer import own_helpers

NOON = 1_780_000_000.0 - 1_780_000_000 % 3600
S = 10**9


def config_of(target: str, step_s: float, round_: int) -> Config:
    """What is watched, and how; something differs from round to round."""
    return Config(
        interval=Nanoseconds(int(step_s * S)),
        discover=Nanoseconds(int(step_s * S)),
        watch=(WatchConfig(target=target, labels={"job": "hour"}),),
        alerts=Alerts(zombies=1000 + round_),
        store=StoreConfig(full=Nanoseconds((1 + round_) * 3600 * S)),
    )


async def main() -> None:
    """Tick."""
    state, target = Path(sys.argv[1]), sys.argv[2]
    first, count, step_s = int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
    number = first
    service = Service(
        config_of(target, step_s, 0), ServicePaths(system=True, state=state, runtime=state, socket=state / "socket")
    )
    old = service.watcher
    service.watcher = Watcher(
        pick_tracer(service.config.tracer)[0],
        helpers=own_helpers,
        clock_ns=lambda: int((1e6 + number * step_s) * S),
        epoch_s=lambda: NOON + number * step_s,
    )
    await old.close()
    await service.start()
    rounds = 0
    for number in range(first, first + count):
        if select.select([sys.stdin], [], [], 0)[0] and sys.stdin.readline():
            rounds += 1
            service.reload(config_of(target, step_s, rounds))
            service._apply(service._reloaded or service.config)
        await service.tick(look=True)
        store = service.store
        assert store is not None
        await asyncio.to_thread(store.flush, 0.5 if store.state == "full" else 10)
        print(number, own_rss_bytes(), store.state, store.dropped, flush=True)
        await asyncio.sleep(0)
    await service.stop()


asyncio.run(main())

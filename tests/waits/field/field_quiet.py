"""False alarms: servers that nothing is wrong with, asked about again and again: PYTHONPATH=.:tests/waits python ..."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from field_postgres import Postgres
from field_runtimes import NodeServer, idle_java
from field_stores import Memcached, Redis
from field_web import Haproxy, Nginx
from field_world import Field
from msgspec import Struct
from tests.support.needs import missing

from straced.linux import procfs
from straced.views.why.report import sentence
from straced.waits.all_processes import why_everybody
from straced.waits.model import Why

_ALARMS = ("stuck", "slow", "spinning", "stopped")


class Server(Struct, frozen=True):
    """A server to start, and what it needs."""

    needs: str
    start: Callable[[Field], int]


SERVERS = (
    Server("postgres", lambda field: field.shared(Postgres).pid),
    Server("nginx", lambda field: field.shared(Nginx).pid),
    Server("haproxy", lambda field: field.shared(Haproxy).pid),
    Server("redis-server", lambda field: field.shared(Redis).pid),
    Server("memcached", lambda field: field.shared(Memcached).pid),
    Server("javac", lambda field: field.shared(idle_java)),
    Server("node", lambda field: field.shared(NodeServer).pid),
)


def start_all(field: Field) -> list[int]:
    """The servers that are installed here."""
    return [server.start(field) for server in SERVERS if not missing(server.needs)]


def alarms(servers: list[int], duration_s: float) -> list[Why]:
    """The answers of one look at all processes that say of a part of an idle server that something is wrong with it."""
    own = {pid for server in servers for pid in (server, *procfs.descendants(server))}
    found = why_everybody(int(duration_s * 1e9))
    return [why for why in found.processes if why.pid in own and (why.deadlock or why.verdict in _ALARMS)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--looks", type=int, default=60)
    parser.add_argument("-i", "--interval", type=float, default=10.0, help="seconds from one look to the next")
    parser.add_argument("-d", "--duration", type=float, default=2.0, help="seconds to watch")
    options = parser.parse_args()
    total = 0
    with Field(Path("/nonexistent")) as field:
        servers = start_all(field)
        for _ in range(options.looks):
            begun = time.monotonic()
            found = alarms(servers, options.duration)
            total += len(found)
            for why in found:
                print(f"  {sentence(why)}", flush=True)
            time.sleep(max(0.0, begun + options.interval - time.monotonic()))
        print(f"{len(servers)} idle servers, {options.looks} looks: {total} false alarms")
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())

"""Threads by themselves, of many processes in one look: those that are stuck, whatever others of their process do."""

from __future__ import annotations

from collections.abc import Iterable

from straced.linux import procfs
from straced.linux.procfs import Gone
from straced.waits.facts.activity import Meter
from straced.waits.facts.proc import ProcReader
from straced.waits.facts.snapshot import ProcSnapshot
from straced.waits.limits.window import HostWindow
from straced.waits.model import Why
from straced.waits.verdict.assemble import assemble
from straced.waits.verdict.chain import ChainBuilder, settled


def stuck_threads(duration_ns: int, keys: Iterable[tuple[int, int]], root: str = procfs.ROOT) -> list[Why]:
    """Explain those that are stuck; sleeps for ``duration_ns``, changes nothing.

    Args:
        duration_ns: how long to watch before judging.
        keys: process and thread of each.
        root: where /proc is.
    """
    wanted = list(keys)
    first = ProcReader(root)
    host, meter = HostWindow(first, {pid for pid, _ in wanted}), Meter(first, wanted)
    meter.run(duration_ns, sweeps=2, cpu_budget_ns=100_000_000)
    seen = meter.finish()
    host.close()
    look = ProcSnapshot(ProcReader(root))
    builder = ChainBuilder(look, seen.tasks)
    answers = []
    for pid, tid in wanted:
        try:
            chain = builder.build(pid, tid)
            if settled(look, chain):
                answers.append(assemble(look, builder, chain, seen, host, alone=True))
        except (Gone, OSError):
            continue
    return [why for why in answers if why.verdict == "stuck"]

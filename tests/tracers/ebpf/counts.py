"""Short words for what the tests compare."""

from __future__ import annotations

from straced.linux import procfs
from straced.model.aggregation import merge_rows
from straced.model.types import Counters, Sample
from straced.tracers.base import AttachOptions
from straced.tracers.ebpf import EbpfTracer
from straced.tracers.ebpf.session import EbpfSession

NOTHING = Counters(name="", calls=0, errors=0, restarts=0, errno={}, in_flight=0, wall_ns=0)


def row(sample: Sample, name: str, abi: str = "x86_64") -> Counters:
    """The row of a call, added up over processes and threads; zeros when there is none."""
    return next((one for one in merge_rows(sample.rows) if one.name == name and one.abi == abi), NOTHING)


def calls(sample: Sample, *names: str) -> list[int | None]:
    """How often each call was made."""
    return [row(sample, name).calls for name in names]


async def attach(tracer: EbpfTracer, pid: int, **options: bool) -> EbpfSession:
    """Attach to a process by its number."""
    return await tracer.attach(procfs.target(pid), AttachOptions(**options))

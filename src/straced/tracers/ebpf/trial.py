"""Whether the kernel takes the programs, found by giving them to it."""

from __future__ import annotations

import functools
import os

from straced.errors import TracerUnavailable, remedy
from straced.tracers.ebpf import loading, probe
from straced.tracers.ebpf.suited import suited_engine


def refusal() -> TracerUnavailable | None:
    """What keeps eBPF from serving here; ``None`` when the programs were loaded and attached, for a moment.

    They have no target in that moment. The kernel is asked once for the rights that this process has (60 ms), but again
    after a lack of descriptors or memory.
    """
    try:
        return probe.missing() or _attempt(os.geteuid(), probe.capabilities())
    except OSError as error:
        return probe.load_error(error)


@functools.lru_cache(8)
def _attempt(uid: int, capabilities: int) -> TracerUnavailable | None:
    try:
        loading.load_and_wait(_load_for_a_moment)
    except OSError as error:
        if remedy(error.errno):
            raise
        return probe.load_error(error)
    return None


def _load_for_a_moment() -> None:
    engine = suited_engine()
    try:
        engine.start()
    finally:
        engine.close()

"""The tracers of one profiler, each made when it is first wanted."""

from __future__ import annotations

import contextlib
from collections.abc import Coroutine
from typing import Any

from straced.errors import TracerUnavailable
from straced.logs import logger
from straced.model.types import Target
from straced.profiling import tracer_choice
from straced.tracers.base import Tracer


class TracerSet:
    """Makes tracers by name, and closes them.

    Args:
        ebpf: options of the eBPF tracer.
    """

    def __init__(self, **ebpf: Any) -> None:
        self._ebpf = ebpf
        self._made: dict[str, Tracer] = {}

    @property
    def made(self) -> list[Tracer]:
        """Those that were wanted so far; a copy, for an attach may add one meanwhile."""
        return list(self._made.values())

    def get(self, name: str) -> Tracer:
        """A tracer by name.

        Raises:
            TracerUnavailable: this build has none of that name.
        """
        if name not in self._made:
            self._made[name] = tracer_choice.make(name, **self._ebpf)
        return self._made[name]

    def beside_ptrace(self, target: Target) -> Tracer | None:
        """A tracer that can count a target while ptrace has it: eBPF, where it may run."""
        with contextlib.suppress(TracerUnavailable):
            tracer = self.get("ebpf")
            return tracer if tracer.probe(target).usable else None
        return None

    async def close(self) -> None:
        """End all that they started."""
        for tracer in self.made:
            await despite_errors(tracer.close())


async def despite_errors(work: Coroutine[Any, Any, object]) -> None:
    """Do one part of the end; when it fails, that is logged, and the others go all the same."""
    try:
        await work
    except Exception as error:
        logger.warning("close_failed: %s", error, extra={"straced": {"error": repr(error)}})

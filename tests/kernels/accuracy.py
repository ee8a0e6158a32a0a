"""Inside a booted kernel: the workloads with a known truth, counted and compared. One JSON object a workload and run.

``python -m tests.kernels.accuracy GT TRACER RUNS NAME...``: names are those of ``tests.accuracy.truth``.
"""

from __future__ import annotations

import asyncio
import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

from straced import Profiler
from tests.accuracy.test_strace import counted, measure
from tests.accuracy.truth import TRUTH, Truth
from tests.support.workload import Starter

SECONDS = 240
"""For a workload under strace in an emulator, beside other work."""
RENAMED = {"vfork": "clone"} if platform.machine() == "aarch64" else {}
"""What a workload does by another call there."""


async def compare(truth: Truth, profiler: Profiler, tracer: str, starter: Starter) -> dict[str, Any]:
    """Run one workload under one tracer.

    Args:
        truth: the workload with its true counts.
        profiler: counts it.
        tracer: ``ebpf`` or ``strace``.
        starter: starts the workloads, of a binary that was built outside.

    Returns:
        What was counted beside what is true, with the quality that the summary claims.
    """
    began = time.monotonic()
    summary = await measure(profiler, starter, truth, SECONDS)
    expected = {
        RENAMED.get(name, name): pair
        for name, pair in truth.calls.items()
        if tracer == "ebpf" or name not in truth.unseen
    }
    found = {name: counted(summary, name) for name in expected}
    return {
        "workload": truth.name,
        "tracer": tracer,
        "true": sum(calls for calls, _errors in expected.values()),
        "counted": sum(calls or 0 for calls, _errors in found.values()),
        "equal": found == expected,
        "quality": summary.quality.kind,
        "lost": summary.quality.lost,
        "reasons": [reason.code for reason in summary.quality.reasons],
        "seconds": round(time.monotonic() - began, 2),
    }


async def main(gt: Path, tracer: str, runs: int, names: list[str]) -> None:
    """Print a line for each run of each workload; one profiler has them all, so that programs are loaded once."""
    async with Profiler(tracer=tracer) as profiler:
        for truth in [each for each in TRUTH if each.name in names]:
            for _ in range(runs):
                starter = Starter(gt, None)
                try:
                    result = await compare(truth, profiler, tracer, starter)
                except Exception as error:
                    result = {"workload": truth.name, "tracer": tracer, "equal": False, "error": repr(error)[:300]}
                finally:
                    harm = starter.end()
                print(json.dumps({**result, "harm": harm}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4:]))

"""The CPU time of ``straced --version`` beside that of a Python that does nothing."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

from benchmarks.result import Result, at_most_times


def version(rounds: int) -> Result:
    """CPU time, not wall time: other work of the machine does not count."""
    import straced

    environment = {**os.environ, "PYTHONPATH": str(Path(straced.__file__).parent.parent)}
    ours, bare = [], []
    for _ in range(rounds + 1):
        ours.append(_cpu_ms([sys.executable, "-m", "straced", "--version"], environment))
        bare.append(_cpu_ms([sys.executable, "-c", "pass"], environment))
    return at_most_times("straced --version, CPU time", "ms", ours[1:], bare[1:], 5)


def _cpu_ms(argv: list[str], environment: dict[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, env=environment, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) * 1000

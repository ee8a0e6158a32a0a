"""straced's strace tracer beside bare strace, in one run: medians and ratios, with the limits they must keep.

Usage: python benchmarks/strace.py [--json] [--quick]

Each pair is measured alternately, so that what else the machine does hits both alike.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from tests.support import build  # noqa: E402
from tests.support.workload import Starter  # noqa: E402

from benchmarks import attach, machine, slowdown, startup  # noqa: E402
from benchmarks.result import Result, table  # noqa: E402


async def measure(start: Starter, quick: bool) -> list[Result]:
    """All measurements, in the order of the table."""
    rounds = 10 if quick else 40
    return [
        *await attach.attach_and_detach(start, rounds),
        await attach.first_attach(start, max(5, rounds // 4)),
        *await attach.many_at_once(start, 100),
        await slowdown.getppid_loop(start, 3 if quick else 7, 20_000),
        await slowdown.find(start, 3 if quick else 7, "/usr"),
        startup.version(5 if quick else 15),
    ]


def main() -> int:
    """Measure, print, and say by the exit status whether every limit was kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    parser.add_argument("--quick", action="store_true", help="a quarter of the rounds")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="straced-bench-") as name:
        folder = Path(name)
        start = Starter(build.compile_gt(folder), None)
        try:
            results = asyncio.run(measure(start, options.quick))
        finally:
            start.end()
    facts = machine.facts()
    if options.json:
        print(json.dumps({"machine": facts, "results": [result.to_dict() for result in results]}, indent=1))
    else:
        print(table(results, facts))
    return 0 if all(result.kept for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())

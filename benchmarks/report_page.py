"""The page of a large trace: its size, and when Chromium has painted it first.

    python -m benchmarks.report_page [--lines 2700000] [--rounds 5] [--trace FILE] [--json]

A log of real traces over and over (``benchmarks/report.py``), ``straced report --html`` of it, and each time a new
Chromium that opens the page from the disk. First paint is what the browser itself says (PerformancePaintTiming,
``first-contentful-paint``), since it began to load the page; *ready* is when all parts are drawn. How long the browser
took to start is in neither.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support.chromium import Page

from benchmarks import machine
from benchmarks.report import make_log
from benchmarks.result import Result, at_most, table

LINES = 2_700_000
LINE_BYTES = 90
"""Of a line of such a log, a little more than they have."""
READY = "document.documentElement?.dataset.ready === 'yes'"
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


def lines_of(path: Path) -> int:
    """How many lines a file has."""
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def opened(html: Path) -> tuple[float, float]:
    """Milliseconds to the first paint, and until all is drawn, in a browser that has not seen the page."""
    with Page(width=1440, height=900) as browser:
        browser.open(html, READY)
        ready = browser.value("performance.now()")
        return float(browser.until(PAINT)), float(ready)


def measure(trace: Path, folder: Path, rounds: int) -> list[Result]:
    """Make the page of a trace, and open it some times."""
    html, count = folder / "page.html", lines_of(trace)
    began = time.perf_counter()
    words = [sys.executable, "-m", "straced", "report", str(trace), "--html", str(html)]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    made = time.perf_counter() - began
    paints, readies = zip(*(opened(html) for _ in range(rounds)), strict=True)
    what = f"page of {count:,} lines"
    return [
        at_most(f"{what}: size", "kB", [html.stat().st_size / 1e3], 1000.0),
        at_most(f"{what}: first paint", "ms", paints, 1000.0),
        Result(f"{what}: all drawn", "ms", sorted(readies)[rounds // 2], None, "", True, rounds),
        Result(f"{what}: made in", "s", made, None, "", True, 1),
    ]


def main() -> int:
    """Measure, print, and fail when a limit is not kept."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--lines", type=int, default=LINES, help="of the log that is made, at least")
    options.add_argument("--rounds", type=int, default=5, help="browsers that open it")
    options.add_argument("--trace", type=Path, help="a log of one's own")
    options.add_argument("--json", action="store_true")
    wanted = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="straced-bench.") as name:
        trace = wanted.trace or make_log(Path(name), wanted.lines * LINE_BYTES)
        results = measure(trace, Path(name), wanted.rounds)
    if wanted.json:
        print(json.dumps({"machine": machine.facts(), "results": [result.to_dict() for result in results]}))
    else:
        print(table(results, machine.facts()))
    return 0 if all(result.kept for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())

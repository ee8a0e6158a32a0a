"""``python -m tests.matrix [NAME...]``: run parts of the suite beside other versions, and print a table."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.kernels.packages import NotToBeHad
from tests.matrix import results
from tests.matrix.places import BY_NAME, ROOT, Place, command

TESTS = (
    "tests/contract",
    "tests/accuracy",
    "tests/tracers/ebpf/test_accuracy.py",
    "tests/tracers/ebpf/test_unpreempted.py",
)
VERSIONS = """
import platform, subprocess
from straced.tracers.ebpf import libbpf
strace = subprocess.run(["strace", "-V"], capture_output=True, text=True).stdout.split()[3]
print(platform.python_version(), strace, libbpf.version())
"""


def measure(place: Place, tests: list[str], seconds: float) -> dict[str, Any]:
    """Run the tests there.

    Returns:
        The versions, how many tests passed, failed and were skipped, and the names of those that failed.

    Raises:
        NotToBeHad: one of the versions.
    """
    argv, environ = command(place)
    environ |= {name: value for name, value in os.environ.items() if name.startswith("STRACED_TEST_")}
    began = time.monotonic()
    versions = _run([*argv, "-c", VERSIONS], environ, 120).split() or ["?", "?", "?"]
    said = _run([*argv, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests], environ, seconds)
    last = (said.strip().splitlines() or [""])[-1]
    return {
        "place": place.name,
        **dict(zip(("python", "strace", "libbpf"), versions, strict=True)),
        "tests": tests,
        **{word: int(found[1]) if (found := re.search(rf"(\d+) {word}", last)) else 0 for word in results.WORDS},
        "which": re.findall(r"^(?:FAILED|ERROR) (\S+)", said, re.MULTILINE),
        "skipped_for": re.findall(r"^SKIPPED (.*)", said, re.MULTILINE),
        "seconds": round(time.monotonic() - began),
        "last": last,
    }


def _run(argv: list[str], environ: dict[str, str], seconds: float) -> str:
    """In a session of its own: a traced test may freeze who runs it."""
    process = subprocess.Popen(
        ["timeout", "-s", "KILL", str(int(seconds)), *argv],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ, cwd=ROOT,
        start_new_session=True,
    )  # fmt: skip
    return process.communicate()[0]


def main() -> int:
    """Run them all, or those that are named."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *BY_NAME], metavar="NAME", help=", ".join(BY_NAME))
    parser.add_argument("--tests", nargs="+", default=list(TESTS))
    parser.add_argument("--seconds", type=float, default=900, help="the most that one may take")
    parser.add_argument("--json", type=Path, help="keep the results there, beside those of others")
    arguments = parser.parse_args()
    found = []
    for name in arguments.names or list(BY_NAME):
        print(f"{name}: ...", file=sys.stderr, flush=True)
        try:
            result = measure(BY_NAME[name], arguments.tests, arguments.seconds)
        except NotToBeHad as error:
            result = {"place": name, "missing": str(error)}
        found.append(result)
        print(json.dumps(result, indent=1), flush=True)
        if arguments.json:
            results.keep(arguments.json, found)
    if arguments.json and arguments.json.resolve() == results.KEPT:
        results.refresh()
    return 0 if all(result.get("passed") and not result.get("which") for result in found) else 1


if __name__ == "__main__":
    raise SystemExit(main())

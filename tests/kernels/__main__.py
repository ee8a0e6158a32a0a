"""``python -m tests.kernels [NAME...]``: run straced on other kernels, and print a table; ``--json FILE`` keeps it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from tests.kernels.catalogue import BY_NAME, KERNELS
from tests.kernels.packages import NotToBeHad
from tests.kernels.results import KEPT, PAGE, added, keep, load, refresh, text_table
from tests.kernels.suite import good, measure


def main() -> int:
    """Run them all, or those that are named."""
    parser = argparse.ArgumentParser(prog="python -m tests.kernels", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *BY_NAME], metavar="NAME", help=", ".join(BY_NAME))
    parser.add_argument("--json", type=Path, help="keep the results there, beside those of other kernels")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="CHECK", help="these checks alone; the rest stays as it was"
    )
    parser.add_argument("--list", action="store_true", help="only name the kernels")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(BY_NAME))
        return 0
    results = []
    for name in arguments.names or [kernel.name for kernel in KERNELS]:
        print(f"{name}: downloading, booting and measuring (some minutes) ...", file=sys.stderr, flush=True)
        try:
            result = measure(BY_NAME[name], only=arguments.only)
        except NotToBeHad as error:
            result = {"kernel": name, "release": "-", "seconds": 0, "rows": [], "missing": str(error)}
        results.append(result)
        _tell(result)
        if arguments.json:
            if arguments.only:
                results[-1] = added(arguments.json, result)
            keep(arguments.json, results)
    print("\n" + text_table(results))
    if arguments.json and arguments.json.resolve() == KEPT:
        refresh(PAGE, load(KEPT))
    return 0 if all(result["rows"] and all(map(good, result["rows"])) for result in results) else 1


def _tell(result: dict[str, Any]) -> None:
    for row in result["rows"]:
        mark = "ok " if good(row) else "BAD"
        print(f"  {mark} {_words(row)}", flush=True)


def _words(row: dict[str, Any]) -> str:
    if "workload" not in row:
        return f"{row['check']}: {row['said']}"
    if "error" in row:
        return f"{row['workload']} by {row['tracer']}: {row['error']}"
    reasons = ", ".join(row["reasons"])
    counted = f"{row['counted']} of {row['true']}"
    return f"{row['workload']} by {row['tracer']}: {counted}, {row['quality']} {reasons}, {row['lost']} lost".strip()


if __name__ == "__main__":
    raise SystemExit(main())

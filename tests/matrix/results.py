"""What was seen beside other versions: kept as JSON, and shown on the page about support."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.kernels.results import PAGE
from tests.matrix.places import BY_NAME, ROOT

WORDS = ("passed", "failed", "error", "skipped")
KEPT = ROOT / "docs" / "support" / "matrix.json"
BEGIN, END = "<!-- matrix: written by `make matrix` -->\n", "<!-- end of matrix -->\n"
HEAD = ("Python", "strace", "libbpf", "passed", "failed", "skipped")


def load() -> list[dict[str, Any]]:
    """What was kept."""
    return list(json.loads(KEPT.read_text())) if KEPT.exists() else []


def keep(path: Path, results: list[dict[str, Any]]) -> None:
    """Write results, each in the place of the one before."""
    before = list(json.loads(path.read_text())) if path.exists() else []
    known = {result["place"]: result for result in (*before, *results)}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([known[name] for name in BY_NAME if name in known], indent=1) + "\n")


def markdown(results: list[dict[str, Any]]) -> str:
    """The table of the page."""
    lines = [HEAD, ("---",) * len(HEAD)]
    for result in results:
        if "missing" in result:
            lines.append((result["place"], f"not run: {result['missing']}", "", "", "", ""))
        else:
            failed = str(result["failed"] + result["error"])
            lines.append(
                (
                    result["python"],
                    result["strace"],
                    result["libbpf"],
                    str(result["passed"]),
                    failed,
                    str(result["skipped"]),
                )
            )
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def refresh() -> None:
    """Put the table into the page, between its marks."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}{markdown(load())}{END}{after}")

"""What was seen on the kernels: kept as JSON, told as a table, and shown on the page about support."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.kernels.catalogue import BY_NAME
from tests.kernels.suite import good

ROOT = Path(__file__).parent.parent.parent
KEPT = ROOT / "docs" / "support" / "kernels.json"
PAGE = ROOT / "docs" / "support.md"
BEGIN, END = "<!-- kernels: written by `make kernels` -->\n", "<!-- end of kernels -->\n"


def load(path: Path) -> list[dict[str, Any]]:
    """What was kept before; nothing if there is no such file."""
    return list(json.loads(path.read_text())) if path.exists() else []


def keep(path: Path, results: list[dict[str, Any]]) -> None:
    """Write results, each in the place of the one before of that kernel; a row of theirs a line."""
    known = {result["kernel"]: result for result in (*load(path), *results)}
    texts = []
    for name in [name for name in BY_NAME if name in known]:
        head = {key: value for key, value in known[name].items() if key != "rows"}
        rows = ",\n".join(f"  {json.dumps(row)}" for row in known[name]["rows"])
        texts.append(f'{json.dumps(head)[:-1]}, "rows": [\n{rows}\n ]}}')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[" + ",\n ".join(texts) + "]\n")


def added(path: Path, result: dict[str, Any]) -> dict[str, Any]:
    """A result of some checks alone, with what was kept before of the others."""
    before = next((each for each in load(path) if each["kernel"] == result["kernel"]), None)
    if before is None or before["release"] != result["release"]:
        return result
    made = {row.get("check") for row in result["rows"]}
    rows = [row for row in before["rows"] if row.get("check") not in made or "workload" in row] + result["rows"]
    return {**result, "seconds": before["seconds"] + result["seconds"], "rows": rows}


def cells(result: dict[str, Any]) -> list[str]:
    """One line of a table: kernel, release, programs, workloads, calls, lost, checks, time."""
    counted = [row for row in result["rows"] if "workload" in row]
    checked = [row for row in result["rows"] if "workload" not in row]
    true = sum(row.get("true") or 0 for row in counted)
    calls = sum(row.get("counted") or 0 for row in counted)
    lost = sum(row.get("lost") or 0 for row in counted)
    tracers = sorted({row["tracer"] for row in counted})
    return [
        result["kernel"],
        result["release"],
        ", ".join(tracers) or "-",
        _share(counted),
        f"{calls:,} of {true:,}",
        f"{lost:,}",
        _share(checked),
        f"{result['seconds']} s",
    ]


HEAD = ["kernel", "release", "tracers", "workloads", "calls counted", "lost", "checks", "time"]


def text_table(results: list[dict[str, Any]]) -> str:
    """For a terminal."""
    lines = [HEAD] + [_missing(result) or cells(result) for result in results]
    widths = [max(len(line[column]) for line in lines if len(line) == len(HEAD)) for column in range(len(HEAD))]
    return "\n".join("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=False)) for line in lines)


def markdown(results: list[dict[str, Any]]) -> str:
    """For the page."""
    lines = [HEAD, ["---"] * len(HEAD)]
    for result in results:
        lines.append(_missing(result) or cells(result))
    return "".join(f"| {' | '.join(line + [''] * (len(HEAD) - len(line)))} |\n" for line in lines)


def refresh(page: Path, results: list[dict[str, Any]]) -> None:
    """Put the table into the page, between its marks."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}{markdown(results)}{END}{after}")


def _missing(result: dict[str, Any]) -> list[str]:
    return [result["kernel"], f"not run: {result['missing']}"] if "missing" in result else []


def _share(rows: list[dict[str, Any]]) -> str:
    return f"{sum(map(good, rows))}/{len(rows)}"

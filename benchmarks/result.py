"""One measured pair, and the table of all."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Result:
    """Medians of ours and of the yardstick, in one unit, and the limit that must be kept."""

    name: str
    unit: str
    ours: float
    yardstick: float | None
    limit: str
    kept: bool
    rounds: int
    spread: tuple[float, float] = (0.0, 0.0)
    """The lower and upper quartile of ours."""

    @property
    def ratio(self) -> float | None:
        """Ours by the yardstick."""
        return None if not self.yardstick else self.ours / self.yardstick

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**self.__dict__, "ratio": self.ratio}


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """The lower and the upper quartile."""
    cuts = statistics.quantiles(values, n=4)
    return cuts[0], cuts[2]


def at_most_times(
    name: str, unit: str, ours: Sequence[float], yardstick: Sequence[float], factor: float, slack: float = 0.0
) -> Result:
    """A result whose median may be ``factor`` times the yardstick's, plus ``slack``."""
    mine, theirs = statistics.median(ours), statistics.median(yardstick)
    limit = f"<= {factor:g} x" + (f" + {slack:g} {unit}" if slack else "")
    return Result(name, unit, mine, theirs, limit, mine <= theirs * factor + slack, len(ours), quartiles(ours))


def at_most(name: str, unit: str, ours: Sequence[float], most: float, yardstick: Sequence[float] = ()) -> Result:
    """A result whose median may be ``most``; the yardstick is shown for comparison only."""
    mine = statistics.median(ours)
    theirs = statistics.median(yardstick) if yardstick else None
    spread = quartiles(ours) if len(ours) > 1 else (mine, mine)
    return Result(name, unit, mine, theirs, f"<= {most:g} {unit}", mine <= most, len(ours), spread)


def table(results: Sequence[Result], facts: dict[str, str]) -> str:
    """A Markdown table, with the machine above it."""
    lines = [" · ".join(f"{key} {value}" for key, value in facts.items()), ""]
    lines += [
        "| what | straced | bare | ratio | limit | kept | rounds |",
        "| --- | ---: | ---: | ---: | --- | --- | ---: |",
    ]
    for result in results:
        bare = "-" if result.yardstick is None else f"{result.yardstick:.2f} {result.unit}"
        ratio = "-" if result.ratio is None else f"{result.ratio:.2f}"
        lines.append(
            f"| {result.name} | {result.ours:.2f} {result.unit} | {bare} | {ratio} "
            f"| {result.limit} | {'yes' if result.kept else 'NO'} | {result.rounds} |"
        )
    return "\n".join(lines)

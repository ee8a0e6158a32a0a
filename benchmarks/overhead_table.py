"""From the figures of benchmarks/overhead.py to its table, and to what is asked of the engine."""

from __future__ import annotations

import statistics

PERF = "straced (perf)"
"""By the programs for kernels that preempt the usual ones."""
FLIGHT, FILE = "kept", "in a file"
"""Counted, and each call recorded besides: in memory as the flight recorder does, and drained to a file."""
OURS = ("untraced", "empty pair", "straced", PERF, "another traced", FLIGHT, FILE)
"""What needs nothing installed; the floor is the second."""
PRINTS, PERF_LINES, STRACE_LINES = "bpftrace prints", "perf trace", "strace -f -yy"
"""A line a call, of the rivals."""
FAST = (*OURS, "bpftrace", "syscount", PRINTS)
APART = "strace -c apart"
BARE_SMALL = "untraced small"
SLOW = (BARE_SMALL, "perf trace -s", PERF_LINES, "strace -c", APART, "strace -f -c", STRACE_LINES)
"""Those that make the small workload take as long as the others the full one."""
BY_TRACEFS = ("bpftrace", "syscount", PRINTS, "perf trace -s", PERF_LINES)
"""Rivals that cannot do without."""
Results = dict[tuple[str, str], list[tuple[float, float]]]
"""Wall and CPU time of each run, by workload and tracer."""


def summarise(results: Results, calls: dict[tuple[str, str], int]) -> list[dict[str, object]]:
    """Medians, spreads, and ratios to the floor and to the untraced run of the same size."""

    def middle(workload: str, name: str, which: int) -> float:
        return statistics.median(figure[which] for figure in results[workload, name])

    rows = []
    for (workload, name), figures in results.items():
        small = name in SLOW
        which = 0 if small else 1
        bare = middle(workload, BARE_SMALL if small else FAST[0], which)
        mine = middle(workload, name, which)
        count = calls.get((workload, "small" if small else "full"))
        rows.append(
            {
                "workload": workload,
                "tracer": name,
                "unit": "ms" if count else "ns/call",
                "wall": round(middle(workload, name, 0), 1),
                "wall_min": round(min(figure[0] for figure in figures), 1),
                "wall_max": round(max(figure[0] for figure in figures), 1),
                "cpu": round(middle(workload, name, 1), 1),
                "cpu_min": round(min(figure[1] for figure in figures), 1),
                "cpu_max": round(max(figure[1] for figure in figures), 1),
                "runs": len(figures),
                "by": "wall" if small else "cpu",
                "to_untraced": round(mine / bare, 2),
                "to_floor": None if small else round(mine / middle(workload, FAST[1], 1), 2),
                "added_ns_a_call": round((mine - bare) * (1e6 / count if count else 1)),
            }
        )
    return rows


def table(rows: list[dict[str, object]]) -> str:
    """The figures for people."""
    lines = [
        f"{'workload':<8} {'tracer':<15} {'wall':>9} {'(min..max)':>22} {'cpu':>8} {'(min..max)':>18} {'unit':<7} "
        f"{'untraced':>8} {'floor':>6} {'added ns/call':>13} by"
    ]
    for row in rows:
        floor = "-" if row["to_floor"] is None else f"x{row['to_floor']:.2f}"
        wall_spread = f"({row['wall_min']:,.0f}..{row['wall_max']:,.0f})"
        cpu_spread = f"({row['cpu_min']:,.0f}..{row['cpu_max']:,.0f})"
        lines.append(
            f"{row['workload']:<8} {row['tracer']:<15} {row['wall']:>9,.0f} {wall_spread:>22} {row['cpu']:>8,.0f} "
            f"{cpu_spread:>18} {row['unit']:<7} {'x' + format(row['to_untraced'], ',.2f'):>8} {floor:>6} "
            f"{row['added_ns_a_call']:>13,} {row['by']}"
        )
    return "\n".join(lines)


def targets(rows: list[dict[str, object]]) -> list[str]:
    """What is asked of the engine, and what this run says."""
    found = {(row["workload"], row["tracer"]): row for row in rows}
    lines = []

    def ratio(what: str, value: float, limit: float, at_least: bool = False) -> None:
        kept = value >= limit if at_least else value <= limit
        lines.append(f"{what:<58} {value:>8.2f}  {'>=' if at_least else '<='} {limit:g}  {'yes' if kept else 'NO'}")

    def cpu(workload: str, tracer: str) -> float:
        return float(str(found[workload, tracer]["cpu"]))

    for workload, most in (("getppid", 1.6), ("find", 1.25)):
        if (workload, "straced") in found:
            ratio(f"{workload}: traced by the floor", cpu(workload, "straced") / cpu(workload, "empty pair"), most)
    for workload, most in (("getppid", 40), ("files", 150)):
        for tracer in (FLIGHT, FILE):
            if (workload, tracer) in found:
                added = float(str(found[workload, tracer]["added_ns_a_call"]))
                counting = float(str(found[workload, "straced"]["added_ns_a_call"]))
                ratio(f"{workload}: {tracer}, ns a call over counting", added - counting, most)
    if ("find", FILE) in found:
        ratio("find: in a file by untraced", cpu("find", FILE) / cpu("find", "untraced"), 1.5)
    if ("python", "straced") in found:
        ratio("python: traced by untraced", cpu("python", "straced") / cpu("python", "untraced"), 1.10)
    if ("getppid", "straced") in found:
        ratio("getppid: not traced by the floor", cpu("getppid", "another traced") / cpu("getppid", "empty pair"), 1.2)
        mine = int(str(found["getppid", "straced"]["added_ns_a_call"]))
        for tracer, least in (("bpftrace", 2), ("perf trace -s", 80), ("strace -c", 500), (APART, 500)):
            if ("getppid", tracer) in found:
                added = int(str(found["getppid", tracer]["added_ns_a_call"]))
                ratio(f"getppid: added by {tracer}, by what straced adds", added / mine, least, at_least=True)
    return lines

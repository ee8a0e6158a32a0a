"""How fast traces are read: ``python benchmarks/report.py [--large] [--rounds 3] [--json FILE]``.

Logs are made of real traces, in a temporary folder. Everything is measured in one run, in turns; the
fastest of the rounds stands for each. Memory is the sum of PSS over all processes of a contender
(proc_pid_smaps_rollup), sampled ten times a second. On a busy machine CPU seconds tell more than MB/s, and the ratio to
the loop over lines more than either: ``of loop`` is the speed as a part of that loop's, ``x loop`` the CPU time as a
multiple of it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

SOURCES = Path(__file__).parent.parent / "src"
SERVER = """
import http.server, socketserver, threading, urllib.request
class H(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *a): pass
class S(socketserver.ThreadingMixIn, http.server.HTTPServer): daemon_threads = True
s = S(("127.0.0.1", 0), H)
threading.Thread(target=s.serve_forever, daemon=True).start()
def go():
    for _ in range(40): urllib.request.urlopen("http://127.0.0.1:%d/server.py" % s.server_port).read()
ts = [threading.Thread(target=go) for _ in range(4)]
[t.start() for t in ts]; [t.join() for t in ts]
"""
PROGRAMS = (
    (sys.executable, "-I", "server.py"),
    ("find", "/usr/share", "-name", "*.gz"),
    ("sh", "-c", "for i in $(seq 60); do ls /nope | cat; done"),
    ("git", "--version"),
)
FULL_LINE = re.compile(
    r"^(\d+)\s+(\d\d:\d\d:\d\d\.\d+)\s+(?:<\.\.\. )?(\w+)(?:\(| resumed>)(.*?)\)?\s*(?:= (\S+)(?: (E[A-Z]+) .*?)?)?"
    r"(?: <([\d.]+)>)?$"
)


def make_log(folder: Path, size: int) -> Path:
    """A log of at least ``size`` bytes: real traces, over and over."""
    (folder / "server.py").write_text(SERVER)
    pieces = []
    for number, program in enumerate(PROGRAMS):
        out = folder / f"piece{number}"
        subprocess.run(
            ["strace", "-f", "-tt", "-T", "-o", str(out), *program],
            cwd=folder, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300,
        )  # fmt: skip
        pieces.append(out.read_bytes())
    round_ = b"".join(pieces)
    path = folder / f"log{size}"
    with path.open("wb") as file:
        for _ in range(-(-size // len(round_))):
            file.write(round_)
    return path


def tree_pss_bytes(pid: int) -> int:
    """Memory of a process and all below it; shared pages are divided."""
    total = 0
    pids = [pid]
    while pids:
        each = pids.pop()
        try:
            text = Path(f"/proc/{each}/smaps_rollup").read_text()
            total += int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1]) * 1024  # type: ignore[index]
            for task in os.listdir(f"/proc/{each}/task"):
                pids += [int(word) for word in Path(f"/proc/{each}/task/{task}/children").read_text().split()]
        except (OSError, TypeError):
            continue
    return total


def measured(command: list[str], *, stdin: Path | None = None) -> tuple[float, float, int]:
    """Wall seconds, CPU seconds and peak memory of a command."""
    before = os.times()
    start = time.perf_counter()
    with stdin.open("rb") if stdin else open(os.devnull, "rb") as source:
        environment = {**os.environ, "PYTHONPATH": str(SOURCES)}
        process = subprocess.Popen(command, stdin=source, stdout=subprocess.DEVNULL, env=environment)
    peak = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.1):
            peak = max(peak, tree_pss_bytes(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    status = process.wait()
    wall = time.perf_counter() - start
    done.set()
    watcher.join()
    after = os.times()
    if status:
        raise SystemExit(f"{command[:4]} ended with {status}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, cpu, peak


def code(source: str, path: Path) -> list[str]:
    return [sys.executable, "-c", source, str(path)]


READ = "import sys\nf = open(sys.argv[1], 'rb', buffering=0)\nwhile f.read(1 << 20): pass"
LINES = "import sys\nn = 0\nfor line in open(sys.argv[1], 'rb'): n += 1"
REGEX = (
    "import re, sys\nfrom collections import Counter\n"
    f"pattern = re.compile({FULL_LINE.pattern!r})\ncounts, seconds = Counter(), Counter()\n"
    "for line in open(sys.argv[1], encoding='latin-1'):\n m = pattern.match(line)\n"
    " if m:\n  counts[m[3]] += 1\n  seconds[m[3]] += float(m[7] or 0)\n"
)
DUCKDB = (
    "import duckdb, sys\n"
    "sql = '''select regexp_extract(column0, '^[0-9]+ +[^ ]+ (?:<... )?([a-z0-9_]+)', 1) as name, count(*), "
    "sum(try_cast(rtrim(right(column0, 10), '>') as double)), count(*) filter (contains(column0, ' = -1 E')) "
    "from read_csv(?, columns={'column0': 'VARCHAR'}, delim='\\x01', quote='', escape='', header=false, "
    "auto_detect=false, ignore_errors=true, max_line_size=4000000) group by 1'''\n"
    "con = duckdb.connect(config={'memory_limit': '250MB'})\ncon.execute(sql, [sys.argv[1]]).fetchall()\n"
)


LOOP = "a loop over its lines"


def contenders(path: Path, small: Path) -> Iterator[tuple[str, list[str], Path]]:
    """Name, command and the file it reads."""
    straced = [sys.executable, "-m", "straced", "report"]
    yield LOOP, code(LINES, path), path
    yield "straced report --counts", [*straced, "--counts", str(path)], path
    yield "straced report (paths, descriptors, processes)", [*straced, str(path)], path
    yield "straced report, one core", [*straced, "--jobs", "1", str(path)], path
    python = ["env", "STRACED_READER=python", *straced]
    yield "straced report --counts, Python reader", [*python, "--counts", str(small)], small
    yield "straced report, Python reader", [*python, str(small)], small
    yield "reading the file", code(READ, path), path
    yield "a full-line regular expression", code(REGEX, small), small
    try:
        import duckdb  # noqa: F401
    except ImportError:
        print("(DuckDB is not installed)")
    else:
        yield "DuckDB, lean expressions (counts, times)", code(DUCKDB, path), path
    graph = shutil.which("strace-graph")
    if graph:
        yield "strace-graph (of the strace sources)", [graph, str(small)], small
    merge = shutil.which("strace-log-merge")
    if merge:
        parts = small.parent / "parts"
        parts.mkdir(exist_ok=True)
        for pid, lines in by_pid(small).items():
            (parts / f"t.{pid}").write_bytes(b"".join(lines))
        yield "strace-log-merge (merges only)", [merge, str(parts / "t")], small


def by_pid(path: Path) -> dict[int, list[bytes]]:
    """The lines of each task, as -ff would write them."""
    tasks: dict[int, list[bytes]] = {}
    with path.open("rb") as file:
        for line in file:
            pid, _, rest = line.partition(b" ")
            tasks.setdefault(int(pid), []).append(rest.lstrip())
    return tasks


def run(folder: Path, size: int, rounds: int, keep: Callable[[str], bool]) -> list[dict[str, object]]:
    """Measure every contender on a log of ``size`` bytes, print a row for each, and return the rows."""
    path = make_log(folder, size)
    small = folder / "small"
    with path.open("rb") as file:
        data = file.read(20 << 20)
    small.write_bytes(data[: data.rfind(b"\n") + 1])
    shape = Counter(b"unfinished" if b"<unfinished" in line else b"other" for line in data.split(b"\n"))
    share = 100 * shape[b"unfinished"] / sum(shape.values())
    total = path.stat().st_size
    print(f"\n{total / 1e6:,.0f} MB of strace -f -tt -T, {share:.0f} % of lines unfinished, {os.cpu_count()} cores")
    print(f"{'':<48} {'MB/s':>7} {'of loop':>8} {'CPU s/GB':>9} {'x loop':>7} {'peak MB':>8}  of")
    chosen = [contender for contender in contenders(path, small) if keep(contender[0])]
    runs: dict[str, list[tuple[float, float, int]]] = {}
    for _ in range(rounds):
        for name, command, _ in chosen:
            runs.setdefault(name, []).append(measured(command))
    loop, loop_rate, rows = 0.0, 0.0, []
    for name, _, read in chosen:
        read_bytes = read.stat().st_size
        wall, cpu = (min(each[place] for each in runs[name]) for place in (0, 1))
        peak = max(each[2] for each in runs[name])
        each_gb = cpu / (read_bytes / 1e9)
        loop = each_gb if name == LOOP else loop
        rate, ratio = read_bytes / 1e6 / wall, each_gb / (loop or each_gb)
        loop_rate = rate if name == LOOP else loop_rate
        share = rate / (loop_rate or rate)
        print(
            f"{name:<48} {rate:>7.0f} {share:>8.2f} {each_gb:>9.1f} {ratio:>7.1f} {peak / 1e6:>8.0f}  "
            f"{read_bytes / 1e6:,.0f} MB",
            flush=True,
        )
        rows.append({
            "log_bytes": total, "contender": name, "read_bytes": read_bytes, "mb_per_s": round(rate, 1),
            "cpu_s_per_gb": round(each_gb, 2), "times_loop": round(ratio, 2),
            "of_loop_speed": round(share, 2), "peak_pss_bytes": peak,
        })  # fmt: skip
    path.unlink()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true", help="the 2 GB log too")
    parser.add_argument("--size", type=int, default=200, help="MB of the first log")
    parser.add_argument("--rounds", type=int, default=1, help="how often each is run on the first log")
    parser.add_argument("--only", default="", metavar="WORD", help="contenders with this in their name, and the loop")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the rows, for programs")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="straced-bench.") as name:
        rows = run(
            Path(name),
            arguments.size * 10**6,
            arguments.rounds,
            lambda contender: contender == LOOP or arguments.only in contender,
        )
        if arguments.large:
            rows += run(
                Path(name),
                2 * 10**9,
                1,
                lambda contender: contender == LOOP or ("straced report" in contender and "Python" not in contender),
            )
    if arguments.json:
        arguments.json.write_text(json.dumps({"cores": os.cpu_count(), "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()

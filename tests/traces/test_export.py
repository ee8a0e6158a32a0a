"""Files for other tools hold the same calls, errors and times, and hostile text stays text.

Of `traces/export/__init__.py`, `traces/export/parquet.py` and `traces/export/perfetto.py`.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from straced.errors import InvalidArgument, OutputExists
from straced.traces.export.tabular import safe_cell
from straced.traces.parsing.selection import TraceSelection
from straced.traces.report.request import ReportRequest
from straced.traces.values import TraceReport
from straced.workflows.report import Outputs, make
from tests.support.pace import PACE
from tests.traces.recorded import record

PROGRAM = """
import os, signal, threading
open("=cmd|'C calc'!A0", "w").close()
open("a,b \\"c\\" <x>", "w").close()
signal.signal(signal.SIGUSR1, lambda *a: None)
child = os.fork()
if child == 0:
    os.kill(os.getppid(), signal.SIGUSR1); os._exit(4)
os.waitpid(child, 0)
t = threading.Thread(target=os.getppid); t.start(); t.join()
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TraceReport]:
    pytest.importorskip("duckdb", reason="the extra analytics is not installed")
    folder = tmp_path_factory.mktemp("export")
    path = record(folder, [sys.executable, "-I", "-S", "-c", PROGRAM])
    outputs = Outputs(
        perfetto=folder / "trace.json",
        ndjson=folder / "calls.ndjson",
        csv=folder / "calls.csv",
        parquet=folder / "calls",
    )
    return folder, make(ReportRequest(file=str(path), host="web-1"), outputs)


def test_ndjson(made: tuple[Path, TraceReport]) -> None:
    folder, report = made
    calls = [json.loads(line) for line in (folder / "calls.ndjson").read_text().splitlines()]
    real = [call for call in calls if call["kind"] == "call"]
    assert len(real) == report.summary.total.calls
    assert sum(call["duration_ns"] or 0 for call in real) == report.summary.total.wall_ns
    assert Counter(call["name"] for call in real) == {row.name: row.calls for row in report.summary.rows}
    assert [call["status"] for call in calls if call["kind"] == "exited" and call["pid"] == call["tid"]] == [4, 0]
    assert any(call["kind"] == "signal" and call["name"] == "SIGUSR1" for call in calls)
    assert all(call["start_ns"] >= 0 for call in calls)


def test_csv_cannot_be_a_formula(made: tuple[Path, TraceReport]) -> None:
    folder, report = made
    with (folder / "calls.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(row["kind"] == "call" for row in rows) == report.summary.total.calls
    texts = [row[name] for row in rows for name in ("name", "args", "path", "errno")]
    assert not any(text.startswith(("=", "+", "@", "\t")) for text in texts)
    assert any(row["path"].endswith("/=cmd|'C calc'!A0") for row in rows)
    assert not any("<" in row["path"] and "<x>" not in row["path"] for row in rows)
    assert {safe_cell(cell) for cell in ("=1", "+1", "-1", "@x", "\tx")} == {"'=1", "'+1", "'-1", "'@x", "'\tx"}
    assert (safe_cell(-1), safe_cell("a=b"), safe_cell(None)) == (-1, "a=b", None)


def test_perfetto(made: tuple[Path, TraceReport]) -> None:
    folder, report = made
    events = json.loads((folder / "trace.json").read_text())["traceEvents"]
    phases = Counter(event["ph"] for event in events)
    slices = [event for event in events if event["ph"] == "X" and event["cat"] != "signal"]
    assert len(slices) == report.summary.total.calls
    assert round(sum(event["dur"] for event in slices) * 1000) == report.summary.total.wall_ns
    tracks = {(event["pid"], event["tid"]) for event in slices}
    named = {(event["pid"], event["tid"]) for event in events if event["ph"] == "M" and event["name"] == "thread_name"}
    assert tracks <= named
    assert len(tracks) == 3
    assert phases["s"] == phases["f"] == 3, "two births and a signal"
    starts = {event["id"]: event for event in events if event["ph"] == "s"}
    for end in (event for event in events if event["ph"] == "f"):
        start = starts[end["id"]]
        assert start["name"] == end["name"]
        assert (start["pid"], start["tid"]) != (end["pid"], end["tid"])
    assert {event["name"] for event in starts.values()} == {"fork", "SIGUSR1"}


EARLY = """\
100   1790000000.000000 fork( <unfinished ...>
101   1790000000.000100 getpid() = 101 <0.000010>
101   1790000000.000200 kill(100, SIGUSR1 <unfinished ...>
100   1790000000.000300 <... fork resumed>) = 101 <0.000300>
100   1790000000.000400 --- SIGUSR1 {si_signo=SIGUSR1, si_code=SI_USER, si_pid=101, si_uid=0} ---
101   1790000000.000500 <... kill resumed>) = 0 <0.000300>
"""


def test_arrows_to_what_came_before_the_return(tmp_path: Path) -> None:
    (tmp_path / "trace").write_text(EARLY)
    make(ReportRequest(file=str(tmp_path / "trace")), Outputs(perfetto=tmp_path / "out.json"))
    events = json.loads((tmp_path / "out.json").read_text())["traceEvents"]
    arrows = {
        (event["ph"], event["name"]): (event["tid"], event["ts"]) for event in events if event.get("cat") == "flow"
    }
    assert arrows == {
        ("s", "fork"): (100, 0), ("f", "fork"): (101, 100), ("s", "SIGUSR1"): (101, 200), ("f", "SIGUSR1"): (100, 400),
    }  # fmt: skip


def test_parquet(made: tuple[Path, TraceReport]) -> None:
    import duckdb

    folder, report = made
    files = sorted((folder / "calls").rglob("*.parquet"))
    assert files
    assert all("host=web-1/date=20" in str(path) for path in files)
    query = (
        "select count(*), sum(duration_ns), count(errno) filter (errno not like 'ERESTART%'), any_value(host) "
        f"from read_parquet('{folder}/calls/**/*.parquet', hive_partitioning = true) where kind = 'call'"
    )
    with duckdb.connect() as engine:
        row = engine.execute(query).fetchone()
    total = report.summary.total
    assert row == (total.calls, total.wall_ns, total.errors, "web-1")


SPARK = """
import json, sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
frame = spark.read.parquet(sys.argv[1]).where("kind = 'call'")
row = frame.selectExpr("count(*)", "sum(duration_ns)", "first(host)").collect()[0]
print(json.dumps([*row, frame.columns]))
spark.stop()
"""


@pytest.mark.skipif(
    not os.environ.get("STRACED_SPARK"), reason="heavy: set STRACED_SPARK=1 (pip install pyspark, Java 17)"
)
@pytest.mark.limit(180)
def test_spark_reads_the_parquet(made: tuple[Path, TraceReport]) -> None:
    folder, report = made
    done = subprocess.run(
        [sys.executable, "-c", SPARK, str(folder / "calls")],
        env={**os.environ, "SPARK_LOCAL_IP": "127.0.0.1"}, capture_output=True, text=True, timeout=170, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *sums, columns = json.loads(done.stdout.splitlines()[-1])
    total = report.summary.total
    assert sums == [total.calls, total.wall_ns, "web-1"]
    assert "date" in columns


@pytest.mark.skipif(not os.environ.get("STRACED_SPEEDSCOPE"), reason="set it to the folder of an unpacked speedscope")
def test_speedscope_reads_the_time_line(made: tuple[Path, TraceReport], tmp_path: Path) -> None:
    """An independent reader of the Chrome format: npm pack speedscope, then its dist/release."""
    import base64

    from tests.support.chromium import Page

    folder, _ = made
    release = Path(os.environ["STRACED_SPEEDSCOPE"])
    data = base64.b64encode((folder / "trace.json").read_bytes()).decode()
    (tmp_path / "p.js").write_text(f"speedscope.loadFileFromBase64('trace.json', '{data}')")
    with Page() as page:
        page.open(f"{(release / 'index.html').as_uri()}#localProfilePath={tmp_path / 'p.js'}")
        page.until("document.title.includes('trace.json')")
        assert "/3)" in page.text().replace("\n", "")


def test_selected_calls_only(made: tuple[Path, TraceReport], tmp_path: Path) -> None:
    folder, _ = made
    out = tmp_path / "some.ndjson"
    selection = TraceSelection(syscalls=frozenset({"openat"}))
    report = make(ReportRequest(file=str(folder / "trace"), selection=selection), Outputs(ndjson=out))
    calls = [json.loads(line) for line in out.read_text().splitlines()]
    assert {call["name"] for call in calls} == {"openat"}
    assert len(calls) == report.summary.total.calls


def test_nothing_half_written_stays(made: tuple[Path, TraceReport], tmp_path: Path) -> None:
    folder, _ = made
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    trace = str(folder / "trace")
    (fresh / "there").write_text("mine")
    with pytest.raises(OutputExists):
        make(ReportRequest(file=trace), Outputs(html=fresh / "new.html", csv=fresh / "there"))
    assert [path.name for path in fresh.iterdir()] == ["there"]
    (fresh / "bad").write_text("no trace at all\n")
    for outputs in (Outputs(html=fresh / "x.html"), Outputs(parquet=fresh / "x", ndjson=fresh / "x.ndjson")):
        with pytest.raises(Exception, match="not strace text"):
            make(ReportRequest(file=str(fresh / "bad")), outputs)
    assert sorted(path.name for path in fresh.iterdir()) == ["bad", "there"]
    with pytest.raises(InvalidArgument):
        make(ReportRequest(file="-"), Outputs(csv=fresh / "x.csv"))
    make(ReportRequest(file=trace), Outputs(html=fresh / "there", overwrite=True))
    assert (fresh / "there").stat().st_mode & 0o777 == 0o600


def test_live_through_a_pipe(tmp_path: Path) -> None:
    """strace into straced report -, as trace | report - does it."""
    strace = subprocess.Popen(
        ["strace", "-f", "-ttt", "-T", "-o", "/dev/stdout", "ls", "/nope"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    page = tmp_path / "live.html"
    done = subprocess.run(
        [sys.executable, "-m", "straced", "report", "-", "--html", str(page)],
        stdin=strace.stdout, capture_output=True, text=True, timeout=60 * PACE, check=False,
    )  # fmt: skip
    assert strace.stdout is not None
    strace.stdout.close()
    strace.wait(10 * PACE)
    assert done.returncode == 0, done.stderr
    assert "execve" in page.read_text()
    assert "(ls)" in done.stdout.splitlines()[0]

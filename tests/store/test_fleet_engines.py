"""The queries of docs/fleet.md, by each engine that it names: their answers are what the hosts did.

DuckDB is asked always; ClickHouse (chdb, 800 MB) and Spark (480 MB and Java) where ``STRACED_CHDB`` and
``STRACED_SPARK`` are 1, or a Python that has them; then of 50 hosts.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.store import exported_hosts as fleet

pytest.importorskip("duckdb", reason="the extra analytics is not installed")
DOCUMENT = Path(__file__).parents[2] / "docs" / "fleet.md"
EIGHT = time.time() // 86400 * 86400 - 2 * 86400 + 8 * 3600
HEAVY = {"ClickHouse": "STRACED_CHDB", "Spark": "STRACED_SPARK"}
HOSTS = 50 if any(os.environ.get(name) for name in HEAVY.values()) else 3
RUN = {
    "DuckDB": """
import duckdb
engine = duckdb.connect()
def run(sql): engine.execute(sql)
def ask(sql): return engine.execute(sql).fetchall()
""",
    "ClickHouse": """
from chdb import session
engine = session.Session("chdb")
engine.query("create database straced"); engine.query("use straced")
def run(sql): engine.query(sql)
def ask(sql): return [list(json.loads(line).values()) for line in str(engine.query(sql, "JSONEachRow")).splitlines()]
""",
    "Spark": """
from pyspark.sql import SparkSession
engine = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config(
    "spark.sql.shuffle.partitions", "1").getOrCreate()
def run(sql): engine.sql(sql)
def ask(sql): return [list(row) for row in engine.sql(sql).collect()]
""",
}
ASK = """
import json, sys
{run}
setup, queries = json.load(sys.stdin)
for each in setup: run(each)
print(json.dumps([ask(each) for each in queries], default=float))
sys.stdout.flush()
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fleet")
    fleet.export(folder / "srv", folder / "room", EIGHT, HOSTS)
    return folder / "srv"


def blocks() -> tuple[dict[str, list[str]], list[str]]:
    """The statements that make each engine's tables, and the queries of the document."""
    setup: dict[str, list[str]] = {}
    queries = []
    for title, text in re.findall(r"```sql\n-- ([^\n]+)\n(.*?)```", DOCUMENT.read_text(), re.DOTALL):
        if title in RUN:
            setup[title] = [each for each in text.split(";") if each.strip()]
        else:
            queries.append(text)
    return setup, queries


@pytest.mark.limit(240)
@pytest.mark.parametrize("engine", RUN)
def test_the_queries_of_the_document(shared: Path, engine: str, tmp_path: Path) -> None:
    python = os.environ.get(HEAVY[engine], "") if engine in HEAVY else "1"
    if not python:
        pytest.skip(f"heavy: set {HEAVY[engine]}=1, or to a Python that has it")
    setup, queries = blocks()
    assert len(queries) == 3
    done = subprocess.run(
        [sys.executable if python == "1" else python, "-c", ASK.format(run=RUN[engine])],
        input=json.dumps([[each.replace("/srv/straced", str(shared)) for each in setup[engine]], queries]),
        env={**os.environ, "SPARK_LOCAL_IP": "127.0.0.1"}, cwd=tmp_path, capture_output=True, text=True, timeout=220,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    failing, p99, minutes = json.loads(done.stdout.splitlines()[-1])
    check_failing(failing)
    check_p99(p99)
    check_minutes(minutes)


def check_failing(rows: list[Any]) -> None:
    by_errors = sorted(range(HOSTS), reverse=True)[:10]
    assert [(host, program, call, errno, int(times)) for host, program, call, errno, times in rows] == [
        (fleet.name(number), "web", "read", "EAGAIN", 2 * len(fleet.MINUTES) * (number + 1)) for number in by_errors
    ]


def check_p99(rows: list[Any]) -> None:
    assert [(host, program, call) for host, program, call, _p99 in rows][: (HOSTS + 1) // 2] == [
        (fleet.name(number), "db", "fdatasync") for number in range(0, HOSTS, 2)
    ][:10]
    assert all(fleet.SLOW_NS < float(row[3]) * 1e6 <= fleet.SLOW_NS * 1.25 for row in rows[: (HOSTS + 1) // 2])


def check_minutes(rows: list[Any]) -> None:
    every = sum(fleet.reads(number) for number in range(HOSTS))
    errors = sum(number + 1 for number in range(HOSTS))
    assert [(float(at), int(calls), int(failed), int(hosts)) for at, calls, failed, hosts in rows] == [
        (EIGHT + 3600 * hour + 60 * minute, every, errors, HOSTS) for hour in (0, 1) for minute in fleet.MINUTES
    ]

"""Real Prometheus and real VictoriaMetrics scrape a real service, and the dashboard's queries return data.

They start, scrape twice and answer: some seconds, which is what these two tests take.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.service.daemon import serving
from tests.service.needs import needs_ebpf
from tests.service.processes import READY, running

DASHBOARD = Path(__file__).parents[2] / "docs" / "grafana-dashboard.json"
RULES = DASHBOARD.with_name("prometheus-rules.yml")
RULES_TEST = Path(__file__).with_name("rules_test.yml")
MEDIAN = (
    "histogram_quantile(0.5, sum by (le)"
    ' (rate(straced_syscall_duration_seconds_bucket{job="build-42",class="wait",NONCE}[15s]))) > 0'
)
BETWEEN_S = (2**23 / 1e9, 2**26 / 1e9)
"""Of a sleep of 10 ms: the bucket of that begins with the first, and a machine that is at work may need longer."""
GETPPIDS = 1009
WORK = (
    "import ctypes\ngetppid = ctypes.CDLL(None).getppid\n"
    + READY
    + f"sys.stdin.readline()\nfor _ in range({GETPPIDS}): getppid()\n"
    + "while True:\n    try: os.stat('/nonexistent')\n    except OSError: pass\n    time.sleep(0.01)\n"
)
ANSWER_S = 45.0
pytestmark = [needs_ebpf, pytest.mark.limit(120)]


def free_port() -> int:
    """A port of this host that nobody has now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def store(folder: Path, name: str, target: int, *more: str) -> Iterator[str]:
    """A Prometheus or a VictoriaMetrics that scrapes ``target``; gives the address of its API."""
    port = free_port()
    config = folder / "scrape.yml"
    config.write_text(
        "global: {scrape_interval: 250ms}\nscrape_configs:\n- job_name: straced\n  honor_labels: true\n"
        f"  static_configs: [{{targets: ['127.0.0.1:{target}']}}]\n"
    )
    data, where = folder / "data", f"127.0.0.1:{port}"
    argv = {
        "prometheus": [
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={data}",
            f"--web.listen-address={where}",
        ],
        "victoriametrics": [
            "victoria-metrics",
            f"-promscrape.config={config}",
            f"-storageDataPath={data}",
            f"-httpListenAddr={where}",
            "-search.latencyOffset=0s",
            "-search.disableCache",
        ],
    }[name]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*argv, *more], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)
    try:
        yield f"http://{where}"
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def ask(address: str, path: str, **params: str) -> list[Any]:
    """What the API of Prometheus (which both have) answers; nothing while it is not up."""
    try:
        with urllib.request.urlopen(f"{address}{path}?{urllib.parse.urlencode(params)}", timeout=10) as answer:
            data = json.load(answer)["data"]
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return []
    return data["result"] if isinstance(data, dict) else data


def until_data(address: str, path: str, deadline: float, **params: str) -> list[Any]:
    """Ask until something is answered.

    VictoriaMetrics remembers for ten seconds or more that a filter matched nothing. ``NONCE`` in a query makes each
    attempt another filter.
    """
    for attempt in itertools.count():
        now = {name: value.replace("NONCE", f'nonce!="{attempt}"') for name, value in params.items()}
        if found := ask(address, path, **now):
            return found
        assert time.monotonic() < deadline, f"no data: {path} {now}"
        time.sleep(0.2)
    raise AssertionError


def queries() -> list[str]:
    """The dashboard's, as Grafana would send them for all instances."""
    board = json.loads(DASHBOARD.read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    for name, value in (("$instance", ".*"), ("$job", ".*"), ("$program", ".*"), ("$__rate_interval", "15s")):
        asked = [each.replace(name, value) for each in asked]
    return asked


def rules() -> list[tuple[str, str]]:
    """Kind and expression of each rule in the documentation."""
    found = re.findall(r"- (record|alert): .*\n    expr: (?:\|\n((?:      .*\n)+)|(.*)\n)", RULES.read_text())
    return [(kind, " ".join((several or one).split())) for kind, several, one in found]


def accepted(address: str, query: str) -> bool:
    """Whether a query is one at all, with or without an answer now."""
    with urllib.request.urlopen(
        f"{address}/api/v1/query?{urllib.parse.urlencode({'query': query})}", timeout=10
    ) as got:
        return bool(json.load(got)["status"] == "success")


@pytest.mark.needs("promtool")
def test_the_rules_fire_when_they_should_and_not_before() -> None:
    assert len(rules()) == 8
    for words in (("check", "rules", str(RULES)), ("test", "rules", str(RULES_TEST))):
        done = subprocess.run(["promtool", *words], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("prometheus", marks=pytest.mark.needs("prometheus")),
        pytest.param("victoriametrics", marks=pytest.mark.needs("victoriametrics")),
    ],
)
def test_every_query_of_the_dashboard_returns_data(tmp_path: Path, name: str) -> None:
    port = free_port()
    config = f'[metrics]\nlisten = "127.0.0.1:{port}"\n'
    with running(WORK) as target, store(tmp_path, name, port) as address:
        watch = f'[[watch]]\ntarget = "{target.pid}"\nlabels = {{job = "build-42"}}\n'
        with serving(tmp_path, watch + config):
            deadline = time.monotonic() + ANSWER_S
            own = 'straced_processes{job="build-42", NONCE}'
            until_data(address, "/api/v1/query", deadline, query=own)
            assert target.stdin is not None
            target.stdin.write("go\n")
            target.stdin.flush()
            exact = f'straced_syscalls_total{{job="build-42", syscall="getppid", NONCE}} == {GETPPIDS}'
            (counted,) = until_data(address, "/api/v1/query", deadline, query=exact)
            assert counted["metric"]["program"].startswith("python")
            assert counted["metric"]["instance"] == f"127.0.0.1:{port}"
            for query in queries():
                values = until_data(address, "/api/v1/query", deadline, query=query)
                assert all(float(each["value"][1]) >= 0 for each in values), query
            for kind, query in rules():
                if kind == "record" and "job_program:" not in query:
                    until_data(address, "/api/v1/query", deadline, query=query)
                assert accepted(address, query), query
            (median,) = until_data(address, "/api/v1/query", deadline, query=MEDIAN)
            assert BETWEEN_S[0] <= float(median["value"][1]) <= BETWEEN_S[1], "within its bucket, a power of two"
            names = until_data(address, "/api/v1/label/instance/values", deadline, **{"match[]": "straced_build_info"})
            assert names == [f"127.0.0.1:{port}"]

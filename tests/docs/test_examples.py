"""Each file of examples/ does what it says."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from straced.linux import procfs
from tests.docs.snippets import ROOT
from tests.support.poll import until

EXAMPLES = ROOT / "examples"
HERE = {"slow_calls.py", "job_daemon.py", "fastapi_jobs.py", "pytest_project", "grafana"}
ELSEWHERE = {"drop_in.py": "contract/test_drop_in.py"}
"""Tests that run an example, and name it."""
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
ENVIRONMENT = {**os.environ, "PATH": PATH, "PYTHONDONTWRITEBYTECODE": "1"}


def test_each_example_is_run_by_a_test() -> None:
    there = {path.name for path in EXAMPLES.iterdir() if path.name != "__pycache__"}
    assert there == HERE | set(ELSEWHERE)
    assert [name for name, test in ELSEWHERE.items() if name not in (ROOT / "tests" / test).read_text()] == []


# --- a daemon of jobs ---


@pytest.mark.needs("strace")
def test_the_daemon_tells_of_each_job() -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "job_daemon.py"], input="exit 3\ncat /dev/null\n", capture_output=True, text=True,
        env=ENVIRONMENT, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.search(r"^exit 3: status 3, \d+ calls \(\w+ \d+, ", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"^cat /dev/null: status 0, \d+ calls", done.stdout, re.MULTILINE)


@pytest.mark.needs("strace")
def test_no_job_outlives_a_daemon_that_is_told_to_end() -> None:
    daemon = subprocess.Popen(
        [sys.executable, EXAMPLES / "job_daemon.py"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        env=ENVIRONMENT, start_new_session=True,
    )  # fmt: skip
    try:
        assert daemon.stdin is not None
        daemon.stdin.write("exec sleep 1000\n")
        daemon.stdin.close()

        def jobs() -> list[int]:
            return [pid for pid in procfs.descendants(daemon.pid) if _words(pid)[:2] == ["sleep", "1000"]]

        (job,) = until(jobs, 30, "the job runs")
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(60) == 0
        until(lambda: _words(job)[:1] != ["sleep"], 30, "the job has ended")
    finally:
        daemon.kill()
        daemon.wait()


def _words(pid: int) -> list[str]:
    try:
        return list(procfs.cmdline(pid))
    except (procfs.Gone, OSError):
        return []


# --- slow calls ---


@pytest.mark.needs("ebpf")
def test_slow_calls_are_told_with_their_file(tmp_path: Path) -> None:
    """A reader whose bytes come 20 ms apart at least, until one of its reads is told."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    code = "import os, sys\nfd = os.open(sys.argv[1], os.O_RDWR)\nwhile True: os.read(fd, 1)"
    with subprocess.Popen([sys.executable, "-c", code, path]) as target:
        words = [sys.executable, EXAMPLES / "slow_calls.py", str(target.pid)]
        example = subprocess.Popen(words, stdout=subprocess.PIPE, env={**ENVIRONMENT, "PYTHONUNBUFFERED": "1"})
        assert example.stdout is not None
        try:
            with path.open("rb+", buffering=0) as fifo:
                until(lambda: fifo.write(b"x") and select.select([example.stdout], [], [], 0)[0], 60, pause_s=0.02)
            assert re.match(rf"\d+ read (took|is inside) [\d,]+ ms: {path}\n", example.stdout.readline().decode())
        finally:
            target.kill()
            example.kill()
            example.communicate()


# --- an endpoint ---


@pytest.mark.needs("fastapi", "uvicorn", "ebpf")
def test_the_endpoint_tells_of_a_job_while_it_runs_and_afterwards(tmp_path: Path) -> None:
    server = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "fastapi_jobs:app", "--app-dir", str(EXAMPLES), "--port", "0"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, cwd=tmp_path,
    )  # fmt: skip
    try:
        assert server.stderr is not None
        said = ""
        while not (found := re.search(r"http://[\d.]+:\d+", said)):
            line = server.stderr.readline()
            assert line, said
            said += line
        url = found[0]
        job = _ask(f"{url}/jobs?command={urllib.parse.quote('sleep 1000')}", method="POST")
        until(lambda: _ask(f"{url}/jobs/{job['job']}")["most"], 30, "it has made calls")
        running = _ask(f"{url}/jobs/{job['job']}")
        assert running["running"] is True
        assert running["quality"] == "exact"
        assert running["most"]
        assert _ask(f"{url}/jobs/{job['job']}/why")["verdict"] == "idle"
        os.kill(job["pid"], signal.SIGTERM)
        until(lambda: _ask(f"{url}/jobs/1")["running"] is False, 30, "the job has ended")
        assert _ask(f"{url}/jobs/1")["calls"] >= running["calls"]
    finally:
        server.terminate()
        server.communicate(timeout=60)


def _ask(url: str, method: str = "GET") -> dict[str, Any]:
    with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


# --- a project with budgets ---


def _budgets(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    options = ("-q", "-p", "no:cacheprovider", "-p", "straced.pytest_plugin", "--basetemp", str(place / "tmp"))
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, *words], cwd=place, capture_output=True, text=True, timeout=100,
        env={**ENVIRONMENT, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )  # fmt: skip


@pytest.mark.needs("ebpf")
@pytest.mark.limit(120)
def test_the_project_keeps_its_budgets_until_somebody_syncs(tmp_path: Path) -> None:
    place = tmp_path / "project"
    shutil.copytree(EXAMPLES / "pytest_project", place, ignore=shutil.ignore_patterns("__pycache__"))
    done = _budgets(place, "--syscalls-record", "syscalls.toml")  # another Python makes other calls
    assert done.returncode == 0, done.stdout
    source = (place / "store.py").read_text()
    slow = source.replace(
        "(json.dumps(settings))", "(json.dumps(settings))\n    with path.open() as file:\n        os.fsync(file)"
    )
    (place / "store.py").write_text(slow.replace("import json\n", "import json\nimport os\n"))
    done = _budgets(place, "--syscalls-check", "syscalls.toml")
    assert done.returncode == 1
    assert re.search(r"^ fsync +(\(new\) +)?0 +1 +\+1", done.stdout, re.MULTILINE), done.stdout


def test_the_file_of_budgets_is_of_these_tests() -> None:
    place = EXAMPLES / "pytest_project"
    names = re.findall(r"^def (test_\w+)", (place / "test_store.py").read_text(), re.MULTILINE)
    recorded = re.findall(r'^\["test_store.py::(\w+)"\]$', (place / "syscalls.toml").read_text(), re.MULTILINE)
    assert sorted(recorded) == sorted(names)


# --- Grafana and Prometheus ---


def test_what_the_compose_file_mounts_is_there() -> None:
    text = (EXAMPLES / "grafana" / "compose.yaml").read_text()
    mounted = re.findall(r"^ +- (\.\S+?):(\S+?)(?::ro)?$", text, re.MULTILINE)
    assert len(mounted) == 5
    assert [source for source, _ in mounted if not (EXAMPLES / "grafana" / source).is_file()] == []
    places = {place for _, place in mounted}
    assert re.search(r"config.file=(\S+?),", text)[1] in places  # type: ignore[index]
    folder = re.search(r"path: (\S+)", (EXAMPLES / "grafana" / "dashboards.yaml").read_text())
    assert folder is not None
    assert any(place.startswith(f"{folder[1]}/") and place.endswith(".json") for place in places)


@pytest.mark.needs("promtool")
def test_prometheus_takes_its_configuration(tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "grafana" / "prometheus.yml", tmp_path)
    shutil.copy(ROOT / "docs" / "prometheus-rules.yml", tmp_path / "straced-rules.yml")
    done = subprocess.run(
        ["promtool", "check", "config", tmp_path / "prometheus.yml"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rules found" in done.stdout

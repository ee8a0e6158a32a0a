"""What a daemon's log shows of an event, with nothing configured, and with ``logging.basicConfig()``.

Of `logs.py` and `manager/log_events.py`.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from straced import StraceManager
from tests.support.events import Events, name_of
from tests.support.owner import environment
from tests.support.rival import rival_strace
from tests.support.workload import Starter

pytestmark = pytest.mark.needs("strace", "cc")


def said(code: str, *words: object) -> list[str]:
    """The lines on stderr of a program that runs ``code``."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, timeout=60, env=environment()
    )
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()


REFUSED = """
import asyncio, logging, sys, straced
CONFIGURE
async def main():
    manager = straced.StraceManager()
    assert not await manager.attach(int(sys.argv[1]))
asyncio.run(main())
"""


def test_a_plain_log_shows_pid_and_reason(start: Starter) -> None:
    workload = start("tick")
    with rival_strace(workload.pid) as rival:
        lines = said(REFUSED.replace("CONFIGURE", "logging.basicConfig()"), workload.pid)
    event = f"WARNING:straced:strace_permission_denied pid={workload.pid}: "
    (line,) = [line for line in lines if line.startswith(event)]
    assert str(rival.pid) in line


def test_a_style_of_braces_shows_the_same(start: Starter) -> None:
    configure = "logging.basicConfig(style='{', format='{levelname}|{message}|{straced[event]}|{straced[pid]}')"
    (line,) = said(REFUSED.replace("CONFIGURE", configure), 1)
    assert line.startswith("WARNING|strace_attach_failed pid=1: ")
    assert line.endswith("|strace_attach_failed|1")


def test_nothing_configured_is_silence() -> None:
    assert said(REFUSED.replace("CONFIGURE", ""), 1) == []


@pytest.mark.parametrize("module", ["blocking", "profiling.profiler", "manager.strace_manager", "tracers.ebpf.libbpf"])
def test_the_package_has_a_null_handler(module: str) -> None:
    code = f"import logging, straced.{module}; print([type(h).__name__ for h in logging.getLogger('straced').handlers])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "['NullHandler']\n", done.stderr


async def test_name_and_fields_stay_as_they_are(
    manager: StraceManager, start: Starter, events: Events, tmp_path: Path
) -> None:
    workload = start("tick")
    assert await manager.attach(workload.pid)
    assert await manager.attach_full_trace(workload.pid, tmp_path / "a\nb")
    record = next(each for each in events.records if name_of(each) == "strace_attached")
    helper = record.__dict__["straced"]["strace_pid"]
    assert record.__dict__["straced"] == {"event": "strace_attached", "pid": workload.pid, "strace_pid": helper}
    assert isinstance(helper, int)
    assert record.getMessage() == f"strace_attached pid={workload.pid} strace_pid={helper}"
    assert (record.levelno, record.name) == (logging.INFO, "straced")
    record = next(each for each in events.records if name_of(each) == "full_trace_attached")
    assert record.__dict__["straced"]["output_file"] == str(tmp_path / "a\nb")
    assert "\n" not in record.getMessage(), "one event, one line"


LIBBPF = """
import asyncio, collections, logging, sys, straced
counts = collections.Counter()
class Count(logging.Handler):
    def emit(self, record):
        counts[record.name] += 1
logging.basicConfig(level=logging.DEBUG, handlers=[Count()])
if ASKED:
    logging.getLogger("straced.libbpf").setLevel(logging.DEBUG)
async def main():
    async with straced.Profiler("ebpf") as profiler:
        await (await profiler.attach(int(sys.argv[1]))).detach()
asyncio.run(main())
print(counts["straced.libbpf"] > 100, counts["straced.libbpf"] > 0, counts["straced"], file=sys.stderr)
"""


@pytest.mark.needs("ebpf")
@pytest.mark.parametrize("asked", [False, True])
def test_libbpf_speaks_only_when_it_is_asked(start: Starter, asked: bool) -> None:
    workload = start("tick")
    (line,) = said(LIBBPF.replace("ASKED", str(asked)), workload.pid)
    assert line == f"{asked} {asked} 0"

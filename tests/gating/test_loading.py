"""No gate waits while programs are loaded: that may take longer than its patience; the rest of an attach does not."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.owner import environment

PRELUDE = """
import asyncio, json, os, sys
from pathlib import Path
from straced import Profiler
from straced.tracers.ebpf import tracer
from straced.workflows.run import Launch, run

load, seen = tracer.suited_engine, []

def looking(**options):
    me = Path("/proc/self/task")
    pids = [pid for task in me.iterdir() for pid in (task / "children").read_text().split()]
    seen.append([pid for pid in pids if b"straced-gate" in Path("/proc", pid, "cmdline").read_bytes()])
    return load(**options)

tracer.suited_engine = looking
"""
SPAWN = """
async def main():
    async with Profiler("ebpf") as profiler:
        session = await profiler.spawn(["true"])
        await session.process.wait()
        return (await session.result()).quality.kind

kind = asyncio.run(main())
"""
RUN = """
kinds = []
status = run(Launch(argv=["true"], tracer="ebpf"), lambda summary: kinds.append(summary.quality.kind))
assert status == 0
kind, = kinds
"""


@pytest.mark.needs("ebpf")
@pytest.mark.parametrize("start", [SPAWN, RUN], ids=["spawn", "run"])
def test_programs_are_loaded_before_a_gate_waits(start: str) -> None:
    code = f"{PRELUDE}{start}\nprint(json.dumps([seen, kind]))"
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert json.loads(done.stdout) == [[[]], "exact"]

"""`benchmarks/tracefs.py`: rivals find their tracepoints, and where they cannot, the benchmarks go on without them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import tracefs

from tests.support.refuse import under

pytestmark = pytest.mark.needs("root", "tmpfs")
ROOT = Path(__file__).parents[2]
CODE = "from benchmarks import tracefs\ntracefs.begin_with_it()\nprint(tracefs.is_mounted())"
HIDDEN = 'for place in /sys/kernel/tracing /sys/kernel/debug; do mount -t tmpfs none $place; done; exec "$@"'
SYS_MOUNT = 40 if os.uname().machine == "aarch64" else 165


def said(*prefix: str) -> str:
    """Whether a benchmark has it that is started where it is not mounted."""
    argv = ["unshare", "--mount", "sh", "-c", HIDDEN, "sh", *prefix, sys.executable, "-c", CODE]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_benchmark_has_it_mounted_for_itself() -> None:
    before = tracefs.is_mounted()
    assert said() == "True"
    assert tracefs.is_mounted() == before, "nobody else has it"


def test_it_goes_on_where_nothing_may_be_mounted() -> None:
    assert said(*under(str(SYS_MOUNT))) == "False"

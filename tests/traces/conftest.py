"""What the tests of full traces share."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.pace import PACE
from tests.traces.recorded import need, record


@pytest.fixture(scope="session")
def truth(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The program whose calls are known."""
    built = tmp_path_factory.mktemp("truth") / "truth"
    source = Path(__file__).with_name("truth.c")
    subprocess.run([need("cc"), "-O1", "-pthread", "-o", str(built), str(source)], check=True, timeout=60 * PACE)
    return str(built)


@pytest.fixture(scope="session")
def shell_trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trace of some processes, in straced's own form."""
    script = "for i in 1 2 3 4 5 6 7 8; do ls /nope /etc | cat >/dev/null; done; exit 3"
    return record(tmp_path_factory.mktemp("shell"), ["sh", "-c", script])

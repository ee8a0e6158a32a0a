"""What the unit tests share."""

from __future__ import annotations

import os
import shutil

import pytest


@pytest.fixture(scope="session")
def strace_path() -> str:
    """The strace installed here; missing, the test is skipped, or fails where STRACED_REQUIRE names it."""
    found = shutil.which("strace")
    if found is None:
        if "strace" in os.environ.get("STRACED_REQUIRE", "").split(","):
            pytest.fail("no strace on PATH, and STRACED_REQUIRE asks for it")
        pytest.skip("no strace on PATH")
    return found

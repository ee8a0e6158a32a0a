"""What the unit tests share."""

from __future__ import annotations

import shutil

import pytest

from tests.support.needs import require


@pytest.fixture(scope="session")
def strace_path() -> str:
    """The strace installed here; missing, the test is skipped, or fails where STRACED_REQUIRE names it."""
    require("strace")
    found = shutil.which("strace")
    assert found is not None
    return found

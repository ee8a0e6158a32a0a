"""Fixtures of the tests of the library as a whole."""

from __future__ import annotations

import pytest

from tests.support.needs import require


@pytest.fixture(params=["ebpf", "strace"])
def tracer(request: pytest.FixtureRequest) -> str:
    if request.param == "ebpf":
        require("ebpf")
    return str(request.param)

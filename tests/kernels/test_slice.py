"""The slice of ``make kernels`` that is part of the suite: Debian 12's own kernel, so that it cannot stop to load."""

from __future__ import annotations

import json

import pytest

from tests.kernels.catalogue import SLICE
from tests.kernels.conftest import NEEDS
from tests.kernels.slice import SECONDS
from tests.kernels.suite import FEW, SLICE_CHECKS, good
from tests.support.aside import Aside
from tests.support.needs import unavailable


@pytest.mark.needs(*NEEDS)
@pytest.mark.limit(SECONDS + 200)  # what a first download takes
def test_an_older_kernel(emulated: Aside) -> None:
    """It loads, counts four workloads exactly, and `doctor` and `run` say so."""
    found = json.loads(emulated.result(SECONDS + 180))
    if "missing" in found:
        unavailable("kernels", found["missing"])
    rows = found["rows"]
    assert [row for row in rows if not good(row)] == []
    assert [row.get("workload") or row["check"] for row in rows] == [*FEW, *SLICE_CHECKS]
    assert found["release"].startswith(f"{SLICE}.")

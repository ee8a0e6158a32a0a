"""The slice of ``make kernels`` that is part of the suite: Debian 12's own kernel, so that it cannot stop to load."""

from __future__ import annotations

import pytest

from tests.kernels.catalogue import BY_NAME, SLICE
from tests.kernels.packages import NotToBeHad
from tests.kernels.suite import FEW, SLICE_CHECKS, good, measure
from tests.support.needs import unavailable


@pytest.mark.needs("kernels", "cc", "root", "strace")
@pytest.mark.limit(480)  # five minutes for the machine, and what a first download takes
def test_an_older_kernel() -> None:
    """It loads, counts four workloads exactly, and `doctor` and `run` say so."""
    try:
        found = measure(BY_NAME[SLICE], small=True, seconds=280)
    except NotToBeHad as error:
        unavailable("kernels", str(error))
    rows = found["rows"]
    assert [row for row in rows if not good(row)] == []
    assert [row.get("workload") or row["check"] for row in rows] == [*FEW, *SLICE_CHECKS]
    assert found["release"].startswith(f"{SLICE}.")

"""The slice of ``make kernels`` that is part of the suite: Debian 12's own kernel, so that it cannot stop to load."""

from __future__ import annotations

import platform
import re

import pytest

from tests.kernels import results
from tests.kernels.catalogue import BY_NAME, SLICE
from tests.kernels.packages import NotToBeHad
from tests.kernels.suite import FEW, SLICE_CHECKS, good, measure
from tests.matrix import results as matrix
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


def test_the_page_shows_what_was_kept() -> None:
    """docs/support.md is not written by hand where it tells what was run."""
    page = results.PAGE.read_text()
    kernels, versions = results.load(results.KEPT), matrix.load()
    assert kernels
    assert versions
    assert page.partition(results.BEGIN)[2].partition(results.END)[0] == results.markdown(kernels)
    assert page.partition(matrix.BEGIN)[2].partition(matrix.END)[0] == matrix.markdown(versions)


def test_the_classifiers_are_what_was_run() -> None:
    """Every Python that the package claims stands in a table of the page, or runs this test."""
    claimed = re.findall(r"Python :: (3\.\d+)", (results.ROOT / "pyproject.toml").read_text())
    here = ".".join(platform.python_version_tuple()[:2])
    run = {here} | {row["python"].rpartition(".")[0] for row in matrix.load() if row.get("passed")}
    assert set(claimed) <= run

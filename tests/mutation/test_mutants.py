"""The suite must fail when the tracer is broken: a suite that passes with a bogus flag proves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import straced
from tests.mutation.mutants import MUTANTS, Mutant, copy_source
from tests.support.world import MARKER

pytestmark = [pytest.mark.needs("strace", "cc"), pytest.mark.limit(300)]
ROOT = Path(__file__).parent.parent.parent
SELECTION = [
    "tests/contract/test_attach.py::test_true_means_confirmed_by_the_kernel",
    "tests/contract/test_attach.py::test_every_task_is_traced",
    "tests/contract/test_attach.py::test_threads_that_exist_are_traced",
    "tests/contract/test_attach.py::test_threads_and_children_that_come_later_are_traced",
    "tests/contract/test_detach.py::test_the_shape_of_a_result",
    "tests/contract/test_detach.py::test_running_goes_on",
]


def run_selection(source: Path, folder: Path) -> tuple[int, str]:
    """Run the selection against a copy of the source; the exit status of pytest and what it said."""
    environment = {key: value for key, value in os.environ.items() if key != MARKER}
    environment.update(PYTHONPATH=str(source), PYTHONDONTWRITEBYTECODE="1")
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", "-p", "no:randomly",
         f"--basetemp={folder / 'nested'}", f"--rootdir={ROOT}", *SELECTION],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        out, _ = process.communicate(timeout=90)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, _ = process.communicate()
        raise AssertionError(f"the nested run hung\n{out}") from None
    assert f"straced from {source}" in out, out
    return process.returncode, out


Ran = dict[str, tuple[int, str]]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, binaries: tuple[Path, Path | None]) -> Ran:
    """The status and words of each run, by the mutant's name; two at a time, for a mutant is mostly waited for."""

    def run(mutant: Mutant | None) -> tuple[int, str]:
        folder = tmp_path_factory.mktemp("mutant")
        return run_selection(copy_source(folder / "source", mutant), folder)

    with ThreadPoolExecutor(2) as threads:
        return dict(zip(["", *(mutant.name for mutant in MUTANTS)], threads.map(run, [None, *MUTANTS]), strict=True))


def test_the_unchanged_copy_passes(ran: Ran) -> None:
    status, out = ran[""]
    assert status == 0, out


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_killed(ran: Ran, mutant: Mutant) -> None:
    status, out = ran[mutant.name]
    assert status == 1, f"survived: {mutant.name}\n{out}"
    assert "AssertionError" in out or "Error" in out
    assert "ERROR collecting" not in out, "it must fail a test, not the import"


def test_the_copy_is_not_the_source(tmp_path: Path) -> None:
    """The real source is never changed."""
    before = {path: path.read_bytes() for path in Path(straced.__file__).parent.rglob("*.py")}
    for mutant in MUTANTS:
        copy_source(tmp_path / mutant.name, mutant)
    assert {path: path.read_bytes() for path in before} == before

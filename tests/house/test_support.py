"""docs/support.md tells what was run, and nothing else claims more."""

from __future__ import annotations

import platform
import re
import tomllib

import pytest

from tests.kernels import results
from tests.kernels.catalogue import BY_NAME
from tests.kernels.lifecycles import LIFECYCLES
from tests.kernels.suite import good
from tests.matrix import results as matrix

PYTHON = "Programming Language :: Python :: "


def test_the_page_shows_what_was_kept() -> None:
    """Its tables are not written by hand."""
    page = results.PAGE.read_text()
    kernels, versions = results.load(results.KEPT), matrix.load()
    assert kernels
    assert versions
    assert page.partition(results.BEGIN)[2].partition(results.END)[0] == results.markdown(kernels)
    assert page.partition(matrix.BEGIN)[2].partition(matrix.END)[0] == matrix.markdown(versions)


def test_the_page_says_of_each_kernel_what_its_table_leaves_open() -> None:
    """One that was not run, or of which something failed, has words of its own."""
    kept = {each["kernel"]: each for each in results.load(results.KEPT)}
    assert set(kept) <= set(BY_NAME)
    open_questions = [
        name for name in BY_NAME if not (rows := kept.get(name, {}).get("rows")) or not all(map(good, rows))
    ]
    page = results.PAGE.read_text()
    assert [name for name in open_questions if f"- **{name}**" not in page] == []


def test_the_classifiers_are_what_was_run() -> None:
    """Every Python that the package claims stands in a table of the page, or runs this test; and no other does."""
    project = tomllib.loads((results.ROOT / "pyproject.toml").read_text())["project"]
    claimed = set(re.findall(rf"^{PYTHON}(3\.\d+)$", "\n".join(project["classifiers"]), re.MULTILINE))
    here = ".".join(platform.python_version_tuple()[:2])
    run = {row["python"].rpartition(".")[0] for row in matrix.load() if row.get("passed")}
    assert run <= claimed <= run | {here}
    assert "Operating System :: POSIX :: Linux" in project["classifiers"]
    oldest = min(claimed, key=lambda version: int(version.partition(".")[2]))
    assert project["requires-python"] == f">={oldest}"


@pytest.mark.parametrize("name", [name for names in LIFECYCLES.values() for name in names])
def test_what_is_run_on_other_kernels_is_there(name: str) -> None:
    path, _, function = name.partition("::")
    assert re.search(rf"^(async )?def {function}\(", (results.ROOT / path).read_text(), re.MULTILINE)


def test_the_readme_links_the_page() -> None:
    assert "(docs/support.md)" in (results.ROOT / "README.md").read_text()

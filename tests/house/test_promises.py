"""Every promise and every fault that docs/reliability.md lists has a test by the name that stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
TEXT = (TESTS.parent / "docs" / "reliability.md").read_text()
CODE = re.compile(r"\b[FS]\d{1,3}\b(?<!\bS30[12])(?<!\bF401)")
"""A number in a list that is not in the repository; three rules of ruff look the same."""


def rows(title: str) -> list[str]:
    """The rows of the table below a heading, without its head."""
    section = TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("| ")][2:]


def named(row: str) -> list[tuple[str, str]]:
    """The file and the name of each test in a row."""
    return [(path, name) for path, name in re.findall(r"`([\w/]+\.py)::(test_\w+)`", row)]


@pytest.mark.parametrize(
    ("title", "many"), [("What `StraceManager` promises", 31), ("Faults that the tests stage", 70)]
)
def test_each_has_a_test(title: str, many: int) -> None:
    found = rows(title)
    assert len(found) >= many
    for row in found:
        assert named(row), f"no test is named: {row}"
        for path, name in named(row):
            assert re.search(rf"\bdef {name}\b", (TESTS / path).read_text()), f"{path} has no {name}"


@pytest.mark.parametrize("fault", ["Yama", "two tracers that trace each other"])
def test_what_cannot_be_tested_is_named_too(fault: str) -> None:
    assert any(row.startswith(f"| {fault}") for row in rows("What cannot be tested here"))


@pytest.mark.parametrize("folder", ["contract", "faults"])
def test_each_file_of_promises_is_named(folder: str) -> None:
    there = {f"{folder}/{path.name}" for path in (TESTS / folder).glob("test_*.py")}
    assert {name for name in there if f"`{name}" not in TEXT} == set()


def test_no_code_refers_to_a_list_that_is_elsewhere() -> None:
    root = TESTS.parent
    paths = [path for part in ("src", "tests", "docs", "bpf") for path in (root / part).rglob("*")]
    found = [
        f"{path.relative_to(root)}:{number}"
        for path in (*paths, root / "README.md", root / "CONTRIBUTING.md")
        if path.suffix in (".py", ".md", ".c", ".h") and path != Path(__file__) and "node_modules" not in path.parts
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if CODE.search(line) or re.search(r"\bdef test_[fps]\d+_", line)
    ]
    assert found == []
    assert CODE.search("split at the last bracket (F93)")
    assert not CODE.search("pickle.loads(data)  # noqa: S301")

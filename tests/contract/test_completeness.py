"""Every point of the contract, and every row of the fault matrix that concerns strace, has a test by its name."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent.parent
POINTS = range(1, 32)
FAULTS = [*range(1, 11), 12, *range(13, 23), *range(25, 51), *range(52, 75)]
SECURITY = [*range(6, 15), 19, 25]
ELSEWHERE = {
    11: "tests/tracers/permissions",  # Yama: with a /proc of the test's own, this kernel has none
    57: "test_p17_the_locale_of_the_owner_does_not_matter",
}


def named(letter: str) -> set[int]:
    """The numbers that stand in the names of tests, ``test_f59_f60_...`` for two of them."""
    found: set[int] = set()
    for path in TESTS.rglob("test_*.py"):
        for name in re.findall(r"def (test_\w+)", path.read_text()):
            found |= {int(number) for number in re.findall(rf"(?<=_){letter}(\d\d)(?=_)", name)}
    return found


def test_every_point_has_a_test() -> None:
    assert set(POINTS) - named("p") == set()


def test_every_fault_that_can_be_made_here_has_a_test() -> None:
    assert set(FAULTS) - named("f") - set(ELSEWHERE) == set()
    text = "".join(path.read_text() for path in TESTS.rglob("test_*.py") if path != Path(__file__))
    assert ELSEWHERE[57] in text
    assert list((TESTS / "tracers" / "permissions").glob("test_*.py"))


def test_every_threat_has_a_test() -> None:
    assert set(SECURITY) - named("s") == set()


def test_what_cannot_be_tested_is_named_in_the_documentation() -> None:
    text = (TESTS.parent / "docs" / "reliability.md").read_text()
    assert "## What cannot be tested here" in text
    for row in (11, 16):
        assert f"F{row}" in text

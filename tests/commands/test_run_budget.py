"""``straced run --max``: the status, the table, and the files for CI.

Of `workflows/budget.py`, `views/text/budget.py`, `views/junit.py` and `views/markdown.py`.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from straced.model.budgets import BudgetVerdict, CallCounts
from straced.views.junit import junit
from straced.views.markdown import markdown
from tests.support.cli import straced
from tests.support.workload import Starter

STRACE = ("run", "--tracer", "strace")


@pytest.mark.needs("strace", "cc")
def test_a_broken_budget_is_told_in_a_table_and_to_ci(start: Starter, tmp_path: Path) -> None:
    page = tmp_path / "summary.md"
    page.write_text("# Of another step\n")
    files = ("--junit", tmp_path / "j.xml", "--summary", page)
    done = straced(*STRACE, "--max", "getppid=499", "--max", "fsync=0", *files, "--", start.gt, "n", 500)
    assert done.status == 1
    lines = done.err.splitlines()
    told = lines.index("straced: system call budget broken: 1 of 2 limits")
    assert [line.split() for line in lines[told + 1 :]] == [
        ["call", "limit", "made", "over"], ["getppid", "499", "500", "+1"],
    ]  # fmt: skip
    (suite,) = ElementTree.parse(tmp_path / "j.xml").iter("testsuite")
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    outcomes = {case.get("name"): [each.tag for each in case] for case in suite.iter("testcase")}
    assert outcomes == {"getppid <= 499": ["failure"], "fsync <= 0": []}
    text = page.read_text()
    assert text.startswith("# Of another step\n### straced: ")
    assert "| getppid | 499 | 500 | broken |" in text


@pytest.mark.needs("strace", "cc")
def test_the_commands_own_status_goes_first(start: Starter) -> None:
    done = straced(*STRACE, "--max", "total=0", "--", "sh", "-c", "exit 7")
    assert done.status == 7
    assert "budget broken" in done.err


@pytest.mark.needs("strace", "cc")
def test_a_budget_that_is_kept(start: Starter) -> None:
    done = straced(*STRACE, "--max", "getppid=500", "--", start.gt, "n", 500)
    assert done.status == 0
    assert done.err.endswith("straced: system call budget kept: 1 limit\n")


def test_a_budget_that_cannot_be_verified_is_not_kept() -> None:
    done = straced("run", "--tracer", "sampler", "--max", "fsync=0", "--", "true")
    assert done.status == 125
    assert done.err.endswith("straced: system call budget not verified: calls were not counted\n")


@pytest.mark.parametrize("words", [("--junit", "/nowhere/j.xml"), ("--summary", "/nowhere/s.md")])
def test_nothing_is_run_when_a_file_cannot_be_made(words: tuple[str, ...], tmp_path: Path) -> None:
    done = straced("run", "--max", "fsync=0", *words, "--", "touch", tmp_path / "ran")
    done.assert_clear_error(125)
    assert not (tmp_path / "ran").exists()


def test_foreign_text_stays_text() -> None:
    title = 'sh -c "<b>&|`x`\x1b[31m"'
    doubt = BudgetVerdict(counts=CallCounts(), doubt="<i> were lost")
    (suite,) = ElementTree.fromstring(junit(title, {"read": 1}, doubt, 0.5)).iter("testsuite")
    assert suite.get("errors") == "1"
    assert "\x1b" not in (suite.get("name") or "")
    page = markdown(title, None, {"read": 1}, doubt)
    assert "<b>" not in page.replace("\\<", "")
    assert "| read | 1 | 0 | not verified |" in page

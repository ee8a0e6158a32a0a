"""One of a thing is called by its singular, in every view: no `1 calls`.

Of `text/units.py`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct, structs

from straced.model.budgets import BudgetVerdict, CallCounts
from straced.records.values import RecordKind
from straced.text.units import count_of
from straced.traces.diff.compare import compare
from straced.traces.diff.profile import of_report
from straced.traces.report.request import ReportRequest
from straced.views.html.page import render as page
from straced.views.markdown import markdown
from straced.views.text import diff
from straced.views.text.report import render
from straced.views.text.spans import plain
from straced.workflows.report import make
from tests.traces.test_waiting import made_record, written_records
from tests.traces.written import lines, report_of
from tests.views.text import wide_values as wide
from tests.views.text.test_widths import TABLES, TEXTS

_ONES = re.compile(r"(?<![\d.,:])1 ([a-z]+s)\b")
_SINGULAR = {"process", "us", "ms", "ns", "s"}


def _ones(value: Any) -> Any:
    """The same value with one of everything."""
    if isinstance(value, Struct):
        return structs.replace(value, **{name: _ones(getattr(value, name)) for name in value.__struct_fields__})
    if isinstance(value, (tuple, list)):
        return type(value)(map(_ones, value[: 2 if isinstance(value[0], str) else 1])) if value else value
    if isinstance(value, dict):
        return {key: _ones(each) for key, each in list(value.items())[:1]}
    return 1 if isinstance(value, int) and not isinstance(value, bool) else value


def _plurals(text: str) -> set[str]:
    return set(_ONES.findall(text)) - _SINGULAR


@pytest.mark.parametrize("name", [*TABLES, *TEXTS])
def test_a_view_of_one_of_everything(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for known, value in vars(wide).items():
        if known.isupper() and isinstance(value, (Struct, tuple, list)):
            monkeypatch.setattr(wide, known, _ones(value))
    told = plain((TEXTS.get(name) or TABLES[name])(None))
    assert not _plurals(told), told


def test_a_report_of_one_call_and_what_is_made_of_it(tmp_path: Path) -> None:
    made = report_of(tmp_path, lines("fsync(3</data>) = 0 <0.020000>", "rubbish that is no call"))
    told = plain(render(made)) + plain(diff.render(compare([of_report(made, "a")], [of_report(made, "b")])))
    told += markdown("x", made.summary, {}, BudgetVerdict(counts=CallCounts()))
    told += page(made).partition('type="application/json">')[2]
    assert "1 call, " in told
    assert "1 fsync call on" in told
    assert not _plurals(told), told


def test_a_trace_in_which_no_call_returned_says_that_and_no_option(tmp_path: Path) -> None:
    path = written_records(tmp_path / "t.strc", made_record("exit_group", 1, 0, 0, 0, kind=RecordKind.UNFINISHED | 64))
    for made in (make(ReportRequest(file=str(path))), report_of(tmp_path, lines("exit_group(0) = ?"))):
        assert "no call that returned, and so no durations" in made.missing
        told = plain(render(made))
        assert "(-T)" not in told
        assert "1 call, " in told
    assert "no durations (-T)" in report_of(tmp_path, lines("getpid() = 70", "exit_group(0) = ?")).missing


def test_a_count_with_its_noun() -> None:
    assert [count_of(number, "call") for number in (None, 0, 1, 2, 1204)] == [
        "- calls", "0 calls", "1 call", "2 calls", "1,204 calls",
    ]  # fmt: skip
    assert [count_of(number, "process") for number in (1, 2)] == ["1 process", "2 processes"]
    assert count_of(1, "line was dropped", "lines were dropped") == "1 line was dropped"

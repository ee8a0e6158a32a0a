"""No line of what a verb shows is wider than the terminal, no row of a table is broken, no sign is one it cannot show.

Of `views/text/columns.py`, `views/text/streams.py`, `views/text/terminal.py`, `views/text/events.py`,
`views/text/history_tables.py`, `views/text/doctor.py` and `text/tracer_names.py`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from straced.commands.status import lines as status_lines
from straced.model.diagnosis import Diagnosis, DoctorCheck
from straced.model.event_folding import folded
from straced.text.tracer_names import tracer_name
from straced.text.units import format_ns, format_span
from straced.views.text import diff, doctor, events, files, history, history_tables, moment, slow, split, uring
from straced.views.text.columns import FittedColumn, cut, grid
from straced.views.text.report import render
from straced.views.text.spans import Line, Span, fitted, plain
from straced.views.text.streams import PLAIN, ready
from straced.views.text.summary import first_screen
from straced.views.text.terminal import show
from tests.traces.written import lines as log_lines
from tests.traces.written import report_of
from tests.views.text import wide_values as wide


def first_table(lines: Iterable[Line]) -> list[Line]:
    """What stands between the first two blank lines."""
    rest = list(lines)
    rest = rest[rest.index(()) + 1 :]
    return rest[: rest.index(())]


View = Callable[[int | None], Iterable[Line]]
TABLES: dict[str, View] = {
    "attach --files": lambda width: files.file_lines(wide.FILES, 20, width),
    "attach --slower": lambda width: slow.slow_lines(wide.SLOW, 20, width)[1:],
    "attach --io-uring": lambda width: uring.uring_lines(wide.URING, 20, width),
    "attach --by process": lambda width: split.split_lines(wide.PARTS, "process", width=width),
    "diff": lambda width: first_table(diff.render(wide.DIFFERENCE, width=width)),
    "history": lambda width: history_tables.top_lines(wide.RANKED, width),
    "history of hosts": lambda width: history_tables.top_lines(wide.RANKED[2:], width),
    "history --every": lambda width: history_tables.timeline_lines(wide.POINTS, width),
    "history --by p99": lambda width: moment.risen_lines([wide.LATENCY], width),
    "history of a job": lambda width: history_tables.uses_lines(wide.PROGRAMS, width),
}
TEXTS: dict[str, View] = {
    "run": lambda width: first_screen(wide.SUMMARY, title="make " + wide.LONG, width=width),
    "history PID": lambda width: history.answer_lines(wide.ANSWER, sort="time", limit=9, width=width),
    "history JOB": lambda width: history.report_lines(wide.REPORT, sort="time", limit=9, width=width),
    "history --at": lambda width: moment.moment_lines(wide.MOMENT, wide.JOB, width),
    "diff": lambda width: diff.render(wide.DIFFERENCE, width=width),
    "status": lambda width: fitted(status_lines(wide.STATUS), width),
    "events": lambda width: fitted(map(events.fold_line, folded(wide.EVENTS)), width),
    "doctor": lambda width: doctor.lines(
        Diagnosis(
            version="1", kernel="6.1.0-" + "x" * 40, machine="x86_64", python="3.13", uid=0,
            tracers=(DoctorCheck(name="ebpf", state="no", detail="it is refused, " * 9, remedy=("type this, " * 9,)),),
            here=(), about_target=(), unseen=("what no tracer sees, " * 9,),
        ),
        width,
    ),
}  # fmt: skip


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", TABLES)
def test_a_table_fits_and_no_row_is_broken_or_lost(name: str, width: int) -> None:
    shown, whole = (plain(TABLES[name](room)).splitlines() for room in (width, None))
    assert max(map(len, shown)) <= width, shown
    assert len(shown) == len(whole)
    assert shown[0].split()[0] == whole[0].split()[0]


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", TEXTS)
def test_no_line_is_wider_than_the_terminal_but_for_a_path(name: str, width: int) -> None:
    for line in plain(TEXTS[name](width)).splitlines():
        assert len(line) <= width or wide.LONG in line, line


def test_a_report_fits(tmp_path: Path) -> None:
    calls = [f'openat(AT_FDCWD, "{wide.LONG}{n}", 0) = -1 ENOENT (No such file) <0.{n:06d}>' for n in range(200)]
    for line in plain(render(report_of(tmp_path, log_lines(*calls)), width=80)).splitlines():
        assert len(line) <= 80, line


def test_a_line_goes_on_after_a_dot_and_not_within_a_figure() -> None:
    line = (
        Span("4242 (make): ", "strong"),
        Span("running · 12.4 s · 48 processes, 61 threads · 9 calls, 3.1 % failed"),
    )
    assert plain(fitted([line], 60)).splitlines() == [
        "4242 (make): running · 12.4 s · 48 processes, 61 threads ·", "    9 calls, 3.1 % failed",
    ]  # fmt: skip
    assert plain(fitted([(Span("it took 12 ms or more"),)], 10)).splitlines()[0] == "it took"
    first, *more = fitted([line], 30)
    assert first[0] == line[0]
    assert "".join(span.text.strip() for part in (first, *more) for span in part).replace(" ", "") == "".join(
        span.text for span in line
    ).replace(" ", "")


def test_columns_go_in_their_order_then_names_lose_a_part() -> None:
    columns = (
        FittedColumn("name", left=True, least=8, keeps="both"),
        FittedColumn("a", goes=2),
        FittedColumn("b", goes=1),
        FittedColumn("c"),
    )
    rows = [("a-long-name-of-it", "11", "22", "33"), ("x", "-", "-", "4")]
    shown = [plain(grid(columns, rows, width).lines()).splitlines()[1] for width in (80, 21, 18, 14)]
    assert shown == [
        " a-long-name-of-it  11  22  33",
        " a-…of-it  11  22  33",
        " a-l…of-it  11  33",
        " a-l…of-it  33",
    ]
    unknown = grid(columns, [("x", "-", "2", "-")], 80)
    assert unknown.titles.split() == ["name", "b", "c"]  # c stays whatever is known
    assert [cut("0123456789", 6, keeps) for keeps in ("begin", "end", "both")] == ["01234…", "…56789", "01…789"]


class Latin(io.TextIOWrapper):
    """A terminal that has not all of our signs."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="latin-1")


def test_signs_have_others_of_the_same_width_where_they_cannot_be_shown() -> None:
    stream = Latin()
    show([(Span("exact · 0 lost · "), Span("└ a…b"))], stream)
    stream.seek(0)
    assert stream.read() == "exact - 0 lost - ` a~b\n"
    assert ready([(Span("·"),)], io.StringIO()) == [(Span("·"),)]
    assert all(len(each) == 1 for sign, each in PLAIN.items() if sign != ord("≥"))


def test_what_happened_often_is_a_line_with_the_longest() -> None:
    (line,) = folded(wide.EVENTS)
    assert line.counts == {"slow_call": 4}  # tid 1 to 4, each told twice
    told = plain([events.fold_line(line)])
    assert "cc1: 4 slow openat since " in told
    assert "the longest: 9 (cc1) openat took 9 ms" in told
    assert len(folded(wide.EVENTS, slow=False)) == len(wide.EVENTS)
    assert plain([events.alert_line(wide.ALERT)]).endswith("(for 3 min 12 s)\n")


def test_the_words_of_figures() -> None:
    assert [format_ns(seconds * 10**9) for seconds in (118, 9_999, 73_221, 3_600_000)] == [
        "118 s", "9,999 s", "20.3 h", "1,000 h",
    ]  # fmt: skip
    assert [format_span(seconds * 10**9) for seconds in (41, 292, 259_200)] == ["41.0 s", "4 min 52 s", "3 d 0 h"]
    assert [tracer_name(each) for each in ("ebpf", "strace")] == ["eBPF", "strace"]
    rows = plain(history_tables.top_lines(wide.RANKED, None)).splitlines()
    assert "  < 10 ms  " in rows[1]
    assert "  -  " in rows[3]  # what those who ended between two looks used of the CPU was not seen

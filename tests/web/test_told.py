"""What a page is told: only what is new to it, with the gaps, and no more than the service keeps in mind."""

from __future__ import annotations

import contextlib
import json
import re
import signal
from pathlib import Path
from typing import Any

from straced.model.alerts import AlertRow
from straced.model.frame import Frame, Machine, ProcessRow
from straced.model.tick import ServiceEvent
from straced.web.frame_diff import EncodedFrame, ViewerState, encode_frame
from straced.web.process_detail import bars_of
from straced.web.recent import ALERTS, NOTES, TOTALS, TRAIL, Recent
from tests.service.processes import running
from tests.service.samples import NOON, calls, process, tick
from tests.web.site import ASSETS, site

DOCS = Path(__file__).parents[2] / "docs"


def shot(number: int, *rows: ProcessRow) -> EncodedFrame:
    frame = Frame(
        epoch_s=NOON, monotonic_ns=1, duration_ns=1, source="service", machine=Machine(cpus=2), processes=rows
    )
    return encode_frame(number, frame, {})


def row(pid: int, **figures: Any) -> ProcessRow:
    return ProcessRow(pid=pid, start_ticks=7, ppid=1, comm="worker", **figures)


def news(known: ViewerState, of: EncodedFrame, only: tuple[int, int] | None = None) -> dict[str, Any]:
    parts, new = known.news(of, only)
    told: dict[str, Any] = json.loads(b"{%s}" % b",".join(parts))
    return {**told, "new": new}


def test_only_what_is_new_is_told() -> None:
    known = ViewerState()
    first = news(known, shot(1, row(1, calls_s=1.0), row(2)))
    assert [each["pid"] for each in first["who"]] == [1, 2]
    assert first["new"] == [(1, 7), (2, 7)]
    assert "gap" not in first
    second = news(known, shot(2, row(1, calls_s=2.0004), row(2)))
    assert second["who"] == []
    assert [(each["pid"], each["calls_s"]) for each in second["rows"]] == [(1, 2.0)]
    third = news(known, shot(6, row(2), row(3)))
    assert third["gone"] == [[1, 7]]
    assert [each["pid"] for each in third["rows"]] == [3]
    assert third["gap"] == 3
    renamed = news(known, shot(7, row(2, cmdline="now another"), row(3)))
    assert [each["cmdline"] for each in renamed["who"]] == ["now another"]


def test_a_page_about_one_process_is_told_of_that_one() -> None:
    known = ViewerState()
    told = news(known, shot(1, row(1), row(2)), (2, 7))
    assert [each["pid"] for each in told["rows"]] == [2]
    assert news(known, shot(2, row(1)), (2, 7))["gone"] == [[2, 7]]


def test_what_is_kept_in_mind_is_bounded_and_right() -> None:
    recent = Recent()
    for second in range(TOTALS + 50):
        made = (calls("read", 10, errors=2), calls("write", 5))
        recent.tick(tick(NOON + second, process(1, made=made, ended=(calls("open", 3),)), process(2, made=None)))
        recent.event(ServiceEvent(epoch_s=NOON + second, kind="reloaded", text="x"))
        recent.event(ServiceEvent(epoch_s=NOON + second, kind="started", text="x"))
        recent.alert(
            AlertRow(
                id=str(second), kind="cpu", subject="1.7", text="\x1b", opened_s=second, updated_s=second, closed_s=2.0
            )
        )
    assert len(recent.totals) == TOTALS
    assert (recent.totals[-1].calls_s, recent.totals[-1].errors_s) == (18.0, 2.0)
    assert list(recent.trails[1, 7]) == [18.0] * TRAIL
    assert len(recent.trails[2, 7]) == 0
    notes, number = recent.notes_after(0)
    assert {note.kind for note in notes} == {"reloaded"}
    assert len(notes) == NOTES
    assert recent.notes_after(number)[0] == []
    assert len(recent.alerts) == ALERTS
    assert {alert.text for alert in recent.alerts.values()} == {"\\x1b"}
    recent.tick(tick(NOON, process(2)))
    assert set(recent.trails) == {(2, 7)}


def test_an_alert_that_is_open_is_never_pushed_out() -> None:
    recent = Recent()
    fields = {"kind": "cpu", "subject": "1.7", "text": "x", "updated_s": 1.0}
    recent.alert(AlertRow(id="open", opened_s=0.0, **fields))  # type: ignore[arg-type]
    for number in range(ALERTS + 10):
        recent.alert(AlertRow(id=str(number), opened_s=float(number + 1), closed_s=2.0, **fields))  # type: ignore[arg-type]
    assert "open" in recent.alerts


def test_the_page_tells_what_each_kind_of_alert_means() -> None:
    table = (DOCS / "service.md").read_text().partition("## Alerts")[2].partition("###")[0]
    kinds = {kind.strip() for row in re.findall(r"^\| ([a-z_, ]+) \|", table, re.M) for kind in row.split(",")} - {
        "kind"
    }
    told = (ASSETS / "alerts.js").read_text().partition("MEANINGS = {")[2].partition("};")[0]
    assert set(re.findall(r"^  (\w+): ", told, re.M)) == kinds


def test_bars_leave_out_what_is_empty() -> None:
    assert bars_of({"read@x": (0, 5, 0, 1), "write@x": (0, 0)}) == {"read@x": [(80, 96, 5), (112, 128, 1)]}


def test_ticks_reach_a_page_each_once_and_a_stopped_service_none(tmp_path: Path) -> None:
    with running(name="alpha") as child, site(tmp_path, f'[[watch]]\ntarget = "{child.pid}"\n') as page:
        page.log_in()
        told = page.news()
        numbers, rows = [], 0
        for message in told:
            if "head" in message:
                numbers.append(message["head"]["number"])
                rows += len(message["who"])
                assert "gap" not in message or numbers[-1] > numbers[-2] + 1
            if len(numbers) == 8:
                break
        assert numbers == sorted(set(numbers))
        assert rows == 1  # told once, though it was in each
        page.daemon.signal(signal.SIGHUP)  # a reload closes no page
        assert "head" in next(message for message in told if "head" in message)
        page.daemon.stop()
        with contextlib.suppress(ConnectionError):
            assert list(told) is not None  # comes to its end

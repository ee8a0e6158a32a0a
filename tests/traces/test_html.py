"""The page in a real browser: nothing leaves it, it sorts, filters and zooms, and hostile text stays text.

Of `traces/analysis/time_buckets.py`, `views/html/figures.py` and `views/html/advice.py`.
"""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from straced.traces import analysis
from straced.traces.report.request import ReportRequest
from straced.views.html.advice import ADVICE
from straced.views.html.figures import data_of
from straced.views.html.page import json_island
from straced.workflows.report import Outputs, make, report_file
from tests.support.axe import violations
from tests.support.chromium import Page
from tests.traces.recorded import record

HOSTILE = "</script><img src=http://127.0.0.1:9/x onerror=document.title='owned'>"
READY = "document.documentElement?.dataset.ready === 'yes'"
PROGRAM = f"""
import os, subprocess
for _ in range(60): os.path.exists({HOSTILE!r})
for i in range(30): os.path.exists(f"/etc/f{{i}}")
os.path.exists("<!--<script>")
os.path.exists("\\u2028{{{{data}}}}")
subprocess.run(["sh", "-c", "ls /etc | cat > /dev/null; sleep 0.3"])
"""


@pytest.fixture(scope="module")
def report_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("html")
    path = record(folder, [sys.executable, "-I", "-S", "-c", PROGRAM], ("-f", "-ttt", "-T", "-yy", "-s", "200"))
    report_file(path, folder / "report.html")
    return folder / "report.html"


@pytest.fixture
def page(report_page: Path) -> Iterator[Page]:
    with Page() as page:
        page.open(report_page, READY)
        yield page


def test_nothing_leaves_and_text_stays_text(page: Page, report_page: Path) -> None:
    text = page.value("document.body.innerText")
    assert HOSTILE in text
    assert page.value("document.images.length") == 0
    assert page.value("document.scripts.length") == 2
    assert page.value("document.title").startswith("straced report: ")
    assert page.requests == [report_page.as_uri()]
    assert page.dialogs == []
    markup = report_page.read_text()
    assert "<img" not in markup
    assert "default-src 'none'" in markup
    assert "http://" not in markup.replace("http://127.0.0.1:9/x", "").replace("http://www.w3.org/2000/svg", "")


def test_the_policy_holds_even_if_a_script_tries(page: Page) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/leak"
        page.value(f"(() => {{ const i = new Image(); i.src = '{url}'; document.body.append(i); }})()")
        page.value(f"fetch('{url}').catch(() => {{ document.body.dataset.refused = 'yes'; }}); 0")
        page.value(
            "(() => { const s = document.createElement('script'); s.textContent = 'window.ran = 1';"
            " document.body.append(s); })()"
        )
        assert page.value("window.ran === undefined")
        page.until("document.body.dataset.refused === 'yes'")
        page.value("new Promise(done => setTimeout(done, 100))")
        with pytest.raises(BlockingIOError):
            listener.accept()


def column(page: Page, section: str, place: int) -> list[str]:
    found = page.value(
        f"[...document.querySelectorAll('#{section} tbody tr')].map(row => row.cells[{place}].textContent)"
    )
    assert isinstance(found, list)
    return found


def test_tables_sort_and_filter(page: Page) -> None:
    calls = [int(text.replace(",", "")) for text in column(page, "calls", 2)]
    assert calls != sorted(calls, reverse=True), "sorted by time at first"
    page.click("#calls th:nth-child(3)")
    down = [int(text.replace(",", "")) for text in column(page, "calls", 2)]
    assert down == sorted(calls, reverse=True)
    page.click("#calls th:nth-child(3)")
    assert [int(text.replace(",", "")) for text in column(page, "calls", 2)] == sorted(calls)
    page.click("#calls th:nth-child(1)")
    names = column(page, "calls", 0)
    assert names == sorted(names)
    page.click("#files input")
    page.type("/etc/f1")
    assert sorted(column(page, "files", 0)) == sorted(["/etc/f1", *(f"/etc/f{i}" for i in range(10, 20))])


def press(page: Page, key: str) -> None:
    for kind in ("keyDown", "keyUp"):
        page.call("Input.dispatchKeyEvent", type=kind, key=key)


def test_the_flame_graph_zooms(page: Page) -> None:
    top = "document.querySelector('#flame svg').dataset.top"
    count = "document.querySelectorAll('#flame rect.frame').length"
    whole = page.value(count)
    page.click("#flame rect.proc")
    assert page.value(top) != "all"
    page.click("#flame rect.root")
    assert (page.value(top), page.value(count)) == ("all", whole)
    at = "document.querySelector('#flame rect.at')?.box.name"
    page.value("document.querySelector('#flame .body').focus()")
    press(page, "ArrowDown")
    first = page.value(at)
    assert page.text("#flame .say").startswith(first)
    press(page, "ArrowDown")
    press(page, "Enter")
    assert page.value(top) == page.value(at) != first
    press(page, "Escape")
    assert (page.value(top), page.value(count)) == ("all", whole)
    page.click("#flame input")
    page.type("wait4")
    assert page.value("document.querySelectorAll('#flame rect.hit').length") >= 1


def test_the_times_of_the_time_line_stay_in_sight_and_a_command_takes_a_line(page: Page) -> None:
    page.value("document.querySelector('.lanes').style.maxHeight = '60px'")
    page.value("document.querySelector('.lanes').scrollTop = 10_000")
    box, times = page.value(
        "['.lanes', '.lanes .times'].map(each => document.querySelector(each).getBoundingClientRect().top)"
    )
    assert page.value("document.querySelector('.lanes').scrollTop") > 0
    assert times == box
    shown = "document.querySelector('.lanes')"
    page.until(f"{shown}.querySelector('.times').clientWidth === {shown}.clientWidth")
    assert len(page.value("document.querySelector('.lanes .times').textContent")) > 5
    command = "[...document.querySelectorAll('#processes td.line')].find(cell => cell.textContent.startsWith('ls'))"
    assert page.value(f"{command}.textContent") == "ls /etc"
    lines = "[...document.querySelectorAll('#processes td.line')].map(cell => cell.clientHeight)"
    assert max(page.value(lines)) <= 2 * min(page.value(lines)), "none is wrapped"


def test_the_time_line_zooms(page: Page) -> None:
    state = "(s => [Number(s.dataset.from), Number(s.dataset.to)])(document.querySelector('#timeline svg'))"
    start = page.value(state)
    assert start[0] == 0
    assert start[1] >= 3
    page.value("document.querySelector('#timeline svg').scrollIntoView({block: 'center'})")
    left, top, width = page.value(
        "(b => [b.left, b.top + 8, b.width])(document.querySelector('#timeline svg').getBoundingClientRect())"
    )
    page.mouse("mousePressed", left + width * 0.5, top)
    page.mouse("mouseMoved", left + width * 0.8, top)
    page.mouse("mouseReleased", left + width * 0.95, top)
    zoomed = page.value(state)
    assert zoomed[0] > 0
    assert zoomed[1] - zoomed[0] < start[1]


def test_light_and_dark(page: Page) -> None:
    seen = []
    for dark in (False, True):
        page.dark(dark)
        seen.append(page.value("getComputedStyle(document.body).backgroundColor"))
    assert seen[0] != seen[1]


def test_json_island() -> None:
    text = json_island({"a": "</script><!--&\u2028"})
    assert not set("<>&\u2028") & set(text)
    import json

    assert json.loads(text) == {"a": "</script><!--&\u2028"}


def box(page: Page, name: str, measure: str = "width") -> float:
    """A figure of the first box of the flame graph of that name, as it is drawn."""
    found = page.value(
        f"(r => r ? r.getAttribute({measure!r}) : 0)([...document.querySelectorAll('#flame rect.frame')]"
        f".find(each => each.box.name === {name!r}))"
    )
    return float(found)


def test_the_flame_graph_by_time_calls_and_errors(page: Page) -> None:
    shown = "document.querySelector('#flame svg').dataset.measure"
    names = "[...document.querySelectorAll('#flame rect.frame')].map(each => each.box.name)"
    assert page.value(shown) == "ns"
    assert "waits hidden" in page.text(
        "#flame [data-waits]"
    )  # a sleep, and those who wait for it, are most of the time
    assert box(page, "wait4") == 0
    whole = box(page, "all")
    page.click("#flame [data-waits]")
    assert box(page, "wait4") > whole * 0.2
    page.click("#flame [data-measure=calls]")
    assert page.value(shown) == "calls"
    page.click("#flame [data-measure=errors]")
    python, missing = Path(sys.executable).name, box(page, "ENOENT")
    assert missing > whole * 0.5
    assert box(page, python) > whole * 0.5
    page.click("#flame [data-measure=calls]")
    assert {"sh", "ls"} <= set(page.value(names))
    assert box(page, "ls", "y") > box(page, "sh", "y") > box(page, "all", "y")  # children below who started them
    page.value("document.querySelector('#flame input').focus()")
    page.type("sh")
    assert "calls" in page.text("#flame .say")
    assert page.value("document.querySelectorAll('#flame rect.hit').length") >= 1


def test_findings_show_their_lines_and_calls_their_place(page: Page, report_page: Path) -> None:
    first = page.text("#findings article:first-of-type")
    assert re.search(r"[\d.]+ % of [\d.]+ m?s", first)
    assert any(advice in first for advice in ADVICE.values())
    lines = page.value(
        "[...document.querySelectorAll('#findings details[open] pre > *')].map(line => line.textContent)"
    )
    marked = page.text("#findings details[open] mark")
    trace = next(each for each in report_page.parent.iterdir() if each.name not in ("report.html",)).read_text(
        "latin-1"
    )
    number = int(marked.split()[0])
    around = trace.split("\n")[max(0, number - 4) : number + 3]
    assert [int(line.split()[0]) for line in lines][: len(around)] == list(range(max(1, number - 3), number + 4))
    assert around[min(3, number - 1)].split()[0] in marked
    assert page.value("part(16)").startswith("16 % of ")
    assert page.value("part(1517)").startswith("15.2 × "), "tasks that wait side by side wait more than the wall time"
    widths = page.value("[...document.querySelectorAll('#shares .bar i')].map(each => parseFloat(each.style.width))")
    assert sum(widths) == pytest.approx(100)
    assert widths == sorted(widths, reverse=True)
    page.call("Emulation.setEmulatedMedia", media="print")
    adjust = "getComputedStyle(document.querySelector('#shares .bar i')).printColorAdjust"
    assert page.value(adjust) == "exact", "browsers leave backgrounds out on paper, and the bar is nothing else"
    page.call("Emulation.setEmulatedMedia", media="")
    total = page.value("time(data.summary.reduce((sum, row) => sum + (row.wall_ns || 0), 0))")
    assert page.text("#shares").startswith(f"{total} in calls, all tasks together")
    facts = page.text("#facts")
    assert Path(sys.executable).name in facts
    assert "UTC" in facts or "GMT" in facts
    span = "(s => Number(s.dataset.to) - Number(s.dataset.from))(document.querySelector('#timeline svg'))"
    whole = page.value(span)
    page.click("#slowest td button")  # the slowest call: the time line shows it, and little else
    assert page.value(span) < whole
    ticks = page.value("[...document.querySelectorAll('.times text')].map(each => each.textContent)")
    steps = {round(b - a, 6) for a, b in pairwise([float(each.split()[0].replace(",", "")) for each in ticks])}
    assert len(steps) <= 1, "they are as far from each other as they say"
    assert all(f"{step:e}"[0] in "125" for step in steps), "round steps"
    page.click("#timeline .body > button")
    assert page.value(span) == whole
    assert page.errors == []
    assert violations(page) == []


def test_a_large_trace_is_a_small_page(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    with trace.open("w") as file:
        for number in range(6_000):
            path = f"/srv/{number % 6000:06d}/" + "x" * 700
            file.write(
                f'{number % 900 + 1000} 1790000{number // 100:03d}.{number % 100:02d}0000 openat(AT_FDCWD, "{path}",'
                f" O_RDONLY) = -1 ENOENT (No such file or directory) <0.000{number % 900 + 100}>\n"
            )
    report = make(ReportRequest(file=str(trace), jobs=1), Outputs(html=tmp_path / "page.html"))
    assert len(report.files) == 2000
    assert (tmp_path / "page.html").stat().st_size < 1_000_000


def test_every_kind_of_finding_has_its_advice() -> None:
    sources = [each.read_text() for each in Path(*analysis.__path__).glob("*.py")]
    codes = {code for source in sources for code in re.findall(r'code="(\w+)"', source)}
    assert len(codes) > 10
    assert codes <= ADVICE.keys()


def test_secrets_are_taken_out_of_all_of_it(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    trace.write_text(
        '7 1790000000.000000 execve("/bin/tool", ["tool", "--password", "hunter2"], 0x7f /* 1 var */) = 0 <0.000500>\n'
        '7 1790000000.100000 openat(AT_FDCWD, "/srv/x?token=hunter2", O_RDONLY) = -1 ENOENT (No such) <0.500000>\n'
        + '7 1790000000.700000 write(4, "Authorization: Bearer hunter2hunter2hunter2", 40) = 40 <0.100000>\n'
        * 300
    )
    shown, hidden = (
        page.read_text()
        for page in (tmp_path / "shown.html", tmp_path / "hidden.html")
        if make(ReportRequest(file=str(trace), redacted=page.name == "hidden.html"), Outputs(html=page))
    )
    assert shown.count("hunter2") > 3  # command, path, slowest calls, lines of findings
    assert "hunter2" not in hidden
    assert "***" in hidden
    assert "openat" in hidden


def test_what_strace_cut_off_is_said_to_be_cut(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    call = 'execve("/opt/long/tool", ["/opt/long/to"..., "-I", "x\\"y", ...], 0x7f /* 1 var */) = 0 <0.000500>'
    trace.write_text(f"7 1790000000.000000 {call}\n7 1790000001.000000 +++ exited with 0 +++\n")
    data = data_of(make(ReportRequest(file=str(trace)), Outputs()))
    assert data["command"] == '/opt/long/to… -I x\\"y …'
    assert [each["argv"] for each in data["processes"]] == ['-I x\\"y …']

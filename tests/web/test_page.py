"""The page in a real browser: its figures are true and move, and it says when it is cut off.

Of `store/chart_points.py`, `web/history.py` and `web/event_stream.py`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from straced.config import schema
from straced.model.facts import HostFacts
from straced.store.writer import HistoryWriter
from straced.views.tui.row_filter import user_name
from tests.live.processes import Worker, workload
from tests.service import samples
from tests.service.processes import READY, running
from tests.support.chromium import PATIENCE_S, Page
from tests.web.site import Site, site

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.limit(150)]
RATE = 50 * (20 + 2 + 1)
"""Calls a second of the workload: 50 batches of 20 getppid, 2 openat that fail, and a select."""
READ = "document.querySelector('tbody tr:not(.job)')"


@pytest.fixture
def browser() -> Iterator[Page]:
    with Page() as page:
        yield page


def open_page(browser: Page, page: Site, ready: str = f"{READ} !== null") -> None:
    browser.open(page.url, ready)
    assert browser.value("location.href") == f"{page.base}/"  # the token has left the address bar


def figure(browser: Page, row: str, column: int) -> float:
    text = browser.value(f"{row}.cells[{column}].textContent")
    return float(text.replace(",", "")) if text[0].isdigit() else -1.0


@pytest.mark.needs("ebpf")
def test_the_figures_are_the_truth_and_move(tmp_path: Path, browser: Page) -> None:
    with workload(tmp_path, batches=50, calls=20, errors=2, threads=2) as worker:
        watched = f'[[watch]]\ntarget = "{worker.pid}"\nlabels = {{job = "build-42"}}\n'
        with site(tmp_path, watched, interval="1s", tracer="ebpf") as page:
            open_page(browser, page)
            browser.until(f"Math.abs(+{READ}?.cells[5].textContent.replace(',', '') - {RATE}) < {RATE * 0.08}")
            browser.until(f"Math.abs(+{READ}?.cells[6].textContent - 100) < 10")
            assert browser.value(f"{READ}?.cells[1].textContent") == str(worker.pid)
            assert "job build-42" in browser.text("tbody")
            before = browser.value(f"{READ}?.textContent")
            points = f"{READ}.querySelector('polyline').getAttribute('points')"
            line = browser.value(points)
            browser.until(f"{READ}?.textContent !== {before!r} && {points} !== {line!r}")
            assert "exact · eBPF · 0 lost" in browser.text("footer")
            browser.until("document.querySelector('[data-card=\"calls/s\"] b')?.textContent.length > 1")
            one_process(browser, worker)
            assert browser.errors == []
            assert {url.split("/")[2] for url in browser.requests} == {f"127.0.0.1:{page.port}"}


def one_process(browser: Page, worker: Worker) -> None:
    """What the page of the process says, which the workload knows."""
    browser.click("tbody tr:not(.job) a")
    browser.until("document.querySelector('#calls tr[data-key^=openat]') !== null")
    assert browser.text("h1").startswith(str(worker.pid))
    assert browser.text("[data-fact=user] dd") == user_name(os.geteuid())
    assert "ENOENT" in browser.text("#calls tr[data-key^=openat]")
    browser.click("[data-source=window]")
    rate = "document.querySelector('#calls tr[data-key^=getppid]')?.cells[1].textContent.replace(',', '')"
    browser.until(f"Math.abs(+{rate} - 1000) < 80")
    browser.click("[data-source=whole]")
    count = "+document.querySelector('#calls tr[data-key^=getppid]')?.cells[2].textContent.replaceAll(',', '')"
    first = browser.value(count)
    browser.until(f"{count} > {first} && {count} % 20 === 0")
    cells = "[...document.querySelector('#calls tr[data-key^=getppid]')?.cells].map(cell => cell.textContent)"
    browser.until(f"!{cells}.slice(7, 9).includes('-')")
    browser.until("document.querySelectorAll('.big-histogram rect').length > 0")
    assert browser.value("document.querySelectorAll('#threads tbody tr').length") == 3
    assert "read" in browser.text("#threads")
    assert str(worker.file) in browser.text("#files")
    assert f"127.0.0.1:{worker.port} listen" in browser.text("#files")
    browser.until("document.querySelectorAll('#history .line.c-calls').length === 1")
    browser.until("document.querySelector('#events')?.innerText.includes('started')")
    browser.click("[data-source=span]")
    browser.until("document.querySelector('#calls tr[data-key^=openat]')?.cells[7].textContent === '-'")  # not kept
    worker.process.kill()
    browser.until("document.querySelector('h1')?.innerText.includes('ended')")


def test_filter_sort_and_tree(tmp_path: Path, browser: Page) -> None:
    code = READY + "sys.stdin.read()"
    with (
        running(code, name="alpha") as first,
        running(code, name="beta") as second,
        running(code, name="gamma") as third,
    ):
        rules = "".join(
            f'[[watch]]\ntarget = "{each.pid}"\nlabels = {{job = "{job}"}}\n'
            for each, job in ((first, "one"), (second, "one"), (third, "two"))
        )
        words = "row.cells[0].textContent.split(' ').slice(0, 2).join(' ')"
        names = f"[...document.querySelectorAll('tbody tr')].map(row => {words})"
        with site(tmp_path, rules) as page:
            open_page(browser, page, "document.querySelectorAll('tbody tr').length === 5")
            browser.click("th[data-column=pid] button")
            wanted = ["job one", "alpha -S", "beta -S", "job two", "gamma -S"]
            assert sorted(browser.value(names)) == sorted(wanted)
            browser.click("th[data-column=name] button")
            assert browser.value(names) == ["alpha -S", "beta -S", "gamma -S"]
            browser.click("th[data-column=name] button")
            assert browser.value(names) == ["gamma -S", "beta -S", "alpha -S"]
            assert (
                browser.value("document.querySelector('th[data-column=name]').getAttribute('aria-sort')")
                == "descending"
            )
            browser.call("Input.dispatchKeyEvent", type="keyDown", key="/", text="/")
            browser.type("BET")
            assert browser.value(names) == ["beta -S"]
            browser.value(
                "(f => { f.value = 'two'; f.dispatchEvent(new Event('input')); })(document.getElementById('filter'))"
            )
            assert browser.value(names) == ["gamma -S"]
            put = "((f, text) => { f.value = text; f.dispatchEvent(new Event('input')); })"
            mine = f"user:{os.geteuid()} job:two"
            put = "((f, text) => { f.value = text; f.dispatchEvent(new Event('input')); })"
            mine = f"user:{os.geteuid()} job:two"
            for asked, left in (("job:one alph", ["alpha -S"]), ("user:nobody-such", []), (mine, ["gamma -S"])):
                browser.value(f"{put}(document.getElementById('filter'), '{asked}')")
                assert browser.value(names) == left, asked
            browser.value(
                "(f => { f.value = '<b>'; f.dispatchEvent(new Event('input')); })(document.getElementById('filter'))"
            )
            assert "No process matches" in browser.text("main")
            assert browser.errors == []


def test_a_lost_connection_is_said_and_found_again(tmp_path: Path, browser: Page) -> None:
    with running(name="alpha") as process, site(tmp_path, f'[[watch]]\ntarget = "{process.pid}"\n') as page:
        open_page(browser, page)
        assert browser.value("document.querySelector('#banners .bad') === null")
        page.daemon.signal(signal.SIGSTOP)
        browser.until(
            "document.querySelector('#banners .bad')?.textContent.startsWith('The service has told nothing')"
            " && document.querySelector('#line').textContent.startsWith('silent for')"
        )
        page.daemon.signal(signal.SIGCONT)
        browser.until("document.querySelector('#banners .bad') === null")
        page.daemon.stop()
        browser.until(
            "document.querySelector('#banners .bad')?.textContent.startsWith('No connection to the service since')"
        )
        assert "connection lost" in browser.text("#line")
        assert "alpha" in browser.text("tbody")  # the old figures stay, and are said to be old
        assert browser.value("document.body.classList.contains('old')")
        page.daemon.start()
        browser.until("document.querySelector('#banners .bad') === null")
        browser.until(f"{READ} !== null && document.querySelector('#line')?.textContent.startsWith('live')")
        page.daemon.stop()
        page.file.unlink()  # another token
        browser.until("document.querySelector('#banners .bad') !== null")
        page.daemon.start()
        browser.until("document.querySelector('.locked') !== null")
        browser.value("document.querySelector('.locked input').focus()")
        browser.type(page.url)
        browser.click(".locked button")
        browser.until(f"{READ} !== null")


def test_alerts_come_and_go(tmp_path: Path, browser: Page) -> None:
    code = (
        READY
        + "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (50, 50))\n"
        + "for line in sys.stdin:\n"
        + "  kept = [os.dup(0) for _ in range(42)] if 'open' in line else [os.close(fd) for fd in kept]\n"
    )
    with running(code, name="greedy") as process:
        rules = f'[alerts]\nfds_pct = 80.0\n[[watch]]\ntarget = "{process.pid}"\n'
        with site(tmp_path, rules) as page:
            open_page(browser, page)
            assert browser.value("document.querySelector('.flags').hidden")
            assert process.stdin is not None
            process.stdin.write("open\n")
            process.stdin.flush()
            browser.until("document.querySelector('.flags').innerText.includes('of 50 descriptors open')")
            browser.until("document.querySelector('tbody .flagged')?.title.includes('of 50 descriptors open')")
            assert browser.value("document.querySelector('.flags a').getAttribute('href')").startswith(
                f"#/process/{process.pid}-"
            )
            browser.click("[data-card=alerts]")
            browser.until("location.hash === '#/alerts'")
            browser.until("document.querySelector('#open article')?.innerText.includes('of 50 descriptors open')")
            assert browser.value("document.querySelector('#alarms')?.textContent") == "1"
            process.stdin.write("close\n")
            process.stdin.flush()
            browser.until("document.querySelector('#closed article') && !document.querySelector('#open article')")
            assert browser.value("document.querySelector('#alarms').hidden")
            browser.click("#closed article a")
            browser.until(f"location.hash.startsWith('#/process/{process.pid}-')")
            browser.until("document.querySelector('#events')?.innerText.includes('descriptors open')")
            browser.until("document.querySelectorAll('#history .mark.severe').length > 0")


HOUR_AGO = 3000.0


def keep_an_hour(folder: Path, ago: float = HOUR_AGO) -> float:
    """A history of which each figure is known: 3 minutes with 10 calls a second, and one error; returns its start."""
    began = (time.time() - ago) // 60 * 60
    store = HistoryWriter(folder / "state" / "history.db", schema.StoreConfig())
    store.start()
    for second in range(240):
        at = began + second
        host = HostFacts(epoch_s=at, monotonic_ns=0, cpus=2, cpu_pct=25.0)
        made = (samples.calls("read", 10, errors=1, wall_ns=10**8),)
        process = samples.process(4242, made=made, cpu_ns=10**8, rss=7_000_000, cmdline=("old", "story"))
        store.put(samples.tick(at, process, host=host))
        if second % 100 == 0:
            assert store.flush(30.0)
    assert store.flush(30.0)
    assert store.close(30.0)
    return began


def click_at(browser: Page, moment: float, done: str) -> None:
    """Click the chart where a moment is, and again should the page have moved just then."""
    deadline = time.monotonic() + PATIENCE_S
    while not browser.value(done):
        assert time.monotonic() < deadline, done
        place = browser.value(
            f"(b => [b.left + 46 + (b.width - 54) * (1 - (Date.now() / 1000 - {moment}) / 3600), b.top + 50])"
            "(document.querySelector('.past .plot').getBoundingClientRect())"
        )
        browser.mouse("mousePressed", *place)
        browser.mouse("mouseReleased", *place)
        with contextlib.suppress(AssertionError):
            browser.until(done, 2)


def test_history_of_all_and_of_one(tmp_path: Path, browser: Page) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    began = keep_an_hour(tmp_path)
    with running(name="alpha") as process, site(tmp_path, f'[[watch]]\ntarget = "{process.pid}"\n') as page:
        page.log_in()
        points = page.ask("/api/host", since=began, until=began + 180).json
        assert [point["calls_s"] for point in points] == [10.0, 10.0, 10.0]
        assert [point["cpu_pct"] for point in points] == [25.0, 25.0, 25.0]
        answer = page.ask("/api/process", pid=4242, start=7, since=began + 10, until=began + 130).json
        assert len(answer["points"]) >= 100
        for point in answer["points"]:
            assert (point["calls_s"], point["errors_s"], point["cpu_pct"]) == (10.0, 1.0, 10.0)
            assert (point["working_pct"], point["rss_bytes"]) == (10.0, 7_000_000)
        wide = page.ask("/api/process", pid=4242, start=7, since=began - 7200, until=began + 7200).json
        assert not wide["fine"]
        assert {point["calls_s"] for point in wide["points"]} == {10.0}
        (row,) = page.ask("/api/calls", pid=4242, start=7, since=began, until=began + 120).json["calls"]
        assert (row["calls"], row["errors"], row["errno"]) == (1200, 120, {"EAGAIN": 120})
        (minute,) = page.ask("/api/minute", at=began + 61).json["processes"]
        assert (minute["calls_s"], minute["cpu_pct"]) == (10.0, 10.0)
        assert page.ask("/api/process", pid=1, start=1, since=1, until=2).json["known"] is False

        open_page(browser, page)
        browser.click("[data-span='3600']")
        browser.until("document.querySelectorAll('.past .line.c-calls').length > 0")
        click_at(browser, began + 90, "document.querySelector('tbody')?.innerText.includes('old story')")
        assert "The minute of" in browser.text(".then")
        browser.click("tbody tr a")
        browser.until("location.hash === '#/process/4242-7'")
        browser.click("[data-span='3600']")
        browser.until("document.querySelectorAll('#history .line.c-calls').length === 1")
        assert "old story" in browser.text("main")
        browser.click("[data-source=span]")
        browser.until("document.querySelector('#calls tr[data-key^=read]')?.innerText.includes('2,400')")
        assert "EAGAIN 240" in browser.text("#calls")
        assert browser.errors == []


def test_without_history_the_page_says_so(tmp_path: Path, browser: Page) -> None:
    with running(name="alpha") as process:
        rules = f'[store]\nenabled = false\n[[watch]]\ntarget = "{process.pid}"\n'
        with site(tmp_path, rules) as page:
            open_page(browser, page)
            assert "history off" in browser.text("footer")
            browser.click("tbody tr a")
            browser.until("document.querySelector('#history small')?.textContent === 'no history'")
            browser.until("document.querySelector('#calls')?.innerText.includes('not counted')")
            assert browser.errors == []

"""What a page shows stands in its URL: why, zoom, sort, filter and groups come back by a link and by "back"."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.processes import running
from tests.support.axe import violations
from tests.support.chromium import Page
from tests.support.poll import until
from tests.web.site import site
from tests.web.test_page import keep_an_hour, open_page

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.limit(150)]
URL = "location.hash"


@pytest.fixture
def browser() -> Iterator[Page]:
    with Page() as page:
        yield page


def back(browser: Page) -> None:
    browser.value("history.back(), 0")


def press(browser: Page, key: str) -> None:
    browser.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=key if len(key) == 1 else "")
    browser.call("Input.dispatchKeyEvent", type="keyUp", key=key)


def click(browser: Page, selector: str) -> None:
    """Click an element wherever it is: a page that is still filled moves it."""
    browser.value(f"document.querySelector({selector!r}).click()")


def load(browser: Page, url: str, ready: str) -> None:
    """Load a page anew, also where only the fragment of its URL is another."""
    browser.open("about:blank")
    browser.open(url, ready)


def drag(browser: Page, chart: str, begin: float, end: float) -> None:
    """Drag over a part of a chart, 0 to 1 of its width."""
    browser.value(f"document.querySelector('{chart}').scrollIntoView({{block: 'center', behavior: 'instant'}})")
    left, top, width = browser.value(
        f"(b => [b.left + 46, b.top + 50, b.width - 54])(document.querySelector('{chart}').getBoundingClientRect())"
    )
    browser.mouse("mousePressed", left + width * begin, top)
    browser.mouse("mouseMoved", left + width * (begin + end) / 2, top)
    browser.mouse("mouseMoved", left + width * end, top)
    browser.mouse("mouseReleased", left + width * end, top)


def waits_for_lock(pid: int) -> bool:
    """Whether proc_locks(5) has it among those that wait: ``1: -> FLOCK ADVISORY WRITE PID ...``."""
    return any(
        words[1] == "->" and words[5] == str(pid)
        for words in map(str.split, Path("/proc/locks").read_text().splitlines())
    )


def test_why_is_one_sentence_and_the_chain(tmp_path: Path, browser: Page) -> None:
    lock = str(tmp_path / "lock")
    hold = f"import fcntl\nfile = open({lock!r}, 'w')\nfcntl.flock(file, fcntl.LOCK_EX)\n"
    ready = "import sys\nprint('ready', flush=True)\n"
    with (
        running(hold + ready + "sys.stdin.read()", name="holder") as holder,
        running(ready + hold, name="waiter") as waiter,
    ):
        until(lambda: waits_for_lock(waiter.pid), 30)
        rules = "".join(f'[[watch]]\ntarget = "{each.pid}"\n' for each in (holder, waiter))
        with site(tmp_path, rules) as page:
            open_page(browser, page, "document.querySelectorAll('tbody tr').length === 2")
            browser.value(f"document.querySelector('tbody tr[data-key^=\"{waiter.pid}-\"] a').focus()")
            press(browser, "w")
            browser.until("document.querySelector('.sentence') !== null")
            sentence = browser.text(".sentence")
            assert f"held by {holder.pid}" in sentence
            assert "file lock" in sentence
            rows = browser.value("[...document.querySelectorAll('.chain li')].map(row => row.innerText)")
            assert len(rows) >= 2
            assert str(waiter.pid) in rows[0]
            assert "flock(LOCK_EX)" in rows[0]
            assert "/lock held by" in sentence
            assert str(holder.pid) in rows[1]
            assert browser.value(URL).endswith("?why=1")
            assert violations(browser) == []
            click(browser, ".chain li:nth-child(2) a")  # who holds it up has a page, and is asked, too
            browser.until(f"document.querySelector('.sentence')?.innerText.startsWith('{holder.pid} ')")
            assert browser.value(URL).startswith(f"#/process/{holder.pid}-")
            back(browser)
            browser.until(f"document.querySelector('.sentence')?.innerText.startsWith('{waiter.pid} ')")
            assert browser.value(URL).startswith(f"#/process/{waiter.pid}-")
            click(browser, "#why")
            browser.until("document.querySelector('#answer').hidden")
            assert not browser.value(URL).endswith("why=1")
            press(browser, "Escape")
            browser.until("document.querySelector('.overview') !== null && location.hash === '#/'")
            assert browser.errors == []


def test_a_link_shows_the_same_and_back_goes_back(tmp_path: Path, browser: Page) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    began = keep_an_hour(tmp_path)
    with running(name="alpha") as first, running(name="beta") as second, running(name="/opt/x/beta") as third:
        rules = "".join(f'[[watch]]\ntarget = "{each.pid}"\n' for each in (first, second, third))
        with site(tmp_path, rules) as page:
            open_page(browser, page, "document.querySelectorAll('tbody tr').length === 3")
            assert browser.value("document.querySelector('th[data-column=calls]').ariaSort") == "descending"
            browser.click("th[data-column=name] button")
            press(browser, "/")
            browser.type("a")
            assert browser.value(URL) == "#/?sort=name&filter=a"
            alone = "document.querySelectorAll('tbody tr').length === 1 && document.body.innerText.includes('live')"
            load(browser, f"{page.base}/#/?sort=name&order=down&filter=opt", alone)
            assert browser.value("document.querySelector('#filter').value") == "opt"
            assert browser.value("document.querySelector('th[data-column=name]').ariaSort") == "descending"
            browser.value("location.hash = '#/?group=program'")
            browser.until("document.querySelectorAll('tr.group').length === 2")
            beta = "tr[data-key='group beta']"
            assert "× 2" in browser.text(beta)
            click(browser, f"{beta} .fold")
            browser.until("document.querySelectorAll('tbody tr').length === 4")
            assert violations(browser) == []

            span = f"since={began:.0f}&until={began + 180:.0f}"
            browser.value(f"location.hash = '#/?{span}&minute={began + 60:.0f}'")
            browser.until("document.querySelector('tbody')?.innerText.includes('old story')")
            browser.until("document.querySelectorAll('.past .minute').length === 2")  # on both charts
            assert "The minute of" in browser.text(".then")
            shade = browser.value(
                "(b => [b.x.baseVal.value, b.width.baseVal.value])(document.querySelector('.past .minute'))"
            )
            width = browser.value("document.querySelector('.past .plot').clientWidth") - 54
            assert abs((shade[0] - 46) / width - 1 / 3) < 0.02
            assert abs(shade[1] / width - 1 / 3) < 0.02
            press(browser, "Escape")
            browser.until("document.querySelectorAll('.minute').length === 0 && !location.hash.includes('minute')")

            browser.value(f"location.hash = '#/process/4242-7?{span}'")
            browser.until("document.querySelectorAll('#history .line.c-calls').length >= 1")
            drag(browser, "#history .plot", 0.25, 0.75)
            browser.until(f"/since=[\\d.]+&until=[\\d.]+/.test(location.hash) && !location.hash.endsWith({span!r})")
            since, ending = browser.value(
                "['since', 'until'].map(name => +new URLSearchParams(location.hash.split('?')[1]).get(name))"
            )
            assert abs(since - (began + 45)) < 3
            assert abs(ending - (began + 135)) < 3
            zoomed = browser.value(URL)
            back(browser)
            browser.until(f"location.hash.endsWith({span!r})")
            load(browser, f"{page.base}/{zoomed}", "document.querySelector('.zoomed')?.innerText.includes(' to ')")
            browser.until("document.querySelectorAll('#history .line.c-calls').length >= 1")
            assert "old story" in browser.text("main")
            assert violations(browser) == []
            press(browser, "?")
            assert "why does it wait" in browser.text("dialog")
            click(browser, "dialog button")
            assert browser.errors == []
            assert {url.split("/")[2] for url in browser.requests} == {f"127.0.0.1:{page.port}"}


def test_a_url_that_was_cut_or_mistyped_leaves_a_page_that_works(tmp_path: Path, browser: Page) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    keep_an_hour(tmp_path, ago=600.0)
    with running(name="alpha") as process, site(tmp_path, f'[[watch]]\ntarget = "{process.pid}"\n') as page:
        open_page(browser, page)
        browser.until("document.querySelectorAll('.past .line.c-calls').length > 0")  # from before the service began
        names = "[...document.querySelectorAll('.past .key')].map(key => [...key.children].map(each => each.innerText))"
        assert [key[:2] for key in browser.value(names)] == [["calls", "errors"], ["CPU", "pressure"]]
        for nothing in ("#/nonsense", "#/process/abc", f"#/process/{10**30}-1", "#/alerts/7"):
            browser.value(f"location.hash = '{nothing}'")
            browser.until("location.hash === '#/' && document.querySelector('.overview') !== null")
            assert browser.value("document.querySelector('nav [aria-current]').textContent") == "Processes"
        browser.value("location.hash = '#/?since=1&until=99999999999'")  # the page would draw a week's ticks of it
        browser.until("document.querySelector('.overview') !== null && document.querySelector('.zoomed').hidden")
        assert browser.value("document.querySelectorAll('.axis').length") < 60
        browser.value("location.hash = '#/?minute=60'")
        browser.until("document.querySelector('.empty').innerText === 'Nothing was counted in this minute.'")
        browser.value("location.hash = '#/process/4194305-7'")
        browser.until("document.querySelector('h1')?.innerText.includes('not watched now')")
        assert browser.value("document.querySelector('#why').hidden"), "there is nobody to ask about"
        assert browser.errors == []

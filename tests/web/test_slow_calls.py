"""Slow calls on the page, with their file; and short-lived processes, so that rows add up to the totals.

Of `web/slow_calls.py`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from straced.config import schema
from straced.model.slow_events import KINDS
from straced.model.tick import ServiceEvent
from straced.store.history import History
from straced.store.writer import HistoryWriter
from straced.web.slow_calls import slow_calls
from tests.service.processes import READY, running
from tests.service.samples import ME, NOON, process, tick
from tests.service.test_slow_calls import FILLS, full
from tests.support.axe import violations
from tests.support.chromium import Page
from tests.support.poll import until
from tests.web.site import Site, site

__all__ = ["full"]
MS = 10**6


@pytest.fixture
def browser() -> Iterator[Page]:
    with Page() as page:
        yield page


def told(at: float, pid: int, **data: object) -> ServiceEvent:
    """An event of a slow call that ended then."""
    known = {
        "call": "fsync",
        "tid": pid,
        "start_ns": int(at * 1e9),
        "duration_ns": 300 * MS,
        "path": "/srv/wal",
        **data,
    }
    return ServiceEvent(epoch_s=at, kind=KINDS[0], text="", pid=pid, comm="db", owner=ME, data=known)  # type: ignore[arg-type]


def test_a_process_has_its_own_and_what_was_left_out_is_counted(tmp_path: Path) -> None:
    store = HistoryWriter(tmp_path / "history.db", schema.StoreConfig())
    store.start()
    for second in range(50, 110, 5):
        store.put(tick(NOON + second, process(42)))
    store.event(told(NOON + 10, 42))  # another process had this pid then
    store.event(told(NOON + 60, 42, inside=True, start_ns=5))
    store.event(told(NOON + 61, 42, start_ns=5))
    store.event(told(NOON + 62, 43))
    store.event(ServiceEvent(epoch_s=NOON + 70, kind=KINDS[1], text="", owner=ME, data={"count": 9}))
    assert store.flush(30.0)
    assert store.close(30.0)
    history = History(tmp_path / "history.db")
    try:
        found = slow_calls(history, (42, 7), NOON, NOON + 120, 100 * MS)
        assert [(each["start_ns"], each["inside"], each["about"]) for each in found["calls"]] == [
            (5, False, "/srv/wal")
        ]
        assert (found["limit_ns"], found["untold"]) == (100 * MS, 9)
        assert {each["pid"] for each in slow_calls(history, None, NOON, NOON + 120, None)["calls"]} == {42, 43}
        assert slow_calls(history, None, NOON + 90, NOON + 120, None)["calls"] == []
    finally:
        history.close()


FORKS = (
    READY
    + """
while True:
    for _ in range(3):
        if os.fork() == 0:
            for _ in range(40): os.getppid()
            os._exit(0)
        os.wait()
    time.sleep(0.01)
"""
)
SUMS = """(() => {
  const figure = (text) => Number(text.replaceAll(',', ''));
  const rows = [...document.querySelectorAll('tbody tr:not(.job)')];
  const calls = rows.map((row) => figure(row.cells[5].textContent));
  const total = figure(document.querySelector('[data-card="calls/s"] b')?.textContent || '');
  const sum = calls.reduce((all, each) => all + each, 0);
  return rows.some((row) => row.classList.contains('brief')) && total > 0 && Math.abs(sum - total) <= 0.01 * total;
})()"""


@pytest.mark.needs("chromium")
@pytest.mark.needs("ebpf")
@pytest.mark.limit(150)
def test_rows_add_up_and_a_slow_call_stands_in_a_table_and_on_the_chart(
    tmp_path: Path, browser: Page, full: int
) -> None:
    path = str(tmp_path / "fifo")
    with running(FILLS.format(path=path)) as job, running(FORKS) as forks:
        rules = "".join(f'[[watch]]\ntarget = "{each.pid}"\n' for each in (job, forks))
        with site(tmp_path, f'[slow]\nlimit = "20ms"\n{rules}', interval="1s", tracer="ebpf") as page:
            browser.open(page.url, SUMS)
            assert "short-lived" in browser.text("tr.brief")
            assert job.stdin is not None
            job.stdin.write("\n")
            job.stdin.flush()
            page.log_in()
            until(lambda: calls_of(page), 30)
            os.read(full, 65536)
            until(lambda: [each for each in calls_of(page) if not each["inside"]], 30)
            browser.value(f"document.querySelector('tbody tr[data-key^=\"{job.pid}-\"] a').click()")
            browser.until(f"document.querySelector('#slow tbody')?.innerText.includes({path!r})")
            assert "20 ms or more" in browser.text("#slow")
            browser.until("document.querySelector('#calls tr[data-key^=write]') !== null")
            browser.value("document.querySelector('#calls tr[data-key^=write]').click()")
            browser.until("document.querySelectorAll('circle.slow-dot').length >= 1")
            assert violations(browser) == []
            browser.value("location.hash = '#/alerts'")
            browser.until(f"document.querySelector('#slow tbody')?.innerText.includes({path!r})")
            assert str(job.pid) in browser.text("#slow tbody")
            browser.value("document.querySelector('.meanings').open = true")
            assert "many calls of one process" in browser.text(".meanings")
            assert violations(browser) == []
            assert browser.errors == []
            assert {url.split("/")[2] for url in browser.requests} == {f"127.0.0.1:{page.port}"}


def calls_of(page: Site) -> list[dict[str, object]]:
    """The slow writes that the page would show."""
    now = int(time.time())
    found = page.ask("/api/slow", since=now - 600, until=now + 1).json
    return [each for each in found["calls"] if each["call"] == "write"] if found else []

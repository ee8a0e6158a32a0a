"""Files and peers on the page of a process: by key and by click, for as long as the page is open.

Of `web/file_looks.py`.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import NoReturn

import pytest

from straced.errors import TracerUnavailable
from straced.linux import procfs
from straced.profiling.profiler import Profiler
from straced.web.file_looks import MOST, FileLooks
from tests.live.file_worker import BEFORE, CODE, serve
from tests.support.axe import violations
from tests.support.chromium import Page
from tests.support.poll import auntil
from tests.tracers.ebpf.slow_targets import Script
from tests.web.site import site
from tests.web.test_views import press

ROWS = "[...document.querySelectorAll('#byfile tbody tr')].map(row => [...row.cells].map(cell => cell.textContent))"
CALLS, ERRORS, NAME = 2, 4, 10
"""Columns of the table."""


async def test_few_processes_are_counted_at_a_time() -> None:
    asked: list[int] = []

    async def refuse(pid: int) -> NoReturn:
        asked.append(pid)
        raise TracerUnavailable("eBPF needs root", hint="run it with sudo")

    keys = [(pid, 7) for pid in range(1, MOST + 2)]
    looks = FileLooks(refuse, lambda: keys)
    for key in keys:
        looks.join(key)
    looks.join((99, 7))

    async def told() -> list[str]:
        windows = await looks.windows()
        return [windows[key].unavailable for key in (*keys, (99, 7))]

    async def refused() -> bool:
        return (await told())[:MOST] == ["eBPF needs root; run it with sudo"] * MOST

    await auntil(refused, 20, "why")
    assert sorted(asked) == [pid for pid, _ in keys[:MOST]]
    assert (await told())[MOST:] == [
        f"{MOST} processes are counted by file for pages already; close one of those pages",
        "this process is not watched now",
    ]
    looks.join(keys[0])
    looks.leave(keys[0])
    await looks.windows()
    assert keys[MOST][0] not in asked, "another page asks for the first one still"
    looks.leave(keys[0])
    await looks.windows()
    await auntil(lambda: keys[MOST][0] in asked, 20, "that the next one has its turn")
    await looks.close()


@pytest.mark.needs("chromium")
@pytest.mark.needs("ebpf")
@pytest.mark.limit(150)
async def test_files_and_peers_are_counted_while_the_page_asks_for_them(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        peer = f"tcp 127.0.0.1:{server.getsockname()[1]}"
        script = Script(CODE, tmp_path, server.getsockname()[1], before=BEFORE)
        rules = f'[[watch]]\ntarget = "{script.pid}"\n'
        try:
            await script.waits()
            start = procfs.stat(script.pid).start_ticks
            with site(tmp_path, rules, tracer="ebpf") as page, Page(width=390, height=844) as browser:
                browser.open(page.url, "document.querySelector('tbody tr a') !== null")
                browser.value(f"location.hash = '#/process/{script.pid}-{start}'")
                browser.until("document.querySelector('#count-files') !== null")
                assert "which peer is slow" in browser.text("#byfile")
                press(browser, "f")
                browser.until("document.querySelector('#byfile small').textContent.includes('since you asked')")
                assert browser.value("location.hash").endswith("?files=1")
                script.go()
                await serve(server, script)
                browser.until(f"{ROWS}.some(row => row[{NAME}] === {json.dumps(peer)} && row[{CALLS}] === '7')")
                rows = {row[NAME]: row for row in browser.value(ROWS)}
                assert (rows[f"{tmp_path}/data"][CALLS], rows[f"{tmp_path}/data"][ERRORS]) == ("14", "0")
                assert (rows[f"{tmp_path}/missing"][CALLS], rows[f"{tmp_path}/missing"][ERRORS]) == ("5", "5 ENOENT")
                width = "document.documentElement.scrollWidth"
                assert browser.value(f"{width} <= innerWidth"), "nothing is wider than a phone"
                assert violations(browser) == []
                browser.click("#count-files")
                browser.until("document.querySelector('#byfile small').textContent === ''")
                assert "files" not in browser.value("location.hash")
                browser.value("history.back()")
                browser.until("document.querySelector('#byfile small').textContent.includes('since you asked')")
                assert browser.errors == []
        finally:
            script.close()


@pytest.mark.needs("ebpf")
async def test_the_last_page_that_leaves_lets_go_of_the_process(tmp_path: Path) -> None:
    script = Script("", tmp_path)
    try:
        await script.waits()
        key = script.pid, procfs.stat(script.pid).start_ticks
        async with Profiler("ebpf") as profiler:
            looks = FileLooks(lambda pid: profiler.attach(pid, follow=False, files=True), lambda: {key})
            looks.join(key)

            async def counted() -> bool:
                return (await looks.windows())[key].duration_ns is not None

            await auntil(counted, 30, "that it is counted")
            assert [session.target.pid for session in profiler.sessions] == [script.pid]
            looks.leave(key)
            await auntil(lambda: not profiler.sessions, 30, "that it is let go of")
            assert await looks.windows() == {}
            await looks.close()
    finally:
        script.close()

"""Make the pictures of docs/web.md and docs/report.md from real runs. Needs root, eBPF, strace, a C compiler, Chromium.

python scripts/page_pictures.py docs/img
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HOME), str(HOME / "scripts")]

from busy_machine import busy_machine  # noqa: E402
from tests.support.chromium import Page  # noqa: E402
from tests.web.site import site  # noqa: E402

from straced.workflows.report import report_file  # noqa: E402

SEEN_S = 60.0
"""How long the service has looked: latency is kept by the minute."""
WIDE, PHONE = (1440, 960), (390, 844)
SOURCES = 20
"""Files that the build of the report compiles."""


def main(folder: Path) -> None:
    """Make all pictures in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        of_service(Path(scratch), folder)
        of_report(Path(scratch), folder)


def of_service(scratch: Path, folder: Path) -> None:
    """The page of a service that watches a web server, a build, a journal and a lock."""
    (scratch / "service").mkdir()
    row = "[...document.querySelectorAll('tbody tr:not(.job)')].find(row => row.textContent.includes({!r}))"
    with busy_machine() as pid:
        rules = f'[[watch]]\ntarget = "{pid}"\nlabels = {{job = "services"}}\n'
        with site(scratch / "service", rules, interval="1s", tracer="ebpf") as page, Page() as browser:
            size(browser, WIDE)
            browser.open(page.url, "document.querySelector('tbody tr:not(.job)') !== null")
            time.sleep(SEEN_S)
            shot(browser, folder / "web.png")
            size(browser, PHONE)
            shot(browser, folder / "web-phone.png")
            size(browser, WIDE)
            key = browser.until(f"{row.format('lock true')}?.dataset.key")
            browser.value(f"location.hash = '#/process/{key}?why=1'")
            browser.until("document.querySelector('.sentence') !== null")
            size(browser, (WIDE[0], 520))
            shot(browser, folder / "web-why.png")
            size(browser, WIDE)
            browser.value("location.hash = '#/'")
            key = browser.until(f"{row.format('server.py')}?.dataset.key")
            browser.value(f"location.hash = '#/process/{key}'")
            browser.until("document.querySelectorAll('.heat').length > 0")
            browser.dark(True)
            shot(browser, folder / "web-process.png")


def traced_build(build: Path, sources: int = SOURCES) -> Path:
    """A strace log of a build, in the folder that it makes."""
    build.mkdir()
    for number in range(sources):
        (build / f"part{number}.c").write_text(
            '#include <stdio.h>\n#include <pthread.h>\nint f(void) { return puts(""); }\n'
        )
    (build / "Makefile").write_text("all: $(patsubst %.c,%.o,$(wildcard *.c))\n%.o: %.c\n\tcc -O2 -c $< -o $@\n")
    trace = build / "build.strace"
    words = ["strace", "-f", "-ttt", "-T", "-yy", "-s", "128", "-o", trace, "make", "-j2"]
    subprocess.run(words, cwd=build, check=True, stdout=subprocess.DEVNULL)
    return trace


def of_report(scratch: Path, folder: Path) -> None:
    """The report of a build."""
    build = scratch / "build"
    trace = traced_build(build)
    here = os.getcwd()
    os.chdir(build)  # the page says where the trace is
    try:
        report_file(trace.name, build / "page.html")
    finally:
        os.chdir(here)
    with Page() as browser:
        size(browser, WIDE)
        browser.open(build / "page.html", "document.documentElement?.dataset.ready === 'yes'")
        shot(browser, folder / "report.png")
        browser.value("document.querySelector('#timeline').scrollIntoView()")
        shot(browser, folder / "report-lanes.png")
        browser.dark(True)
        size(browser, (WIDE[0], 420))
        browser.value("document.querySelector('#flame').scrollIntoView()")
        shot(browser, folder / "report-flame.png")


def shot(browser: Page, path: Path) -> None:
    """The window, as PNG."""
    browser.screenshot(path)
    print(path, flush=True)


def size(browser: Page, wide_high: tuple[int, int]) -> None:
    """Give the window a size, and the page a moment to take it."""
    width, height = wide_high
    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
    browser.value("new Promise(done => setTimeout(done, 1500))")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Show what a fresh look at the page and the report found, before and after: ``page_findings.py docs/img``.

``page_findings.py --take FOLDER`` takes the pictures of the version on the path; docs/img/before/page-findings has
those of the one before. Needs root, eBPF, strace, a C compiler and Chromium.
"""

from __future__ import annotations

import base64
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

HOME = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HOME), str(HOME / "scripts")]

from busy_machine import busy_machine  # noqa: E402
from page_pictures import traced_build  # noqa: E402
from page_sheets import ALERTS, measured  # noqa: E402
from sheet_parts import page, window, write_webp  # noqa: E402
from tests.service import daemon  # noqa: E402
from tests.support.chromium import Page  # noqa: E402
from tests.web.site import site  # noqa: E402

import straced  # noqa: E402

WIDTH, HIGH, SOURCES = 1200, 340, 30
daemon.SOURCE = str(Path(straced.__file__).parents[1])


class Scene(NamedTuple):
    """A place of the page or of the report, what is there when it is drawn, and what is done then."""

    title: str
    place: str
    ready: str
    then: str = ""


PAGE = {
    "order": Scene("most calls first, and the call of those who waited already", "#/", "'table'"),
    "filter": Scene("a filter by column", "#/?filter=call:flock", "'table'"),
    "alerts": Scene("what an alert means", "#/alerts", "'main'"),
}
REPORT = {
    "times": Scene("the times stay in sight while the lanes scroll", "#timeline", "", "lanes.scrollTop = 300"),
    "commands": Scene("a process has its command in one line", "#processes", ""),
}


def take(folder: Path) -> None:
    """Take them all."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, Page() as browser:
        window(browser, WIDTH, HIGH * 2)
        of_report(browser, Path(scratch) / "build", folder)
        of_page(browser, Path(scratch) / "service", folder)


def of_page(browser: Page, state: Path, folder: Path) -> None:
    """The page of a service."""
    state.mkdir()
    with busy_machine() as pid:
        rules = f'{ALERTS}[[watch]]\ntarget = "{pid}"\nlabels = {{job = "services"}}\n'
        with site(state, rules, interval="1s", tracer="ebpf") as here:
            browser.open(here.url, "document.querySelector('tbody tr:not(.job)') !== null")
            browser.value("location.hash = '#/alerts'")
            browser.until("document.querySelector('.events li') && /look at it/.test(document.body.innerText)")
            for name, scene in reversed(PAGE.items()):
                browser.value(f"location.hash = {scene.place!r}")
                browser.until(f"document.querySelector({scene.ready}) !== null")
                keep(browser, folder / f"{name}.webp", f"document.querySelector({scene.ready})")


def of_report(browser: Page, build: Path, folder: Path) -> None:
    """The page of a report."""
    trace = traced_build(build, SOURCES)
    words = [sys.executable, "-m", "straced", "report", trace.name, "--html", "page.html"]
    subprocess.run(words, cwd=build, check=True, stdout=subprocess.DEVNULL)
    browser.open(build / "page.html", "document.documentElement?.dataset.ready === 'yes'")
    for name, scene in REPORT.items():
        element = f"document.querySelector({scene.place!r})"
        browser.value(f"{{ const lanes = document.querySelector('.lanes'); {scene.then}; {element}.scrollIntoView() }}")
        keep(browser, folder / f"{name}.webp", element)


def keep(browser: Page, path: Path, element: str) -> None:
    """A strip of the window, from where an element begins."""
    browser.value("new Promise(done => setTimeout(done, 2500))")  # figures of two samples
    top = browser.value(f"Math.max(0, {element}.getBoundingClientRect().top + scrollY)")
    clip = {"x": 0, "y": top, "width": WIDTH, "height": HIGH, "scale": 1}
    shot = browser.call("Page.captureScreenshot", format="webp", quality=60, captureBeyondViewport=True, clip=clip)
    path.write_bytes(base64.b64decode(shot["data"]))
    print(path.name, flush=True)


def main(images: Path) -> None:
    """Lay them out, each beside what it was."""
    with tempfile.TemporaryDirectory() as now:
        take(Path(now))
        both = (("before", images / "before/page-findings"), ("after", Path(now)))
        with Page() as browser:
            lines = [
                [
                    page(f"{when}: {scene.title}", at / f"{name}.webp", measured(browser, at / f"{name}.webp"))
                    for when, at in both
                ]
                for name, scene in {**PAGE, **REPORT}.items()
            ]
            write_webp(browser, images / "before-and-after/page-findings.webp", lines, 0.6)


if __name__ == "__main__":
    if sys.argv[1] == "--take":
        take(Path(sys.argv[2]))
    else:
        main(Path(sys.argv[1]))

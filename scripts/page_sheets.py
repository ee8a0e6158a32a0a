"""What the page and the report were beside what they are; used by sheets.py."""

from __future__ import annotations

import base64
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HOME), str(HOME / "scripts")]

from page_pictures import traced_build  # noqa: E402
from sheet_parts import Picture, page, webp, window, write_webp  # noqa: E402
from tests.support.chromium import Page  # noqa: E402
from tests.web.site import site  # noqa: E402

WATCHED_S = 65.0
"""How long the service has watched: latency is kept by the minute."""
SIZES = {"1440": (1440, 900), "390": (390, 844)}
COLOURS = ("light", "dark")
VIEWS = ("overview", "process", "alerts")
ALERTS = '[alerts]\ncpu_pct = 3.0\ncpu_for = "5s"\nlearn = "15s"\n'
"""So that a minute has some alerts to show."""
PARTS = {"findings": ("body", "light"), "timeline": ("#timeline", "light"), "flame": ("#flame", "dark")}
"""Parts of the report: where each begins, and its colour."""
WHOLE = 0.3
"""How small the whole report is drawn."""
PRINTED = (794, 1123)
"""A sheet of A4 at 96 dpi."""


def of_page(pid: int, state: Path, folder: Path) -> None:
    """The page of a service that watches the same as `top`."""
    state.mkdir()
    rules = f'{ALERTS}[[watch]]\ntarget = "{pid}"\nlabels = {{job = "services"}}\n'
    with site(state, rules, interval="1s", tracer="ebpf") as here, Page() as browser:
        browser.open(here.url, "document.querySelector('tbody tr:not(.job)') !== null")
        time.sleep(WATCHED_S)
        shots(browser, folder, "overview")
        row = "[...document.querySelectorAll('tbody tr:not(.job)')].find(row => row.textContent.includes('server.py'))"
        browser.value(f"location.hash = '#/process/' + {row}.dataset.key")
        browser.until("document.querySelector('#calls tbody tr') !== null")
        shots(browser, folder, "process")
        browser.value("location.hash = '#/alerts'")
        browser.until("document.querySelector('.events li') !== null")
        shots(browser, folder, "alerts")


def of_report(build: Path, folder: Path) -> None:
    """The report of a build: its parts, and what a printer gets."""
    trace = traced_build(build)
    words = [sys.executable, "-m", "straced", "report", trace.name, "--html", "page.html"]
    subprocess.run(words, cwd=build, check=True, stdout=subprocess.DEVNULL)
    with Page() as browser:
        browser.open(build / "page.html", "document.documentElement?.dataset.ready === 'yes'")
        for part, (place, colour) in PARTS.items():
            shots(browser, folder, f"report-{part}", f"document.querySelector('{place}').scrollIntoView()", (colour,))
        browser.dark(False)
        window(browser, *SIZES["1440"])
        (folder / "report-whole.webp").write_bytes(whole(browser))
        browser.call("Emulation.setEmulatedMedia", media="print")
        window(browser, *PRINTED)
        (folder / "report-print.webp").write_bytes(whole(browser))


def whole(browser: Page) -> bytes:
    """All of the page, as high as the window is not, in small."""
    size = browser.value("[innerWidth, document.documentElement.scrollHeight]")
    clip = {"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": WHOLE}
    shot = browser.call("Page.captureScreenshot", format="webp", quality=50, captureBeyondViewport=True, clip=clip)
    return base64.b64decode(shot["data"])


def shots(browser: Page, folder: Path, name: str, first: str = "", colours: Sequence[str] = COLOURS) -> None:
    """What is on the page now, in its sizes and colours."""
    for title, size in SIZES.items():
        window(browser, *size)
        for colour in colours:
            browser.dark(colour == "dark")
            browser.value(f"new Promise(done => {{ {first}; setTimeout(done, 1000); }})")
            (folder / f"{name}-{title}-{colour}.webp").write_bytes(webp(browser))
    print(name, flush=True)


def lay_out_pages(before: Path, after: Path, folder: Path) -> None:
    """Make the sheets of the page and of the report."""
    both = (("before", before), ("after", after))

    def pair(name: str, title: str, colour: str) -> list[Picture]:
        said = f"{name.replace('-', ', ')}, {colour}"
        return [page(f"{when}, {said}", at / f"{name}-{title}-{colour}.webp", SIZES[title]) for when, at in both]

    with Page() as browser:
        for title in SIZES:
            scale = 0.6 if title == "1440" else 1
            seen = [pair(name, title, colour) for name in VIEWS for colour in COLOURS]
            parts = [pair(f"report-{part}", title, colour) for part, (_, colour) in PARTS.items()]
            if title == "390":  # there is room for four of them in a line
                seen = [[*first, *second] for first, second in zip(seen[::2], seen[1::2], strict=True)]
                parts = [[*parts[0], *parts[1]], parts[2]]
            write_webp(browser, folder / f"page-{title}.webp", seen, scale)
            write_webp(browser, folder / f"report-{title}.webp", parts, scale)
        long = [(name, at / f"report-{name}.webp", when) for name in ("whole", "print") for when, at in both]
        shown = [page(f"{when}, {name}", path, measured(browser, path)) for name, path, when in long]
        write_webp(browser, folder / "report-whole.webp", [shown], 1)


def measured(browser: Page, path: Path) -> tuple[int, int]:
    """The size of a picture."""
    data = base64.b64encode(path.read_bytes()).decode()
    made = f"Object.assign(new Image(), {{src: 'data:image/webp;base64,{data}'}})"
    width, height = browser.value(f"{{ const i = {made}; i.decode().then(() => [i.naturalWidth, i.naturalHeight]) }}")
    return int(width), int(height)

"""Lay what the screens were beside what they are: ``sheets.py docs/img``. Needs root, eBPF, tmux, Chromium.

``sheets.py --take FOLDER`` takes the pictures of the version on the path; docs/img/before has those of the one before.
"""

from __future__ import annotations

import base64
import html
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

HOME = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HOME), str(HOME / "scripts")]

from rich.console import Console  # noqa: E402
from rich.terminal_theme import TerminalTheme  # noqa: E402
from rich.text import Text  # noqa: E402
from screens import BAR, DARK, LIGHT, LINE, PAD, WIDTH, Film, Row  # noqa: E402
from tests.commands.top.test_terminal import terminal  # noqa: E402
from tests.support.chromium import Page  # noqa: E402
from tests.web.site import site  # noqa: E402
from top_pictures import busy_machine  # noqa: E402

USUAL = (120, 40)
TOPS: dict[str, tuple[tuple[int, int], dict[str, str]]] = {
    "80x24": ((80, 24), {}),
    "120x40": (USUAL, {}),
    "200x55": ((200, 55), {}),
    "16-colours": (USUAL, {"TERM": "xterm-16color", "COLORTERM": ""}),
    "no-color": (USUAL, {"NO_COLOR": "1"}),
}
SEEN_S = 14.0
"""How long `top` has looked."""
WATCHED_S = 65.0
"""How long the service has: latency is kept by the minute."""
PAGES = {"1440": (1440, 900), "390": (390, 844)}
GAP, HEAD = 24, 34


class Picture(NamedTuple):
    """A picture on a sheet."""

    title: str
    data: str
    width: int
    height: int


def take(folder: Path) -> None:
    """Take the pictures of this version."""
    folder.mkdir(parents=True, exist_ok=True)
    with busy_machine() as pid, tempfile.TemporaryDirectory() as scratch:
        for name, (size, environment) in TOPS.items():
            place = Path(scratch) / name
            place.mkdir()
            command = [sys.executable, "-m", "straced", "top", "--source", "local", str(pid)]
            with terminal(place, command, size, **{"STRACED_SOCKET": "/none", **environment}) as shown:
                time.sleep(SEEN_S)
                (folder / f"top-{name}.ansi").write_text(shown.tmux("capture-pane", "-e", "-p", "-N", "-t", "t"))
        of_page(pid, Path(scratch) / "service", folder)


def of_page(pid: int, state: Path, folder: Path) -> None:
    """The page of a service that watches the same."""
    state.mkdir()
    rules = f'[[watch]]\ntarget = "{pid}"\nlabels = {{job = "services"}}\n'
    with site(state, rules, interval="1s", tracer="ebpf") as page, Page() as browser:
        browser.open(page.url, "document.querySelector('tbody tr:not(.job)') !== null")
        time.sleep(WATCHED_S)
        shots(browser, folder, "overview")
        row = "[...document.querySelectorAll('tbody tr:not(.job)')].find(row => row.textContent.includes('server.py'))"
        browser.value(f"location.hash = '#/process/' + {row}.dataset.key")
        browser.until("document.querySelector('#calls tbody tr') !== null")
        shots(browser, folder, "process")


def shots(browser: Page, folder: Path, name: str) -> None:
    """What is on the page now, in its sizes and colours."""
    for title, (width, height) in PAGES.items():
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        browser.call("Emulation.setDeviceMetricsOverride", **screen)
        for dark in (False, True):
            browser.dark(dark)
            browser.value("new Promise(done => setTimeout(done, 2000))")
            (folder / f"{name}-{title}-{'dark' if dark else 'light'}.webp").write_bytes(webp(browser))


def webp(browser: Page, quality: int = 60) -> bytes:
    """The window as a small picture."""
    return base64.b64decode(browser.call("Page.captureScreenshot", format="webp", quality=quality)["data"])


def rows(captured: str) -> list[Row]:
    """The rows of a terminal out of what tmux says of it."""
    console = Console(width=400)
    found: list[Row] = []
    for line in captured.rstrip("\n").split("\n"):
        cell, runs = 0, []
        for text, style, _ in Text.from_ansi(line).render(console):
            if style is not None and (text.strip() or style.reverse or style.bgcolor):
                runs.append((cell, text, style))
            cell += len(text)
        found.append(tuple(runs))
    return found


def screen(title: str, path: Path, size: tuple[int, int], theme: TerminalTheme) -> Picture:
    """A captured terminal as a picture."""
    film = Film(theme)
    film.add(0.0, rows(path.read_text())[: size[1]])
    drawn = base64.b64encode(film.svg(size[0], title).encode()).decode()
    width, height = round(size[0] * WIDTH + 2 * PAD), BAR + size[1] * LINE + PAD
    return Picture(title, f"data:image/svg+xml;base64,{drawn}", width, height)


def page(title: str, path: Path, size: tuple[int, int]) -> Picture:
    """A picture of the page."""
    return Picture(title, f"data:image/webp;base64,{base64.b64encode(path.read_bytes()).decode()}", *size)


def sheet(lines: list[list[Picture]]) -> tuple[str, int, int]:
    """Pictures in lines, each under its title, as SVG; its width and height."""
    drawn, y, width = [], 0, 0
    for line in lines:
        x = GAP
        for each in line:
            drawn.append(f'<text x="{x}" y="{y + HEAD - 10}">{html.escape(each.title)}</text>')
            size = f'width="{each.width}" height="{each.height}"'
            drawn.append(f'<image x="{x}" y="{y + HEAD}" {size} href="{each.data}"/>')
            x += each.width + GAP
        y, width = y + HEAD + max(each.height for each in line) + GAP // 2, max(width, x)
    style = "text{font:600 17px system-ui,sans-serif;fill:#e8e8e8}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" width="{width}" height="{y}">'
    ground = '<rect width="100%" height="100%" fill="#565d66"/>'
    return f"{head}<style>{style}</style>{ground}{''.join(drawn)}</svg>\n", width, y


def lay_out(before: Path, after: Path, folder: Path) -> None:
    """Make the sheets."""
    folder.mkdir(exist_ok=True)
    both = (("before", before), ("after", after))
    for name in ("80x24", "120x40", "200x55"):
        shown = [
            [screen(f"{when}, {name}, {word}", at / f"top-{name}.ansi", TOPS[name][0], theme) for when, at in both]
            for word, theme in (("dark", DARK), ("light", LIGHT))
        ]
        write(folder / f"top-{name}.svg", sheet(shown)[0])
    plain = (("16 colours", "16-colours"), ("NO_COLOR", "no-color"))
    shown = [
        [screen(f"{when}, {word}", at / f"top-{name}.ansi", USUAL, DARK) for when, at in both] for word, name in plain
    ]
    write(folder / "top-colours.svg", sheet(shown)[0])
    with Page() as browser:
        for title, size in PAGES.items():
            kinds = [(name, word) for name in ("overview", "process") for word in ("light", "dark")]
            pictures = [
                [page(f"{when}, {name}, {word}", at / f"{name}-{title}-{word}.webp", size) for when, at in both]
                for name, word in kinds
            ]
            if title == "390":  # there is room for four of them
                pictures = [[*pictures[0], *pictures[1]], [*pictures[2], *pictures[3]]]
            drawn, width, height = sheet(pictures)
            with tempfile.NamedTemporaryFile("w", suffix=".svg", dir="/tmp") as file:
                file.write(drawn)
                file.flush()
                part = 0.6 if title == "1440" else 1
                measures = {"width": width, "height": height, "deviceScaleFactor": part, "mobile": False}
                browser.call("Emulation.setDeviceMetricsOverride", **measures)
                browser.open(Path(file.name))
                browser.value("new Promise(done => setTimeout(done, 1000))")
                path = folder / f"page-{title}.webp"
                path.write_bytes(webp(browser, 75))
                print(path)


def write(path: Path, drawn: str) -> None:
    path.write_text(drawn, encoding="utf-8")
    print(path)


if __name__ == "__main__":
    if sys.argv[1] == "--take":
        take(Path(sys.argv[2]))
    else:
        images = Path(sys.argv[1])
        with tempfile.TemporaryDirectory() as now:
            take(Path(now))
            lay_out(images / "before", Path(now), images / "before-and-after")

"""What sheets are laid out from: pictures of terminals and of pages, in lines, each under its title."""

from __future__ import annotations

import base64
import html
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

HOME = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HOME), str(HOME / "scripts")]

from rich.ansi import AnsiDecoder  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.style import Style  # noqa: E402
from rich.terminal_theme import TerminalTheme  # noqa: E402
from screens import BAR, LINE, PAD, WIDTH, Film, Row  # noqa: E402
from tests.support.chromium import Page  # noqa: E402

GAP, HEAD = 24, 34
FINE = 45
"""Quality of a sheet; words stay sharp."""


class Picture(NamedTuple):
    """A picture on a sheet."""

    title: str
    data: str
    width: int
    height: int


def webp(browser: Page, quality: int = 60) -> bytes:
    """The window as a small picture."""
    return base64.b64decode(browser.call("Page.captureScreenshot", format="webp", quality=quality)["data"])


def window(browser: Page, width: int, height: int, scale: float = 1) -> None:
    """Give the window a size, and the page a moment to take it."""
    browser.call(
        "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False
    )
    browser.value("new Promise(done => setTimeout(done, 1000))")


def rows(captured: str) -> list[Row]:
    """The rows of a terminal out of what tmux says of it."""
    console = Console(width=400)
    found: list[Row] = []
    decoder = AnsiDecoder()  # one for all lines: a style goes on in the next line until another is told
    for line in captured.rstrip("\n").split("\n"):
        cell, runs = 0, []
        for text, told, _ in decoder.decode_line(line).render(console):
            style = told or Style.null()
            if text.strip() or style.reverse or style.bgcolor:
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
    """A picture of a page."""
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


def write_svg(path: Path, lines: list[list[Picture]]) -> None:
    """A sheet of terminals, which are drawn."""
    path.write_text(sheet(lines)[0], encoding="utf-8")
    print(path)


def write_webp(browser: Page, path: Path, lines: list[list[Picture]], scale: float) -> None:
    """A sheet of pages, which are pixels."""
    drawn, width, height = sheet(lines)
    with tempfile.NamedTemporaryFile("w", suffix=".svg", dir="/tmp") as file:
        file.write(drawn)
        file.flush()
        browser.open(Path(file.name))
        window(browser, width, height, scale)
        path.write_bytes(webp(browser, FINE))
    print(path)

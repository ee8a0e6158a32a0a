"""Lay what the screens were beside what they are: ``sheets.py docs/img``. Needs root, eBPF, strace, tmux, Chromium.

``sheets.py --take FOLDER [tops] [pages] [reports]`` takes the pictures of the version on the path; docs/img/before has
those of the one before.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HOME), str(HOME / "scripts")]

from busy_machine import busy_machine, runs  # noqa: E402
from page_sheets import lay_out_pages, of_page, of_report  # noqa: E402
from screens import DARK, LIGHT  # noqa: E402
from sheet_parts import screen, write_svg  # noqa: E402
from tests.commands.top.test_terminal import Terminal, terminal  # noqa: E402
from tests.support.poll import until  # noqa: E402

from straced.views.tui import panels  # noqa: E402

LIMIT_S = 120.0
USUAL = (120, 40)
LOW = 30
"""Lines from which a screen has room for a list and a panel."""
TOPS: dict[str, tuple[tuple[int, int], dict[str, str]]] = {
    "80x24": ((80, 24), {}),
    "120x40": (USUAL, {}),
    "200x55": ((200, 55), {}),
    "16-colours": (USUAL, {"TERM": "xterm-16color", "COLORTERM": ""}),
    "no-color": (USUAL, {"NO_COLOR": "1"}),
}
REFRESHES = 14
"""How often `top` was refreshed when its picture is taken."""
PANELS = {"slow": ("5", "ms or more", "4", "events"), "files": ("6", "counted for", "3", "files by name")}
"""Tabs: the key of each, what it says, and the one that was nearest to it, where it was not there yet."""
KINDS = ("tops", "pages", "reports")


def take(folder: Path, kinds: tuple[str, ...]) -> None:
    """Take the pictures of this version."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        with busy_machine() as pid:
            if "tops" in kinds:
                of_tops(pid, Path(scratch), folder)
            if "pages" in kinds:
                of_page(pid, Path(scratch) / "service", folder)
        if "reports" in kinds:
            of_report(Path(scratch) / "build", folder)


def of_tops(pid: int, scratch: Path, folder: Path) -> None:
    """The live screen, in a real terminal of each size, and its panels of slow calls and of files."""
    client = runs(pid, "python3 client.py")
    assert client is not None
    there = len(panels.TABS) > 4
    for name, (size, environment) in TOPS.items():
        place = scratch / name
        place.mkdir()
        words = ["top", "--source", "local", *(["--slower", "20ms"] if there else []), str(pid)]
        command = [sys.executable, "-m", "straced", *words]
        with terminal(place, command, size, **{"STRACED_SOCKET": "/none", **environment}) as shown:
            refreshed(shown, REFRESHES)
            capture(shown, folder / f"top-{name}.ansi")
            if environment:
                continue
            select(shown, client, size)
            for panel, (key, sign, nearest, _) in PANELS.items():
                shown.press(key if there else nearest)
                if there:
                    until(lambda sign=sign: sign in shown.screen(), LIMIT_S, shown.screen, pause_s=0.1)
                refreshed(shown, 6)
                capture(shown, folder / f"top-{panel}-{name}.ansi")


def refreshed(shown: Terminal, times: int) -> None:
    """Until the screen has been refreshed so often: its first line has the time of its figures."""
    seen: set[str] = set()

    def enough() -> bool:
        seen.update(re.findall(r"\d\d:\d\d:\d\d", shown.screen().partition("\n")[0]))
        return len(seen) > times

    until(enough, LIMIT_S, shown.screen, pause_s=0.1)


def select(shown: Terminal, pid: int, size: tuple[int, int]) -> None:
    """Click on the row of a process, wherever it stands; on a low screen, open it."""

    def row() -> tuple[int, bool] | None:
        """Where it is, and whether it is selected."""
        for y, line in enumerate(shown.screen().splitlines(), 1):
            if line.lstrip("▸ ").split()[:1] == [str(pid)]:
                return y, line.startswith("▸")
        return None

    def selected() -> bool:
        at = row()
        if at is None or at[1]:
            return at is not None
        shown.tmux("send-keys", "-t", "t", "-l", f"\x1b[<0;5;{at[0]}M\x1b[<0;5;{at[0]}m")
        return False

    def opened() -> bool:
        until(selected, LIMIT_S, shown.screen, pause_s=2.0)
        if size[1] >= LOW:
            return f"── {pid} " in shown.screen()
        shown.press("Enter")
        until(lambda: "Esc back" in shown.screen() or row() is None, LIMIT_S, shown.screen, pause_s=0.1)
        if f"── {pid} " in shown.screen():
            return True
        shown.press("Escape")  # a refresh had moved another row below the click
        return False

    until(opened, LIMIT_S, shown.screen, pause_s=1.0)


def capture(shown: Terminal, path: Path) -> None:
    """Keep what the terminal shows."""
    path.write_text(shown.tmux("capture-pane", "-e", "-p", "-N", "-t", "t"))
    print(path.name, flush=True)


def lay_out_tops(before: Path, after: Path, folder: Path) -> None:
    """Make the sheets of the live screen."""
    both = (("before", before), ("after", after))
    themes = (("dark", DARK), ("light", LIGHT))
    for name in ("80x24", "120x40", "200x55"):
        shown = [
            [screen(f"{when}, {name}, {word}", at / f"top-{name}.ansi", TOPS[name][0], theme) for when, at in both]
            for word, theme in themes
        ]
        shown += [
            [
                screen(f"before, {name}, {word}: no such panel; {nearest}", before / file, TOPS[name][0], theme),
                screen(f"after, {name}, {word}: {panel}", after / file, TOPS[name][0], theme),
            ]
            for file, panel, nearest in ((f"top-{panel}-{name}.ansi", panel, tab[3]) for panel, tab in PANELS.items())
            for word, theme in themes
        ]
        write_svg(folder / f"top-{name}.svg", shown)
    plain = (("16 colours", "16-colours"), ("NO_COLOR", "no-color"))
    shown = [
        [screen(f"{when}, {word}", at / f"top-{name}.ansi", USUAL, DARK) for when, at in both] for word, name in plain
    ]
    write_svg(folder / "top-colours.svg", shown)


if __name__ == "__main__":
    if sys.argv[1] == "--take":
        take(Path(sys.argv[2]), tuple(sys.argv[3:]) or KINDS)
    else:
        images = Path(sys.argv[1])
        with tempfile.TemporaryDirectory() as now:
            take(Path(now), KINDS)
            sheets = images / "before-and-after"
            sheets.mkdir(exist_ok=True)
            lay_out_tops(images / "before", Path(now), sheets)
            lay_out_pages(images / "before", Path(now), sheets)

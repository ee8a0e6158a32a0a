"""Lay what the screens were beside what they are: ``sheets.py docs/img``. Needs root, eBPF, strace, tmux, Chromium.

``sheets.py --take FOLDER [tops] [pages] [reports]`` takes the pictures of the version on the path; docs/img/before has
those of the one before.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HOME), str(HOME / "scripts")]

from page_sheets import lay_out_pages, of_page, of_report  # noqa: E402
from screens import DARK, LIGHT  # noqa: E402
from sheet_parts import screen, write_svg  # noqa: E402
from tests.commands.top.test_terminal import terminal  # noqa: E402
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
    """The live screen, in a real terminal of each size."""
    for name, (size, environment) in TOPS.items():
        place = scratch / name
        place.mkdir()
        command = [sys.executable, "-m", "straced", "top", "--source", "local", str(pid)]
        with terminal(place, command, size, **{"STRACED_SOCKET": "/none", **environment}) as shown:
            time.sleep(SEEN_S)
            (folder / f"top-{name}.ansi").write_text(shown.tmux("capture-pane", "-e", "-p", "-N", "-t", "t"))


def lay_out_tops(before: Path, after: Path, folder: Path) -> None:
    """Make the sheets of the live screen."""
    both = (("before", before), ("after", after))
    for name in ("80x24", "120x40", "200x55"):
        shown = [
            [screen(f"{when}, {name}, {word}", at / f"top-{name}.ansi", TOPS[name][0], theme) for when, at in both]
            for word, theme in (("dark", DARK), ("light", LIGHT))
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

"""Draw what a fresh look at `top` found, before and after, of the same made-up machine: ``findings.py docs/img``.

``findings.py --take FOLDER`` draws it with the version on the path; docs/img/before/findings has what the one before
drew.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

HOME = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HOME), str(HOME / "scripts")]

import msgspec  # noqa: E402
from screens import Film, shot  # noqa: E402
from sheet_parts import Picture, write_svg  # noqa: E402
from tests.views.tui import frames  # noqa: E402
from tests.views.tui.frames import ScriptedFeed, detail_of, row  # noqa: E402
from tests.views.tui.screen import running  # noqa: E402

from straced.model.frame import Frame, ProcessDetail, ShortLived  # noqa: E402

NOW = frames.machine_of_three()
FIRST = NOW.processes[0]
CALLS = detail_of(FIRST).calls or ()
FAILED = tuple(msgspec.structs.replace(each, errno={"ENOTCONN": 300}, errors=300) for each in CALLS)
UNTIMED = tuple(msgspec.structs.replace(each, p50_ns=None, p99_ns=None) for each in CALLS)
HALF_TYPED = ("j", "slash", *"pos", *("backspace",) * 3, "n")


class Scene(NamedTuple):
    """A frame on a screen, the keys that are pressed, and the lines that are drawn of it."""

    title: str
    size: tuple[int, int]
    lines: tuple[int, int]
    frame: Frame
    keys: tuple[str, ...] = ()
    detail: ProcessDetail | None = None
    busiest: bool = False
    """Whether what the screen itself selects is left so."""


def _shorts() -> Frame:
    gcc = ShortLived(parent=FIRST.key, program="x86_64-linux-gnu-gcc-12", ended=214, calls_s=1640.0)
    return msgspec.structs.replace(NOW, short_lived=(gcc,))


def _waiting() -> Frame:
    figures = {"waits_longer": True, "working_pct": 0.0, "waiting_pct": 0.0, "wall_pct": 0.0, "calls_s": 0.0}
    return frames.frame(
        row(4242, comm="sleep", cmdline="sleep 600", now="clock_nanosleep", **figures), NOW.processes[3]
    )


def _itself() -> Frame:
    this = row(os.getpid(), comm="straced", cmdline="straced top", calls_s=12_345.0, cpu_pct=9.5)
    return frames.frame(*NOW.processes, this)


def _unknown() -> Frame:
    machine = msgspec.structs.replace(frames.MACHINE, cpu_pct=None)
    return msgspec.structs.replace(NOW, machine=machine, cost_pct=None, counting_pct=None)


SCENES = {
    "counts": Scene("how many there were is not cut", (80, 24), (4, 10), _shorts()),
    "calls": Scene("the usual calls are whole; at least nothing is unknown", (120, 40), (4, 7), _waiting()),
    "units": Scene("unknown is a dash, without a unit", (120, 40), (1, 2), _unknown()),
    "percentiles": Scene(
        "percentiles that nobody tells take no room", (120, 40), (12, 16), NOW,
        detail=detail_of(FIRST, histograms={}, calls=UNTIMED),
    ),
    "errors": Scene(
        "an error has its name where its number has no room", (80, 24), (4, 9), NOW, ("enter",),
        detail_of(FIRST, calls=FAILED),
    ),
    "uncounted": Scene(
        "why nothing is counted, and what to do", (80, 24), (5, 12), frames.without_rights(), ("enter",),
        detail_of(FIRST, calls=None, histograms={}),
    ),
    "durations": Scene("what the bars are", (120, 40), (31, 39), NOW, ("tab",)),
    "itself": Scene("it does not open on itself", (80, 24), (4, 10), _itself(), busiest=True),
    "filter": Scene("a half-typed filter leaves the selection alone", (80, 24), (4, 9), NOW, HALF_TYPED),
}  # fmt: skip


async def drawn_now() -> dict[str, str]:
    """All scenes, drawn with this version."""
    found = {}
    for name, scene in SCENES.items():
        feed = ScriptedFeed(scene.frame)
        async with running(feed, scene.size, busiest=scene.busiest) as (app, pilot):
            await pilot.press(*scene.keys)
            if scene.detail is not None and feed.listener is not None:
                feed.listener.detail_ready(scene.detail)
            await pilot.pause()
            film = Film()
            film.add(0.0, shot(app)[slice(*scene.lines)])
            found[name] = film.svg(scene.size[0], scene.title)
    return found


def take(folder: Path) -> None:
    """Keep them in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, drawn in asyncio.run(drawn_now()).items():
        (folder / f"{name}.svg").write_text(drawn, encoding="utf-8")


def picture(when: str, path: Path, title: str) -> Picture:
    """A drawn scene on the sheet."""
    drawn = path.read_text(encoding="utf-8")
    size = re.search(r'width="(\d+)" height="(\d+)"', drawn)
    assert size is not None
    data = base64.b64encode(drawn.encode()).decode()
    return Picture(f"{when}: {title}", f"data:image/svg+xml;base64,{data}", int(size[1]), int(size[2]))


def main(images: Path) -> None:
    """Lay them out, each below what it was."""
    with tempfile.TemporaryDirectory() as now:
        take(Path(now))
        both = (("before", images / "before/findings"), ("after", Path(now)))
        lines = [[picture(when, at / f"{name}.svg", each.title)] for name, each in SCENES.items() for when, at in both]
        write_svg(images / "before-and-after/findings.svg", lines)


if __name__ == "__main__":
    if sys.argv[1] == "--take":
        take(Path(sys.argv[2]))
    else:
        main(Path(sys.argv[1]))

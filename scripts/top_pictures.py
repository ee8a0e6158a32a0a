"""Make the pictures of docs/top.md and the recording of README: the live screen on real processes, as SVG.

Needs root, eBPF and a C compiler: python scripts/top_pictures.py docs/img
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HOME), str(HOME / "scripts")]

from busy_machine import busy_machine  # noqa: E402
from rich.terminal_theme import TerminalTheme  # noqa: E402
from screens import DARK, LIGHT, Film, shot  # noqa: E402
from tests.support.poll import auntil  # noqa: E402
from textual.pilot import Pilot  # noqa: E402

from straced.linux.targets import TargetSpec  # noqa: E402
from straced.live.actions import LocalActions  # noqa: E402
from straced.live.local import LocalSource  # noqa: E402
from straced.live.worker import FrameWorker  # noqa: E402
from straced.model.frame import Frame, ProcessRow  # noqa: E402
from straced.views.tui.app import TopApp  # noqa: E402
from straced.views.tui.rows import ProcessRows  # noqa: E402

LIMIT_S = 120.0
"""What has not come by then does not come."""
REFRESHES = 12
"""How often the screen was refreshed when its pictures are taken: the trends are full then."""
COUNTED_S = 5
"""How long files and peers are counted for their picture."""
SLOW_NS = 20_000_000
"""What is slow on its tab of slow calls."""
USUAL = (120, 40)
SIZES = ((80, 24), USUAL, (200, 55))
RECORDED, STEP_S = (112, 32), 0.5
SCRIPT: tuple[tuple[str, float], ...] = (
    ("", 4.5), ("slash", 0.5), *((key, 0.2) for key in ("l", "o", "c", "k", "space", "t", "r", "u", "e")), ("", 0.7),
    ("enter", 1.2), ("y", 5.0), ("escape", 0.5), ("escape", 0.3), ("g", 0.5),
)  # fmt: skip
"""What is pressed in the recording, and how long it is looked at then: 15 s in all."""


@contextlib.asynccontextmanager
async def screen(pid: int, folder: Path, size: tuple[int, int]) -> AsyncIterator[tuple[TopApp, Pilot[None]]]:
    """The live screen on the tree of a process, with figures of all that lasts."""
    worker = FrameWorker(lambda: LocalSource([TargetSpec("pid", str(pid))], "ebpf", SLOW_NS), LocalActions(folder), 1.0)
    app = TopApp(worker, interval_s=1.0, rows=ProcessRows())
    async with app.run_test(size=size, notifications=True) as pilot:
        await appears(pilot, lambda: app.rows.frame is not None and app.rows.frame.calls_s is not None, "figures")
        yield app, pilot


async def appears(pilot: Pilot[None], condition: Callable[[], object], what: str) -> None:
    """Until something is so, while the screen goes on."""
    await auntil(condition, LIMIT_S, what, lambda: asyncio.sleep(0.05))
    await pilot.pause()


async def refreshed(app: TopApp, pilot: Pilot[None], times: int) -> None:
    """Until the screen has got so many frames more."""
    seen: set[int] = set()

    def enough() -> bool:
        seen.add(frame(app).monotonic_ns)
        return len(seen) > times

    await appears(pilot, enough, f"{times} refreshes")


def frame(app: TopApp) -> Frame:
    """What the screen shows."""
    assert app.rows.frame is not None
    return app.rows.frame


async def take(pid: int, folder: Path) -> None:
    """The screen in its sizes and themes, what is known of its processes one by one, and the recording."""
    for size in SIZES:
        async with screen(pid, folder, size) as (app, pilot):
            await refreshed(app, pilot, REFRESHES)
            _save(app, folder / ("top.svg" if size == USUAL else f"top-{size[0]}x{size[1]}.svg"), DARK)
            if size == USUAL:
                _save(app, folder / "top-light.svg", LIGHT)
                _save(app, folder / "top-no-color.svg", DARK, plain=True)
                await _pictures_of_one(app, pilot, folder)
    async with screen(pid, folder, RECORDED) as (app, pilot):
        drawn = await _record(app, pilot)
    _write(folder / "recording.svg", drawn)


async def _pictures_of_one(app: TopApp, pilot: Pilot[None], folder: Path) -> None:
    await choose(app, pilot, "python3 server.py")
    await pilot.press("enter", "2")
    await refreshed(app, pilot, 3)
    _save(app, folder / "top-threads.svg", DARK)
    await pilot.press("escape")
    client = await choose(app, pilot, "python3 client.py")
    await pilot.press("enter", "5")
    await appears(pilot, lambda: client.pid in slow_pids(app), "slow calls of the client")
    await refreshed(app, pilot, 2)
    _save(app, folder / "top-slow.svg", DARK)
    await pilot.press("6")
    await appears(pilot, lambda: counted_s(app) >= COUNTED_S, "files and peers")
    _save(app, folder / "top-files.svg", DARK)
    await pilot.press("escape", "1")
    await choose(app, pilot, "flock lock true")
    await pilot.press("y")
    await app.workers.wait_for_complete()
    await refreshed(app, pilot, 1)
    _save(app, folder / "top-why.svg", DARK)


async def choose(app: TopApp, pilot: Pilot[None], command: str) -> ProcessRow:
    """Put the cursor on the process of this command line, wherever its row is, and see its figures."""

    def row() -> ProcessRow | None:
        return next((row for row in frame(app).processes if row.cmdline == command), None)

    def there() -> bool:
        wanted = row()
        if wanted is not None:
            app.list.go_to(wanted.key)
        chosen, detail = app.chosen, app._detail
        return (
            wanted is not None and chosen is not None and detail is not None and chosen.key == detail.key == wanted.key
        )

    await appears(pilot, there, f"the row of {command}")
    await refreshed(app, pilot, 1)
    found = row()
    assert found is not None, command
    return found


def counted_s(app: TopApp) -> float:
    """How long the files of the chosen process have been counted."""
    window = app._detail.by_file if app._detail is not None else None
    return (window.duration_ns or 0) / 1e9 if window is not None else 0.0


def slow_pids(app: TopApp) -> set[int]:
    """Whose slow calls are told."""
    slow = frame(app).slow
    return {call.pid for call in slow.calls} if slow is not None else set()


async def _record(app: TopApp, pilot: Pilot[None]) -> str:
    """What is on the screen while the script is played; while an answer is waited for, the recording stands still."""
    film, at_s = Film(), 0.0
    for key, seconds in SCRIPT:
        if key:
            await pilot.press(key)
            await app.workers.wait_for_complete()
            await pilot.pause()
        end_s = at_s + seconds
        while at_s < end_s - 0.01:
            film.add(at_s, shot(app))
            step_s = min(STEP_S, end_s - at_s)
            await asyncio.sleep(step_s)
            at_s += step_s
    return film.svg(RECORDED[0], "straced top, and why a process waits", at_s)


def _save(app: TopApp, path: Path, theme: TerminalTheme, *, plain: bool = False) -> None:
    film = Film(theme, plain=plain)
    film.add(0.0, shot(app))
    _write(path, film.svg(app.size.width, "straced top"))


def _write(path: Path, drawn: str) -> None:
    path.write_text(drawn, encoding="utf-8")
    print(path, flush=True)


def main() -> None:
    """Look at such a machine."""
    with busy_machine() as pid:
        asyncio.run(take(pid, Path(sys.argv[1])))


if __name__ == "__main__":
    main()

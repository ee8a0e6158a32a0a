"""Make the pictures of docs/top.md and the recording of README: the live screen on real processes, as SVG.

Needs root, eBPF and a C compiler: python scripts/top_pictures.py docs/img
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from rich.terminal_theme import TerminalTheme
from textual.pilot import Pilot

sys.path.insert(0, str(Path(__file__).parent))

from screens import DARK, LIGHT, Film, shot

from straced.linux import procfs
from straced.linux.targets import TargetSpec
from straced.live.actions import LocalActions
from straced.live.local import LocalSource
from straced.live.worker import FrameWorker
from straced.views.tui.app import TopApp
from straced.views.tui.rows import ProcessRows

FILES = {
    "server.py": (
        "import http.server, threading\n"
        "server = http.server.HTTPServer(('127.0.0.1', PORT), http.server.SimpleHTTPRequestHandler)\n"
        "for _ in range(5): threading.Thread(target=server.serve_forever, args=(30,)).start()\n"
    ),
    "client.py": (
        "import time, urllib.request, urllib.error\n"
        "while True:\n"
        "    for path in ('', 'missing'):\n"
        "        try: urllib.request.urlopen('http://127.0.0.1:PORT/' + path).read()\n"
        "        except urllib.error.URLError: pass\n"
        "    time.sleep(0.02)\n"
    ),
    "plugins.py": (
        "import os, time\n"
        "while True:\n"
        "    for n in range(40): os.path.exists(f'/opt/plugins/{n}.so')\n"
        "    time.sleep(0.05)\n"
    ),
    "prog.c": '#include <stdio.h>\n#include <pthread.h>\nint main(void) { return puts(""); }\n',
    "build.sh": "while :; do cc -O2 -c prog.c -o prog.o; sleep 0.4; done\n",
    "journal.sh": "while :; do dd if=/dev/zero of=journal bs=4k count=200 oflag=dsync 2>/dev/null; done\n",
    "services.sh": (
        "python3 server.py & python3 client.py & python3 plugins.py & sh build.sh & sh journal.sh &\n"
        "gzip -1 < /dev/urandom > /dev/null & flock lock sleep 600 & sleep 0.5; flock lock true & wait\n"
    ),
}
ATTACHED_S = 60.0
SEEN_S = 12.0
"""How long the screen has looked when its pictures are taken: the trends need some time."""
SLOW_NS = 20_000_000
"""What is slow on its tab of slow calls."""
USUAL = (120, 40)
SIZES = ((80, 24), USUAL, (200, 55))
RECORDED, STEP_S = (112, 32), 0.5
SCRIPT: tuple[tuple[str, float], ...] = (
    ("", 4.5), ("slash", 0.5), ("f", 0.2), ("l", 0.2), ("o", 0.2), ("c", 0.2), ("k", 0.7), ("enter", 0.5), ("G", 1.0),
    ("y", 5.0), ("escape", 0.5), ("escape", 0.5), ("g", 1.0),
)  # fmt: skip
"""What is pressed in the recording, and how long it is looked at then."""


@contextlib.asynccontextmanager
async def screen(pid: int, folder: Path, size: tuple[int, int]) -> AsyncIterator[tuple[TopApp, Pilot[None]]]:
    """The live screen on the tree of a process."""
    worker = FrameWorker(lambda: LocalSource([TargetSpec("pid", str(pid))], "ebpf", SLOW_NS), LocalActions(folder), 1.0)
    app = TopApp(worker, interval_s=1.0, rows=ProcessRows())
    async with app.run_test(size=size, notifications=True) as pilot:
        end = time.monotonic() + ATTACHED_S
        while (app.rows.frame is None or app.rows.frame.calls_s is None) and time.monotonic() < end:
            await pilot.pause(0.1)
        yield app, pilot


async def take(pid: int, folder: Path) -> None:
    """The screen in its sizes and themes, what is known of its processes one by one, and the recording."""
    for size in SIZES:
        async with screen(pid, folder, size) as (app, pilot):
            await _wait(pilot, SEEN_S)
            _save(app, folder / ("top.svg" if size == USUAL else f"top-{size[0]}x{size[1]}.svg"), DARK)
            if size == USUAL:
                _save(app, folder / "top-light.svg", LIGHT)
                _save(app, folder / "top-no-color.svg", DARK, plain=True)
                await _pictures_of_one(app, pilot, folder)
    async with screen(pid, folder, RECORDED) as (app, pilot):
        drawn = await _record(app, pilot)
    _write(folder / "recording.svg", drawn)


async def _pictures_of_one(app: TopApp, pilot: Pilot[None], folder: Path) -> None:
    await _choose(app, pilot, "server.py")
    await pilot.press("enter", "2")
    await _wait(pilot, 2.0)
    _save(app, folder / "top-threads.svg", DARK)
    await pilot.press("escape")
    await _choose(app, pilot, "client.py")
    await pilot.press("enter", "5")
    await _wait(pilot, 2.0)
    _save(app, folder / "top-slow.svg", DARK)
    await pilot.press("escape", "1")
    await _choose(app, pilot, "flock lock true")
    await pilot.press("y")
    await app.workers.wait_for_complete()
    await _wait(pilot, 0.5)
    _save(app, folder / "top-why.svg", DARK)


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
            await _wait(pilot, step_s)
            at_s += step_s
    return film.svg(RECORDED[0], "straced top, and why a process waits", at_s)


async def _choose(app: TopApp, pilot: Pilot[None], words: str) -> None:
    await pilot.press("g")
    for _ in range(100):
        if app.chosen is not None and words in app.chosen.cmdline:
            break
        await pilot.press("j")
    await _wait(pilot, 2.5)


async def _wait(pilot: Pilot[None], seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        await pilot.pause(min(0.1, max(0.0, end - time.monotonic())))


def _save(app: TopApp, path: Path, theme: TerminalTheme, *, plain: bool = False) -> None:
    film = Film(theme, plain=plain)
    film.add(0.0, shot(app))
    _write(path, film.svg(app.size.width, "straced top"))


def _write(path: Path, drawn: str) -> None:
    path.write_text(drawn, encoding="utf-8")
    print(path)


@contextlib.contextmanager
def busy_machine() -> Iterator[int]:
    """A small web server with its client, a build and others under one shell, whose pid this is."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    with tempfile.TemporaryDirectory() as scratch:
        for name, text in FILES.items():
            (Path(scratch) / name).write_text(text.replace("PORT", port))
        (Path(scratch) / "python3").symlink_to(sys.executable)
        shell = subprocess.Popen(
            ["sh", "services.sh"],
            cwd=scratch,
            env={**os.environ, "PATH": f"{scratch}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield shell.pid
        finally:
            for pid in [shell.pid, *procfs.descendants(shell.pid)]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            shell.wait()


def main() -> None:
    """Look at such a machine."""
    with busy_machine() as pid:
        asyncio.run(take(pid, Path(sys.argv[1])))


if __name__ == "__main__":
    main()

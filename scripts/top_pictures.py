"""Make the pictures of docs/top.md: the live screen on real processes, as SVG. Needs root, eBPF and a C compiler.

python scripts/top_pictures.py docs/img
"""

from __future__ import annotations

import asyncio
import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from textual.pilot import Pilot

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
        "server = http.server.HTTPServer(('127.0.0.1', 18473), http.server.SimpleHTTPRequestHandler)\n"
        "for _ in range(5): threading.Thread(target=server.serve_forever, args=(30,)).start()\n"
    ),
    "client.py": (
        "import time, urllib.request, urllib.error\n"
        "while True:\n"
        "    for path in ('', 'missing'):\n"
        "        try: urllib.request.urlopen('http://127.0.0.1:18473/' + path).read()\n"
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
SEEN_S = 20.0
"""How long the screen has looked when its pictures are taken: the trends need some time."""
THEME = TerminalTheme(
    (26, 27, 38), (192, 202, 245),
    [(21, 22, 30), (247, 118, 142), (158, 206, 106), (224, 175, 104), (61, 89, 161), (187, 154, 247), (125, 207, 255),
     (169, 177, 214)],
    [(65, 72, 104), (247, 118, 142), (158, 206, 106), (224, 175, 104), (122, 162, 247), (187, 154, 247),
     (125, 207, 255), (224, 230, 255)],
)  # fmt: skip
"""Colours for the pictures only; a terminal has its own."""


async def take(pid: int, folder: Path) -> None:
    """The whole screen, and what is known of its processes one by one."""
    worker = FrameWorker(lambda: LocalSource([TargetSpec("pid", str(pid))], "ebpf"), LocalActions(folder), 1.0)
    app = TopApp(worker, interval_s=1.0, rows=ProcessRows("calls"))
    async with app.run_test(size=(124, 36)) as pilot:
        await _wait(pilot, SEEN_S)
        await _choose(app, pilot, "server.py")
        _save(app, folder / "top.svg")
        await pilot.press("enter", "2")
        await _wait(pilot, 2.0)
        _save(app, folder / "top-threads.svg")
        await pilot.press("escape", "1")
        await _choose(app, pilot, "flock lock true")
        await pilot.press("y")
        await app.workers.wait_for_complete()
        await _wait(pilot, 0.5)
        _save(app, folder / "top-why.svg")


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
        await pilot.pause(0.1)


def _save(app: TopApp, path: Path) -> None:
    size = app.size
    console = Console(
        width=size.width, height=size.height, file=io.StringIO(), force_terminal=True, color_system="truecolor",
        record=True, legacy_windows=False, safe_box=False,
    )  # fmt: skip
    console.print(app.screen._compositor.render_update(full=True))
    drawn = console.export_svg(title="straced top", theme=THEME, unique_id="terminal")
    drawn = re.sub(r"@font-face \{.*?\}\n", "", drawn, flags=re.DOTALL)  # a picture loads nothing from elsewhere
    path.write_text(drawn.replace("Fira Code, monospace", "monospace"), encoding="utf-8")


def main() -> None:
    """Start a small web server with its client, a build and others under one shell, and look at them."""
    folder = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as scratch:
        for name, text in FILES.items():
            (Path(scratch) / name).write_text(text)
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
            asyncio.run(take(shell.pid, folder))
        finally:
            for pid in [shell.pid, *procfs.descendants(shell.pid)]:
                os.kill(pid, signal.SIGKILL)
            shell.wait()


if __name__ == "__main__":
    main()

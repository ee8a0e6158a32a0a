"""Make the pictures of docs/top.md: the live screen on real processes, as SVG. Needs root and eBPF.

python scripts/top_pictures.py docs/img
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from textual.pilot import Pilot

from straced.live.actions import LocalActions
from straced.live.local import LocalSource
from straced.live.worker import Worker
from straced.targets import TargetSpec
from straced.views.tui.app import TopApp
from straced.views.tui.rows import Rows

SERVER = (
    "import http.server\n"
    "http.server.ThreadingHTTPServer(('127.0.0.1', {port}), http.server.SimpleHTTPRequestHandler).serve_forever()\n"
)
CLIENT = (
    "import time, urllib.request, urllib.error\n"
    "while True:\n"
    "    for path in ('', 'missing'):\n"
    "        try: urllib.request.urlopen('http://127.0.0.1:{port}/' + path).read()\n"
    "        except urllib.error.URLError: pass\n"
    "    time.sleep(0.02)\n"
)
PORT = 18473
SEEN_S = 12.0
"""How long the screen has looked when its pictures are taken: the trends need some time."""


async def take(pids: list[int], folder: Path) -> None:
    """Two pictures: the whole screen, and the threads of the server."""
    targets = [TargetSpec("pid", str(pid)) for pid in pids]
    worker = Worker(lambda: LocalSource(targets, "ebpf"), LocalActions(folder), 1.0)
    app = TopApp(worker, interval_s=1.0, rows=Rows("calls"))
    async with app.run_test(size=(110, 34)) as pilot:
        await _wait(pilot, SEEN_S)
        while app.chosen is None or app.chosen.pid != pids[0]:
            await pilot.press("j")
        await _wait(pilot, 2.0)
        _save(app, folder / "top.svg")
        await pilot.press("enter", "2")
        await _wait(pilot, 2.0)
        _save(app, folder / "top-threads.svg")
        await pilot.press("3")
        await _wait(pilot, 1.0)
        _save(app, folder / "top-files.svg")


async def _wait(pilot: Pilot[None], seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        await pilot.pause(0.1)


def _save(app: TopApp, path: Path) -> None:
    drawn = app.export_screenshot(title="straced top")
    drawn = re.sub(r"@font-face \{.*?\}\n", "", drawn, flags=re.DOTALL)  # a picture loads nothing from elsewhere
    path.write_text(drawn.replace("Fira Code, monospace", "monospace"), encoding="utf-8")


def main() -> None:
    """Start a small web server with its client, a copy of files and a sleeper, and look at them."""
    folder = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as scratch:
        commands = (
            ["python3", "server.py"],
            ["python3", "client.py"],
            ["sh", "-c", "while :; do tar cf doc.tar /usr/share/doc; sleep 0.3; done"],
            ["sleep", "600"],
        )
        for name, code in (("server.py", SERVER), ("client.py", CLIENT)):
            (Path(scratch) / name).write_text(code.format(port=PORT))
        started = [
            subprocess.Popen(
                command,
                executable=sys.executable if command[0] == "python3" else None,
                cwd=scratch,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for command in commands
        ]
        try:
            asyncio.run(take([process.pid for process in started], folder))
        finally:
            for process in started:
                process.kill()
                process.wait()


if __name__ == "__main__":
    main()

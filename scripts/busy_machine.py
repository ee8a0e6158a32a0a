"""What the pictures show: a web server with its client, a build, a writer that waits for its disk, and a lock."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HOME), str(HOME / "scripts")]

from tests.support.poll import until  # noqa: E402

from straced.linux import procfs  # noqa: E402

READY_S = 60.0
FILES = {
    "server.py": (
        "import http.server, threading, time\n"
        "class Handler(http.server.SimpleHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        if 'report' in self.path: time.sleep(0.03)\n"
        "        super().do_GET()\n"
        "server = http.server.HTTPServer(('127.0.0.1', PORT), Handler)\n"
        "for _ in range(5): threading.Thread(target=server.serve_forever, args=(30,)).start()\n"
    ),
    "report.csv": "day,visits\n" + "2026-11-30,4096\n" * 200,
    "client.py": (
        "import os, threading, time, urllib.request, urllib.error\n"
        "def ask(paths, pause):\n"
        "    while True:\n"
        "        if os.path.exists('/etc/client.toml'): paths = []\n"
        "        for path in paths:\n"
        "            try: note(urllib.request.urlopen('http://127.0.0.1:PORT/' + path).read())\n"
        "            except urllib.error.URLError: pass\n"
        "        time.sleep(pause)\n"
        "def note(answer):\n"
        "    with open('visits.log', 'ab') as log:\n"
        "        log.write(answer)\n"
        "        if len(answer) > 2000: os.fsync(log)\n"
        "threading.Thread(target=ask, args=(['report.csv'], 0.08)).start()\n"
        "ask(['', 'missing'], 0.02)\n"
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
        "gzip -1 < /dev/urandom > /dev/null & flock lock sleep 6000 & sleep 0.5; flock lock true & wait\n"
    ),
}


@contextlib.contextmanager
def busy_machine() -> Iterator[int]:
    """All of them under one shell, whose pid this is; the server answers, and the lock is waited for."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    with tempfile.TemporaryDirectory() as scratch:
        for name, text in FILES.items():
            (Path(scratch) / name).write_text(text.replace("PORT", str(port)))
        (Path(scratch) / "python3").symlink_to(sys.executable)
        shell = subprocess.Popen(
            ["sh", "services.sh"],
            cwd=scratch,
            env={**os.environ, "PATH": f"{scratch}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            until(lambda: _answers(port) and runs(shell.pid, "flock lock true"), READY_S, "the workload")
            yield shell.pid
        finally:
            os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()


def runs(pid: int, command: str) -> int | None:
    """The process below this one that runs a command."""
    for child in procfs.descendants(pid):
        with contextlib.suppress(procfs.Gone):
            if " ".join(procfs.cmdline(child)) == command:
                return child
    return None


def _answers(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0

"""Runs inside a booted kernel whose first process is systemd: the unit of the service, from install to its end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.kernels.checks import LONG_S, check, straced
from tests.support.poll import until

UNIT = Path("/etc/systemd/system/straced.service")
CONFIG = Path("/etc/straced/straced.toml")
SOCKET = "/run/straced/straced.sock"
MOST_EXPOSED = 5.0
"""What ``systemd-analyze security`` calls MEDIUM begins here."""
ASK = """
import json, socket, sys
sock = socket.socket(socket.AF_UNIX); sock.connect(sys.argv[1]); stream = sock.makefile("rwb")
for number, (method, params) in enumerate((("hello", {"protocol": 1}), ("status", {}))):
    stream.write(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode() + b"\\n")
    stream.flush()
    answer = json.loads(stream.readline())
print(json.dumps(answer["result"]))
"""
"""By the machine's own Python, which every user can start."""


def systemctl(*words: str) -> str:
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, timeout=10 * LONG_S, check=False)
    assert done.returncode == 0, f"systemctl {words[0]}: {done.stdout} {done.stderr} {journal()}"
    return done.stdout


def journal() -> str:
    done = subprocess.run(
        ["journalctl", "-u", "straced", "-n", "8", "-o", "cat", "--no-pager"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout[-600:]


def shown(name: str) -> str:
    return systemctl("show", "straced", "-p", name, "--value").strip()


def wait(condition: Callable[[], Any]) -> Any:
    return until(condition, 5 * LONG_S, pause_s=0.5)


def status(*prefix: str) -> dict[str, Any]:
    """What the service says of itself, to whoever asks."""
    words = [*prefix, "/usr/bin/python3", "-c", ASK, SOCKET]
    done = subprocess.run(words, capture_output=True, text=True, timeout=LONG_S, check=False, cwd="/")
    assert done.returncode == 0, done.stderr[-300:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def kinds() -> list[str]:
    return [
        json.loads(line)["kind"] for line in straced("events", "--since", "1h", "--each", "--json").stdout.splitlines()
    ]


@check
def systemd(refused: str) -> str:
    """Install, verify, start, clients, reload, watchdog, crash, upgrade, stop: by the first process of the machine."""
    assert Path("/proc/1/comm").read_text().strip() == "systemd"
    target = subprocess.Popen(["sh", "-c", "while :; do /bin/true; sleep 0.5; done"])
    steps = (
        lambda: _install(target.pid), _analyzed, _started, _clients, lambda: _reloaded(target.pid), _crashed, _watched,
        _upgraded, _stopped,
    )  # fmt: skip
    words: list[str] = []
    try:
        for step in steps:
            words.append(step())
            print(words[-1], flush=True)
    except Exception as error:
        raise AssertionError(f"after {words}: {error}; the service said: {journal()}") from error
    finally:
        target.kill()
        target.wait()
    return "; ".join(words)


def _install(pid: int) -> str:
    CONFIG.parent.mkdir(parents=True, exist_ok=True)
    _configure(pid, "1s")
    straced("serve", "--install", "-c", str(CONFIG))
    assert f"serve -c {CONFIG}" in UNIT.read_text()
    changed = UNIT.read_text().replace("WatchdogSec=120", "WatchdogSec=119")
    UNIT.write_text(changed)
    assert straced("serve", "--install", "-c", str(CONFIG), expect=None).returncode != 0, "another one is not replaced"
    straced("serve", "--install", "-c", str(CONFIG), "--overwrite")
    systemctl("daemon-reload")
    return "installed"


def _configure(pid: int, interval: str) -> None:
    CONFIG.write_text(f'interval = "{interval}"\n[[watch]]\ntarget = "{pid}"\nlabels = {{job = "loop"}}\n')


def _analyzed() -> str:
    verified = subprocess.run(["systemd-analyze", "verify", UNIT], capture_output=True, text=True, timeout=5 * LONG_S)
    assert [line for line in verified.stderr.splitlines() if "straced" in line] == [], verified.stderr
    told = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", UNIT],
        capture_output=True,
        text=True,
        timeout=LONG_S,
    )
    found = re.search(r"exposure level for .*?: ([\d.]+)", told.stdout)
    assert found is not None, told.stdout[-300:] + told.stderr
    assert float(found[1]) < MOST_EXPOSED, found[0]
    return f"verified, exposure {found[1]}"


def _started() -> str:
    systemctl("start", "straced")
    assert (shown("ActiveState"), shown("SubState")) == ("active", "running")
    assert shown("Type") == "notify"
    found = status()
    assert found["tracer"] == "ebpf", found
    wait(lambda: status()["watched"] >= 1)
    wait(lambda: "calls" in straced("history", "job:loop", expect=None).stdout)
    return "started, counts by eBPF"


def _clients() -> str:
    nobody = status("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    assert nobody["pid"] == int(shown("MainPID"))
    return "answers nobody"


def _reloaded(pid: int) -> str:
    before = shown("MainPID")
    _configure(pid, "2s")
    systemctl("reload", "straced")
    wait(lambda: "reloaded" in kinds())
    assert (shown("MainPID"), shown("ActiveState")) == (before, "active")
    return "reloads"


def _crashed() -> str:
    before = int(shown("MainPID"))
    os.kill(before, signal.SIGKILL)
    wait(lambda: shown("ActiveState") == "active" and int(shown("MainPID")) not in (0, before))
    wait(lambda: "interrupted" in kinds())
    return "is started again when it is killed"


def _watched() -> str:
    """It stands still, and systemd ends it: with ten seconds of patience instead of two minutes."""
    drop_in = Path("/run/systemd/system/straced.service.d/watchdog.conf")
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text("[Service]\nWatchdogSec=20\n")
    systemctl("daemon-reload")
    systemctl("restart", "straced")
    before = int(shown("MainPID"))
    os.kill(before, signal.SIGSTOP)
    wait(lambda: shown("ActiveState") == "active" and int(shown("MainPID")) not in (0, before))
    assert int(shown("NRestarts")) >= 1
    drop_in.unlink()
    systemctl("daemon-reload")
    return "and when it stands still"


def _upgraded() -> str:
    before, told = shown("MainPID"), straced("events", "--since", "1h", "--each", "--json", "-n", "1000").stdout
    systemctl("restart", "straced")
    assert shown("MainPID") != before
    kept = straced("events", "--since", "1h", "--each", "--json", "-n", "1000").stdout
    assert len(kept.splitlines()) > len(told.splitlines()), "history goes on"
    return "is replaced in place"


def _stopped() -> str:
    group = Path("/sys/fs/cgroup") / shown("ControlGroup").lstrip("/")
    systemctl("stop", "straced")
    assert (shown("ActiveState"), shown("Result")) == ("inactive", "success")
    assert not group.exists() or (group / "cgroup.procs").read_text() == ""
    assert not Path(SOCKET).exists()
    return "stops in order"

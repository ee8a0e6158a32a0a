"""GPUs, as ``nvidia-smi`` tells; where there is none, nothing is started."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time

from straced.model.facts import GpuFacts
from straced.text.sanitize import scrub

EVERY_S = 10.0
LIMIT_S = 5.0
_DEVICES = "/dev/nvidiactl"
_GPU_QUERY = "--query-gpu=index,name,utilization.gpu,memory.used,memory.total,uuid"
_PROCESS_QUERY = "--query-compute-apps=pid,used_memory,gpu_uuid"
_FORMAT = "--format=csv,noheader,nounits"


class Gpus:
    """The GPUs, asked for on a thread of its own at most every ``EVERY_S``: nvidia-smi may take seconds to answer."""

    def __init__(self, program: str | None = None) -> None:
        self._program = program or (shutil.which("nvidia-smi") if os.path.exists(_DEVICES) else None)
        self._known: tuple[GpuFacts, ...] = ()
        self._due = 0.0
        self._asking: threading.Thread | None = None

    def __call__(self) -> tuple[GpuFacts, ...]:
        """What the last answer said."""
        if self._program is not None and time.monotonic() >= self._due and not self._busy():
            self._asking = threading.Thread(target=self.ask, daemon=True, name="straced-gpu")
            self._asking.start()
        return self._known

    def _busy(self) -> bool:
        return self._asking is not None and self._asking.is_alive()

    def ask(self) -> None:
        """Ask now; without an answer there are none."""
        self._due = time.monotonic() + EVERY_S
        try:
            gpus, processes = self._run(_GPU_QUERY), self._run(_PROCESS_QUERY)
        except (OSError, subprocess.SubprocessError):
            self._known = ()
            return
        self._known = parse(gpus, processes)

    def _run(self, query: str) -> str:
        assert self._program is not None
        command = [self._program, query, _FORMAT]
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=LIMIT_S, check=True)
        return done.stdout.decode("utf-8", "backslashreplace")


def parse(gpus: str, processes: str) -> tuple[GpuFacts, ...]:
    """Two tables of nvidia-smi (MiB and percent) as values; what it marks ``[N/A]`` is unknown."""
    by_uuid: dict[str, dict[int, int]] = {}
    for line in processes.splitlines():
        words = [word.strip() for word in line.split(",")]
        if len(words) == 3 and words[0].isdecimal() and words[1].isdecimal():
            by_uuid.setdefault(words[2], {})[int(words[0])] = int(words[1]) << 20
    found = []
    for line in gpus.splitlines():
        words = [word.strip() for word in line.split(",")]
        if len(words) != 6 or not words[0].isdecimal():
            continue
        used, whole = _mib(words[3]), _mib(words[4])
        found.append(
            GpuFacts(
                index=int(words[0]),
                name=scrub(words[1], 100),
                busy_pct=float(words[2]) if words[2].isdecimal() else None,
                memory_used_bytes=used,
                memory_total_bytes=whole,
                memory_by_pid=by_uuid.get(words[5], {}),
            )
        )
    return tuple(found)


def _mib(word: str) -> int | None:
    return int(word) << 20 if word.isdecimal() else None

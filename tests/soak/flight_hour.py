"""An hour of a flight recorder under mixed load, its memory watched: python -m tests.soak.flight_hour [-d SECONDS].

The recorder is ``straced record`` as it is at a shell, the dumps are those of ``straced dump``. Each dump must have the
sum of its calls name by name. Memory of the process and of the kernel's maps may not grow in the second half by more
than an unsteady level explains.
"""

from __future__ import annotations

import argparse
import math
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from msgspec import Struct

from straced.linux import procfs
from straced.records.reader import RecordFile
from tests.support.poll import until
from tests.support.records import check_sums

LOAD = """
import contextlib, itertools, os, socket, subprocess, sys, threading, time
def files():
    path = os.path.join(sys.argv[1], f"f-{threading.get_native_id()}")
    with open(path, "wb") as file: file.write(bytes(4096)); file.flush(); os.fsync(file.fileno())
    with open(path, "rb") as file: file.read()
    os.rename(path, path + "x"); os.stat(path + "x"); os.unlink(path + "x"); os.listdir(sys.argv[1])
def pipes():
    r, w = os.pipe()
    for _ in range(20): os.write(w, b"x"); os.read(r, 1)
    os.close(r); os.close(w)
def sockets():
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()) as one, server.accept()[0] as other:
            one.sendall(bytes(1000)); other.recv(1000)
        port = server.getsockname()[1]
    socket.create_connection(("127.0.0.1", port), 5)
def forks():
    if not (pid := os.fork()): os.getppid(); os.access("/none", 0); os._exit(0)
    os.waitpid(pid, 0)
def programs(): subprocess.run(["/bin/true", "an argument"], env={"A": "B"}); time.sleep(0.3)
def threads():
    each = threading.Thread(target=os.getppid); each.start(); each.join()
def errors():
    for call in (lambda: open("/there/is/none"), lambda: os.read(999, 1), lambda: os.kill(1 << 22, 0),
                 lambda: os.open("/", os.O_WRONLY), lambda: os.wait(), lambda: os.mkdir("/")):
        with contextlib.suppress(OSError): call()
def burst():
    for _ in range(20000): os.getppid()
    time.sleep(10)
def always(work, pause):
    while True:
        with contextlib.suppress(OSError): work()
        time.sleep(pause)
pauses = {files: 0.05, pipes: 0.05, sockets: 0.1, forks: 0.1, programs: 0, threads: 0.05, errors: 0.05, burst: 0}
for each, pause in pauses.items(): threading.Thread(target=always, args=(each, pause)).start()
"""
_LEVEL_BYTES = 1 << 20
"""An hour may add so much, or else it grows: an allocator gives back in larger pieces."""


class Sample(Struct, frozen=True):
    """The memory at a time."""

    seconds: float
    own: int
    """Of the process, its mapped rings left out: those are seen once a dump has touched them."""
    maps: int
    """Of the kernel's maps and programs, as they say themselves."""
    files: int
    threads: int


def sample(pid: int, began: float) -> Sample:
    words = [line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]]
    sizes = {line[0]: int(line[1]) << 10 for line in words}
    facts = {path.name: dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
             for path in Path(f"/proc/{pid}/fdinfo").iterdir()}  # fmt: skip
    maps = {
        (each.get("map_id"), each.get("prog_id")): int(each["memlock"]) for each in facts.values() if "memlock" in each
    }
    own = sizes["Anonymous:"] + sizes["Swap:"]
    return Sample(time.monotonic() - began, own, sum(maps.values()), len(facts), len(procfs.tasks(pid)))


def growth(samples: list[Sample], what: str) -> tuple[float, float]:
    """Bytes an hour over the second half of the samples, by least squares; and three standard errors of that."""
    late = samples[len(samples) // 2 :]
    times, values = [each.seconds for each in late], [float(getattr(each, what)) for each in late]
    middle, level = sum(times) / len(late), sum(values) / len(late)
    spread = sum((each - middle) ** 2 for each in times)
    slope = sum((at - middle) * (value - level) for at, value in zip(times, values, strict=True)) / spread
    rest = sum((value - level - slope * (at - middle)) ** 2 for at, value in zip(times, values, strict=True))
    return slope * 3600, 3 * math.sqrt(rest / max(1, len(late) - 2) / spread) * 3600


def dump(target: int, path: Path) -> str:
    """Take one, and check it; returns what it holds."""
    began = time.monotonic()
    command = [sys.executable, "-m", "straced", "dump", str(target), "-o", str(path), "--overwrite"]
    said = subprocess.run(command, check=True, timeout=120, capture_output=True, text=True).stderr.strip()
    took, file = time.monotonic() - began, RecordFile(path)
    found = check_sums(file)
    assert file.end is not None
    gone = sum(each.overwritten for each in file.end.calls.values())
    lost = sum(each.lost for each in file.end.calls.values())
    return (
        f"{said} ({took:.1f} s; {found.total():,} records of {len(found)} calls, {gone:,} overwritten, {lost:,} lost)"
    )


def quietly_dumped(target: int, folder: Path) -> bool:
    """Whether somebody keeps its calls by now."""
    command = [sys.executable, "-m", "straced", "dump", str(target), "-o", str(folder / "d.strc"), "--overwrite"]
    return subprocess.run(command, capture_output=True, timeout=120).returncode == 0


def watch(options: argparse.Namespace, folder: Path, target: int, recorder: int) -> list[Sample]:
    began, samples, dumps = time.monotonic(), [], 0
    while (at := time.monotonic() - began) < options.seconds:
        if at >= dumps * options.dump_every:
            dumps += 1
            print(f"  {time.strftime('%H:%M:%S')} dump {dumps}: {dump(target, folder / 'd.strc')}", flush=True)
        samples.append(sample(recorder, began))
        now = samples[-1]
        print(f"  {time.strftime('%H:%M:%S')} own {now.own >> 10:,} kB, maps {now.maps >> 10:,} kB, "
              f"{now.files} descriptors, {now.threads} threads", flush=True)  # fmt: skip
        time.sleep(options.every - (time.monotonic() - began) % options.every)
    return samples


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-d", "--seconds", type=float, default=3600, help="ten samples are the least")
    parser.add_argument("--every", type=float, default=30, help="seconds from one sample to the next")
    parser.add_argument("--dump-every", type=float, default=240, help="seconds from one dump to the next")
    parser.add_argument("--ring", default="8MiB")
    options = parser.parse_args()
    if options.seconds < 10 * options.every:
        parser.error(f"{options.seconds:.0f} s are not ten samples")
    with tempfile.TemporaryDirectory(prefix="straced-hour-") as name:
        load = subprocess.Popen([sys.executable, "-c", LOAD, name])
        command = [sys.executable, "-m", "straced", "record", str(load.pid), "--ring", options.ring]
        recorder = subprocess.Popen([*command, "--dumps", name])
        try:
            until(lambda: quietly_dumped(load.pid, Path(name)), 60, "it records", pause_s=0.2)
            samples = watch(options, Path(name), load.pid, recorder.pid)
            recorder.send_signal(signal.SIGINT)
            assert recorder.wait(60) == 0
        finally:
            for each in (load, recorder):
                each.kill()
                each.wait()
    grows = []
    for what in ("own", "maps", "files", "threads"):
        slope, noise = growth(samples, what)
        grows += [what] if slope - noise > (_LEVEL_BYTES if what in ("own", "maps") else 2) else []
        first, most = getattr(samples[0], what), max(getattr(each, what) for each in samples)
        hourly = f"second half {slope:+,.0f} an hour, give or take {noise:,.0f}"
        print(f"{what}: {first:,} at first, {most:,} at most; {hourly}")
    print(f"{options.seconds:.0f} s recorded: {', '.join(grows) + ' grows' if grows else 'memory is flat'}")
    return 1 if grows else 0


if __name__ == "__main__":
    sys.exit(main())

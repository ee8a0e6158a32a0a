"""Staged trouble is found, with the right line and count.

Of `traces/analysis/findings.py` and `traces/analysis/roles.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from straced.traces.values import Finding, TraceReport
from tests.traces.recorded import OURS, record, report

STAGED: dict[str, tuple[str, str, int]] = {
    "failing_lookups": ("for _ in range(40): os.path.exists('/etc/missing.conf')", "/etc/missing.conf", 40),
    "lookup_storm": (
        "for d in 'abcdef':\n for _ in range(30): os.path.exists(f'/opt/{d}/plugin.so')", "plugin.so", 180
    ),
    "tiny_io": ("f = os.open('out', 65)\nfor _ in range(400): os.write(f, b'xyz')", "out", 400),
    "fsync": ("f = os.open('out', 65)\nfor _ in range(7): os.write(f, b'x'*600); os.fsync(f)", "out", 7),
    "retries": (
        "r, w = os.pipe(); os.set_blocking(r, False)\nfor _ in range(150):\n try: os.read(r, 1)\n except OSError: pass",
        "pipe", 150,
    ),
    "repeated_stat": ("for _ in range(80): os.stat('/etc/hostname')", "/etc/hostname", 80),
    "empty_reads": ("f = os.open('/dev/null', 0)\nfor _ in range(300): os.read(f, 10)", "/dev/null", 300),
    "lock_waits": (
        "import fcntl, time\nf = open('lock', 'w'); fcntl.flock(f, 2); r, w = os.pipe()\n"
        "if os.fork() == 0:\n g = open('lock'); os.write(w, b'x'); fcntl.flock(g, 2); os._exit(0)\n"
        "os.read(r, 1); time.sleep(0.05); fcntl.flock(f, 8); os.wait()", "lock", 1,
    ),
    "many_processes": ("import subprocess\nfor _ in range(60): subprocess.run(['/bin/true'])", "/bin/true", 60),
    "errors": (
        "for _ in range(300):\n try: os.close(-1)\n except OSError: pass\nimport time; time.sleep(1)", "close", 50,
    ),
}  # fmt: skip


def staged(tmp_path: Path, code: str, flags: tuple[str, ...] = OURS) -> tuple[Path, TraceReport]:
    program = f"import os\n{STAGED[code][0]}\n"
    path = record(tmp_path, [sys.executable, "-I", "-S", "-c", program], flags)
    return path, report(path)


@pytest.mark.parametrize("code", STAGED)
def test_staged(tmp_path: Path, code: str) -> None:
    path, made = staged(tmp_path, code)
    _, subject, count = STAGED[code]
    found = [each for each in made.findings if each.code == code and subject in each.subject]
    assert found, [(each.code, each.subject, each.count) for each in made.findings]
    finding: Finding = found[0]
    assert finding.count == count if code not in ("errors", "lock_waits") else finding.count >= count
    lines = path.read_bytes().split(b"\n")
    evidence = [lines[number - 1] for number in finding.lines]
    assert evidence
    wanted = {"tiny_io": b"out", "retries": b"pipe", "errors": b"EBADF", "lock_waits": b"flock"}.get(
        code, subject.encode()
    )
    assert all(wanted in line for line in evidence)
    if code == "lock_waits":
        assert finding.cost_ns is not None
        assert finding.cost_ns > 30_000_000
    if code not in ("many_processes", "errors"):
        assert finding.cost_ns is not None
        assert 0 < finding.cost_ns < made.summary.window.duration_ns


def test_without_durations_there_is_no_cost(tmp_path: Path) -> None:
    _, made = staged(tmp_path, "fsync", ("-f", "-tt"))
    finding = next(each for each in made.findings if each.code == "fsync")
    assert (finding.count, finding.cost_ns) == (7, None)
    assert all(row.wall_ns is None and row.p99_ns is None for row in made.summary.rows)
    assert made.slowest == ()


def test_the_slowest_call_is_on_its_line(tmp_path: Path) -> None:
    path, made = staged(tmp_path, "errors")
    slowest = made.slowest[0]
    assert "nanosleep" in slowest.text or "select" in slowest.text
    line = path.read_bytes().split(b"\n")[slowest.line - 1]
    assert f"{slowest.duration_ns / 1e9:.6f}".encode() in line
    durations = [call.duration_ns for call in made.slowest]
    assert durations == sorted(durations, reverse=True)


def test_paths_are_capped_and_their_sums_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from straced.traces.analysis import file_stats

    program = "import os\nfor i in range(900): os.path.exists(f'/nope/{i}')"
    path = record(tmp_path, [sys.executable, "-I", "-S", "-c", program])
    whole = report(path)
    monkeypatch.setattr(file_stats, "MOST_PATHS", 100)
    capped = report(path)
    assert len(capped.files) <= 101
    assert capped.files_folded >= 800
    for field in ("calls", "errors", "in_bytes", "out_bytes", "wall_ns"):
        assert sum(getattr(row, field) for row in capped.files) == sum(getattr(row, field) for row in whole.files)
    assert any(row.path == "(all other paths)" for row in capped.files)

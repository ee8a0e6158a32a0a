"""Staged regressions are the top row; checks give status 1; several runs tell sure from unsure.

Of `commands/diff.py` and `views/text/diff.py`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from straced.errors import InvalidArgument
from straced.traces.diff.checks import check
from straced.traces.diff.compare import compare
from straced.traces.diff.profile import NotASummary, Profile, load, stable
from straced.traces.diff.significance import apart, p_value
from straced.traces.diff.values import Difference
from tests.support.pace import PACE
from tests.traces.recorded import record, report

PROGRAM = """
import os, sys
mode = sys.argv[1]
out = os.open("out.bin", os.O_WRONLY | os.O_CREAT, 0o600)
for i in range(200):
    f = os.open("/etc/hostname", os.O_RDONLY); os.read(f, 10); os.close(f)
    if mode == "stat": os.stat("/etc/hostname")
    os.write(out, b"x" * 600)
    if mode == "fsync": os.fsync(out)
    if mode == "gone" or i: continue
    os.sched_yield()
if mode == "enoent":
    try: os.open("/etc/straced-missing.conf", os.O_RDONLY)
    except OSError: pass
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("diff")
    modes = ("base", "base2", "stat", "fsync", "enoent", "gone")
    return {mode: record(folder, [sys.executable, "-I", "-S", "-c", PROGRAM, mode], name=mode) for mode in modes}


def between(runs: dict[str, Path], before: str, after: str) -> Difference:
    return compare([load(str(runs[before]))], [load(str(runs[after]))])


def test_the_same_program_differs_in_nothing_counted(runs: dict[str, Path]) -> None:
    difference = between(runs, "base", "base2")
    assert all(change.calls.delta == 0 for change in difference.changes)
    assert difference.total.calls.delta == 0
    assert difference.same > 50


def test_one_more_stat_in_a_loop(runs: dict[str, Path]) -> None:
    top = between(runs, "base", "stat").changes[0]
    assert (top.kind, top.name, top.calls.delta, top.note) == ("syscall", "newfstatat", 200, "")


def test_an_fsync_for_every_write(runs: dict[str, Path]) -> None:
    top = between(runs, "base", "fsync").changes[0]
    assert (top.kind, top.name, top.calls.after, top.note) == ("syscall", "fsync", 200, "new")


def test_a_single_new_enoent(runs: dict[str, Path]) -> None:
    difference = between(runs, "base", "enoent")
    top = difference.changes[0]
    assert (top.kind, top.name, top.errors.after, top.note) == ("path", "/etc/straced-missing.conf", 1, "new")
    errno = difference.find("errno", "openat ENOENT")
    assert errno is not None
    assert errno.calls.delta == 1


def test_a_call_that_is_gone(runs: dict[str, Path]) -> None:
    change = between(runs, "base", "gone").find("syscall", "sched_yield")
    assert change is not None
    assert change.note == "gone"


@pytest.mark.parametrize(
    ("fail_on", "most", "status"),
    [
        (["newfstatat.calls>+10%"], [], 1),
        (["newfstatat.calls>+100000%"], [], 0),
        (["openat.calls>+0"], [], 0),
        (["total.calls>+199"], [], 1),
        (["total.calls>+200"], [], 0),
        (["newfstatat.calls>100"], [], 1),
        (["new.syscalls>0"], [], 0),
        (["total.time>+10m"], [], 0),
        (["openat.ENOENT>1000"], [], 0),
        ([], ["fsync=0"], 0),
        ([], ["newfstatat=100"], 1),
        ([], ["total=1"], 1),
        ([], ["openat.ENOENT=0"], 1),
    ],
)
def test_checks(runs: dict[str, Path], fail_on: list[str], most: list[str], status: int) -> None:
    command = [sys.executable, "-m", "straced", "diff", str(runs["base"]), str(runs["stat"])]
    command += [word for rule in fail_on for word in ("--fail-on", rule)]
    command += [word for limit in most for word in ("--max", limit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60 * PACE, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    assert ("FAILED" in done.stdout) == bool(status)
    assert "newfstatat" in done.stdout.splitlines()[4]
    assert all(len(line) < 140 for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    "rule", ["", "openat", "openat.calls", "openat.calls>10%", "openat.nothing>1", "a b>1", "x.calls>5s"]
)
def test_rules_that_cannot_be_read(runs: dict[str, Path], rule: str) -> None:
    difference = between(runs, "base", "stat")
    with pytest.raises(InvalidArgument):
        check(difference, [load(str(runs["stat"]))], [rule], [])


def test_saved_summaries_and_reports(runs: dict[str, Path], tmp_path: Path) -> None:
    made = {mode: report(runs[mode]) for mode in ("base", "stat")}
    for mode, each in made.items():
        (tmp_path / f"{mode}.json").write_bytes(msgspec.json.encode(each.summary.to_dict()))
        (tmp_path / f"{mode}.report").write_bytes(msgspec.json.encode(each.to_dict()))
    for suffix, paths in (("json", False), ("report", True)):
        difference = compare([load(str(tmp_path / f"base.{suffix}"))], [load(str(tmp_path / f"stat.{suffix}"))])
        assert difference.changes[0].name == "newfstatat"
        assert any(change.kind == "path" for change in difference.changes) == paths
    line = (tmp_path / "base.json").read_bytes()
    (tmp_path / "windows.ndjson").write_bytes(line + b"\n" + line + b"\n")
    assert load(str(tmp_path / "windows.ndjson")).total.calls == 2 * (
        load(str(tmp_path / "base.json")).total.calls or 0
    )


@pytest.mark.parametrize(
    "text", [b"{}", b'{"schema": "other/1"}', b"{" * 5000, b'{"schema": "straced.summary/1"}', b"{\xff"]
)
def test_json_of_another_kind(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(text)
    with pytest.raises(NotASummary) as caught:
        load(str(path))
    assert caught.value.exit_code == 2


def test_several_runs_tell_sure_from_unsure() -> None:
    def profile(calls: int, noise: int) -> Profile:
        from straced.traces.diff.profile import ProfileFigures

        rows = {"read": ProfileFigures(calls=calls, errors=0), "futex": ProfileFigures(calls=noise, errors=0)}
        total = ProfileFigures(calls=calls + noise, errors=0)
        return Profile(source="x", kind="trace", quality="exact", total=total, syscalls=rows)

    before = [profile(100, noise) for noise in (50, 90, 70, 60)]
    after = [profile(110, noise) for noise in (95, 55, 85, 75)]
    difference = compare(before, after)
    assert [change.name for change in difference.changes] == ["read", "futex"]
    read, futex = (change.calls for change in difference.changes)
    assert read.p == pytest.approx(2 / 70)
    assert futex.p is not None
    assert futex.p > 0.1


def test_significance() -> None:
    assert p_value([1], [2]) is None
    assert p_value([1, 1, 1], [2, 2, 2]) == pytest.approx(0.1)
    assert p_value([1, 2, 3], [1, 2, 3]) == 1
    assert apart([1, 2], [3, 4])
    assert not apart([1, 3], [2, 4])


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/proc/4242/stat", "/proc/#/stat"),
        ("/usr/lib/python3.11/os.py", "/usr/lib/python3.11/os.py"),
        ("/tmp/tmpab12cd_9/x", "/tmp/#/x"),
        ("/home/a/.cache/0123456789abcdef/y", "/home/a/.cache/#/y"),
        ("/lib/x86_64-linux-gnu/libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6"),
    ],
)
def test_paths_without_what_changes(path: str, kept: str) -> None:
    assert stable(path) == kept


def test_usage(runs: dict[str, Path]) -> None:
    for words in ([], ["x"], ["a", "b", "c"], [":", "b"], ["a", ":"]):
        done = subprocess.run(
            [sys.executable, "-m", "straced", "diff", *words],
            capture_output=True,
            text=True,
            timeout=60 * PACE,
            check=False,
        )
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) <= 3
    base, other = str(runs["base"]), str(runs["stat"])
    done = subprocess.run(
        [sys.executable, "-m", "straced", "diff", base, base, ":", other, other, "--json"],
        capture_output=True, timeout=60 * PACE, check=True,
    )  # fmt: skip
    assert msgspec.json.decode(done.stdout)["schema"] == "straced.diff/1"

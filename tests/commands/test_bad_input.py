"""Bad input: one clear error of at most three lines, the right status, the target unharmed, nothing half-written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.cli import straced
from tests.support.owner import NOBODY
from tests.support.workload import Starter

pytestmark = pytest.mark.needs("strace", "cc")
STRACE = ("--tracer", "strace")


@pytest.mark.parametrize("verb", ["attach", "trace"])
@pytest.mark.parametrize(
    ("pid", "statuses"),
    [("0", {2}), ("-1", {2}), ("2147483648", {2, 3}), ("100000000000", {2, 3}), ("12abc", {2}), ("", {2}),
     ("4194303", {2, 3}), ("1 2", {2}), ("٤٢", {2}), ("0x10", {2}), ("unit:", {2}), ("name:", {2})],
)  # fmt: skip
def test_pids_that_cannot_be(verb: str, pid: str, statuses: set[int]) -> None:
    words = (*STRACE, "--") if verb == "attach" else ()  # behind -- of trace stands a command
    result = straced(verb, *words, pid)
    assert result.status in statuses, result.err
    result.assert_clear_error(result.status)


def test_no_target_and_no_command() -> None:
    for words in (["attach", *STRACE], ["trace"], ["run"], ["run", "--"]):
        result = straced(*words)
        assert result.status in ({2, 125} if words[0] == "run" else {2})
        assert "Traceback" not in result.err


def outputs(folder: Path) -> dict[str, Path]:
    """Paths that cannot be written to, each in its own way."""
    (folder / "exists").write_text("mine")
    (folder / "victim").write_text("precious")
    (folder / "link").symlink_to(folder / "victim")
    (folder / "dangling").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "fifo")
    return {
        "a folder": folder,
        "a fifo": folder / "fifo",
        "a symlink": folder / "link",
        "a dangling symlink": folder / "dangling",
        "exists": folder / "exists",
        "below a file": folder / "exists" / "below",
        "not writable": Path("/proc/trace"),
        "a device": Path("/dev/full"),
        "too long": folder / ("x" * 300),
    }


KINDS = ["a folder", "a fifo", "a symlink", "a dangling symlink", "exists", "below a file", "not writable", "a device",
         "too long"]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("verb", ["trace", "attach", "run"])
def test_output_paths(start: Starter, tmp_path: Path, verb: str, kind: str) -> None:
    folder = tmp_path / "outputs"
    folder.mkdir()
    path = outputs(folder)[kind]
    before = sorted(folder.iterdir())
    target = start("tick")
    if verb == "run":
        mark = tmp_path / "ran"
        result = straced("run", *STRACE, "-o", path, "--", "touch", mark)
        result.assert_clear_error(125)
        assert not mark.exists(), "found out before the command ran"
    else:
        words = (*STRACE, "-d", "0.2s") if verb == "attach" else ("-d", "0.2s")
        result = straced(verb, target.pid, *words, "-o", path)
        result.assert_clear_error(2)
    assert sorted(folder.iterdir()) == before
    assert (folder / "victim").read_text() == "precious"
    assert (folder / "exists").read_text() == "mine"
    assert target.untraced()
    assert target.runs()


@pytest.mark.needs("root", "setpriv")
def test_a_folder_that_may_not_be_written(start: Starter, tmp_path: Path) -> None:
    target = start.program([*NOBODY, str(start.gt), "tick"])
    folder = start.folder / "closed"
    folder.mkdir(mode=0o755)
    try:
        result = straced("trace", target.pid, "-o", folder / "trace", prefix=NOBODY)
        result.assert_clear_error(2)
        assert list(folder.iterdir()) == []
    finally:
        folder.rmdir()
    assert target.untraced()


@pytest.mark.needs("root", "tmpfs")
def test_a_full_disk(start: Starter, tmp_path: Path) -> None:
    """The trace ends, the reason is said, the target runs on."""
    target = start("tick")
    folder = tmp_path / "small"
    folder.mkdir()
    script = f'mount -t tmpfs -o size=256k none {folder} && "$@"'
    result = straced(
        "trace", target.pid, "-o", folder / "trace", prefix=("unshare", "--mount", "sh", "-c", script, "sh")
    )
    result.assert_clear_error(2)
    assert "full" in result.err or "space" in result.err
    assert target.untraced()
    assert target.runs()


def test_a_disk_with_too_little_room(start: Starter, tmp_path: Path) -> None:
    target = start("tick")
    result = straced("trace", target.pid, "-o", tmp_path / "trace", "--min-free", "900TB")
    result.assert_clear_error(2)
    assert "a trace leaves 900.0 TB" in result.err
    assert not (tmp_path / "trace").exists()
    assert target.untraced()


@pytest.mark.parametrize("kind", ["fifo", "folder"])
def test_overwrite_replaces_files_only(start: Starter, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "out"
    os.mkfifo(path) if kind == "fifo" else path.mkdir()
    straced("trace", start("tick").pid, "-d", "0.2s", "-o", path, "--overwrite").assert_clear_error(2)
    assert path.is_fifo() or path.is_dir()


@pytest.mark.parametrize(
    "words",
    [["-d", "0"], ["-d", "-1s"], ["-d", "soon"], ["-n", "0"], ["--sort", "beauty"], ["--tracer", "dtrace"],
     ["--max-overhead", "-3"], ["--nope"]],
)  # fmt: skip
def test_options(start: Starter, words: list[str]) -> None:
    target = start("tick")
    straced("attach", target.pid, *STRACE, *words).assert_clear_error(2)
    assert target.untraced()

"""A file is whole or not there: full disks, limits, kills. The old one stays."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
from pathlib import Path

import pytest

from straced.linux import output_file
from straced.linux.output_file import OutputFile
from tests.support import proc
from tests.support.cli import popen_straced, straced
from tests.support.poll import until

OPTIONS = ("--html", "--perfetto", "--ndjson", "--csv")
SMALL = 4096


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """A trace of which every output is larger than a page of memory."""
    lines = (f'7 {1790000000 + n}.000001 openat(3, "/etc/{n}", 0) = 4 <0.000{n % 1000:03}>\n' for n in range(5000))
    path = tmp_path / "trace"
    path.write_text("".join(lines))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with nothing in it."""
    made = tmp_path / "folder"
    made.mkdir()
    return made


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL, SMALL))


@pytest.mark.parametrize("option", OPTIONS)
def test_a_file_that_may_not_grow(trace: Path, folder: Path, option: str) -> None:
    old = folder / "out"
    old.write_text("old")
    result = straced("report", trace, option, old, "--overwrite", preexec_fn=limited)
    result.assert_clear_error(2)
    assert "cannot be written: File too large" in result.err
    assert old.read_text() == "old"
    assert os.listdir(folder) == ["out"]


@pytest.mark.needs("duckdb")
def test_parquet_that_may_not_grow(trace: Path, folder: Path) -> None:
    result = straced("report", trace, "--parquet", folder / "calls", preexec_fn=limited)
    result.assert_clear_error(2)
    assert os.listdir(folder) == []


@pytest.mark.needs("root", "tmpfs")
@pytest.mark.parametrize("option", OPTIONS)
def test_a_full_disk(trace: Path, folder: Path, option: str) -> None:
    words = ("report", trace, option, folder / "out", "--overwrite")
    result = straced(*words, prefix=on_a_full_disk(folder))
    result.assert_clear_error(2)
    assert "cannot be written: No space left on device" in result.err
    assert result.out == "old\nfiller\nout\n"


@pytest.mark.needs("root", "tmpfs", "strace")
def test_a_full_disk_after_the_command(folder: Path) -> None:
    """The command is done, and its figures cannot be kept."""
    words = ("run", "--tracer", "strace", "-o", folder / "out", "--overwrite", "--", "true")
    result = straced(*words, prefix=on_a_full_disk(folder))
    result.assert_clear_error(125)
    assert "cannot be written: No space left on device" in result.err
    assert result.out == "old\nfiller\nout\n"


def on_a_full_disk(folder: Path) -> tuple[str, ...]:
    """What runs a command where ``folder`` has no room, and says at the end what is in it."""
    script = f"""
        mount -t tmpfs -o size=16k none {folder} && echo old > {folder}/out || exit 99
        cat /dev/zero > {folder}/filler 2> /dev/null
        "$@" > /dev/null; status=$?
        cat {folder}/out; ls -A {folder}
        exit $status
    """
    return ("unshare", "--mount", "sh", "-c", script, "sh")


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_kill_in_the_middle(folder: Path, overwrite: bool) -> None:
    """It waits for the rest of its input, with the output open: under its name there is nothing, or the old file."""
    if overwrite:
        (folder / "out").write_text("old")
    words = ("--overwrite",) if overwrite else ()
    process = popen_straced("report", "-", "--html", folder / "out", *words, stdin=subprocess.PIPE)
    try:
        until(lambda: opened_in(process.pid, folder), 60, "it opens its output")
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert os.listdir(folder) == (["out"] if overwrite else [])
    if overwrite:
        assert (folder / "out").read_text() == "old"


def opened_in(pid: int, folder: Path) -> list[str]:
    """The files of a directory that a process has open, also those without a name."""
    return [link for link in proc.fds(pid).values() if link.startswith(f"{folder}/")]


@pytest.mark.parametrize("overwrite", [False, True])
def test_where_no_file_is_without_a_name_it_has_one_that_is_known(
    folder: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    monkeypatch.setattr(output_file, "_NAMELESS", os.O_RDWR)  # EISDIR, as of a kernel that does not know the flag
    path = folder / "out"
    if overwrite:
        path.write_text("old")
    with OutputFile(path, overwrite=overwrite) as file:
        file.text.write("new")
        (held,) = (name for name in os.listdir(folder) if name != "out")
        assert (held.startswith(".straced-"), held.endswith(".partial")) == (True, True)
    assert (os.listdir(folder), path.read_text(), path.stat().st_mode & 0o777) == (["out"], "new", 0o600)
    with contextlib.suppress(ValueError), OutputFile(folder / "other") as file:
        raise ValueError
    assert os.listdir(folder) == ["out"]


def test_a_reader_never_meets_half_a_file(folder: Path) -> None:
    """Read over and over while it is replaced: always one of the whole texts."""
    path = folder / "out"
    texts = [chr(ord("a") + n) * 100_000 for n in range(3)]
    path.write_text(texts[0])
    for number in range(60):
        with OutputFile(path, overwrite=True) as file:
            for piece in range(10):
                file.text.write(texts[number % 3][piece * 10_000 : (piece + 1) * 10_000])
                assert path.read_text() in texts
    assert os.listdir(folder) == ["out"]

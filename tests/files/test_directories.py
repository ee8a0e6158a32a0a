"""A directory that is not there is an error that names it; only ``StraceManager`` makes it, by contract.

Of `linux/opened_directory.py` and `linux/output_directory.py`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from straced import StraceManager
from straced.errors import OutputError
from straced.linux.output_file import OutputFile
from straced.store.database import open_for_writing
from tests.support.cli import straced
from tests.support.workload import Starter

STRACE = ("--tracer", "strace")
VERBS: dict[str, Callable[[int, Path, Path], list[object]]] = {
    "attach": lambda pid, path, top: ["attach", pid, *STRACE, "-d", "0.2s", "-o", path],
    "attach -i": lambda pid, path, top: ["attach", pid, *STRACE, "-d", "0.2s", "-i", "0.1s", "-o", path],
    "trace": lambda pid, path, top: ["trace", pid, "-d", "0.2s", "-o", path],
    "trace --report": lambda pid, path, top: ["trace", pid, "-d", "0.2s", "--report", path],
    "run": lambda pid, path, top: ["run", *STRACE, "-o", path, "--", "touch", top / "ran"],
    "report --html": lambda pid, path, top: ["report", "/dev/null", "--html", path],
    "report --ndjson": lambda pid, path, top: ["report", "/dev/null", "--ndjson", path],
    "report --parquet": lambda pid, path, top: ["report", "/dev/null", "--parquet", path],
    "export": lambda pid, path, top: ["export", "--ndjson", path, "--db", top / "db" / "history.db"],
    "why --bundle": lambda pid, path, top: ["why", pid, "-d", "10ms", "--bundle", path],
    "metrics": lambda pid, path, top: ["metrics", "-o", path],
}
REPLACING = ("attach", "attach -i", "trace", "trace --report", "run", "report --html", "report --ndjson")


@pytest.mark.needs("strace", "cc", "duckdb")
@pytest.mark.parametrize(("verb", "overwrite"), [(verb, False) for verb in VERBS] + [(v, True) for v in REPLACING])
def test_a_directory_that_is_not_there(start: Starter, tmp_path: Path, verb: str, overwrite: bool) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (tmp_path / "db").mkdir(mode=0o700)
    open_for_writing(tmp_path / "db" / "history.db").connection.close()
    words = VERBS[verb](start("tick").pid, folder / "typo" / "dir" / "x", tmp_path)
    if overwrite:
        words[1:1] = ["--overwrite"]
    result = straced(*words)
    result.assert_clear_error(125 if verb == "run" else 2)
    assert "there is no directory" in result.err
    assert f"mkdir -p {folder}/typo/dir" in result.err
    assert os.listdir(folder) == []
    assert not (tmp_path / "ran").exists(), "found out before the command ran"


@pytest.mark.needs("strace", "cc")
async def test_the_manager_makes_them_private(manager: StraceManager, start: Starter, tmp_path: Path) -> None:
    target = start("tick")
    old = os.umask(0)
    try:
        assert await manager.attach_full_trace(target.pid, tmp_path / "a" / "b" / "trace")
    finally:
        os.umask(old)
    assert await manager.detach_full_trace(target.pid)
    for path in (tmp_path / "a", tmp_path / "a" / "b"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


@pytest.mark.needs("strace", "cc")
async def test_of_a_refused_trace_no_directory_is_left(manager: StraceManager, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    assert await manager.attach_full_trace(2**22, tmp_path / "there" / "a" / "b" / "trace") is False
    assert os.listdir(tmp_path / "there") == []


def test_what_a_dangling_link_names_is_not_made(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputError, match=r"no directory .*/link$"):
        OutputFile(tmp_path / "link" / "a" / "x", make_directories=True)
    assert not (tmp_path / "nowhere").exists()


def test_a_link_in_the_middle_may_have_missing_directories_below(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with OutputFile(tmp_path / "link" / "a" / ".." / "b" / "x", make_directories=True) as file:
        file.text.write("x")
    assert (tmp_path / "real" / "b" / "x").read_text() == "x"


def test_links_that_lead_to_each_other(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OutputError, match="Too many levels of symbolic links"):
        OutputFile(tmp_path / "a" / "x")

"""A real process of hostile names, in a real terminal, as text and as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from straced.linux.targets import parse
from straced.live.local import LocalSource
from tests.commands.top.hostile import NAMES
from tests.commands.top.test_terminal import TOP, run, terminal
from tests.views.tui.test_hostile import FORBIDDEN

ARGUMENTS = (*NAMES, b"A" * 4096, b"</script><img onerror=alert(1)>")


@pytest.fixture
def pid(tmp_path: Path) -> Iterator[int]:
    folder = tmp_path / "files"
    folder.mkdir()
    words = [sys.executable, Path(__file__).with_name("hostile.py"), folder, *ARGUMENTS]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
    finally:
        process.kill()
        process.communicate()


def texts_in(value: object) -> Iterator[str]:
    """All strings of a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from texts_in(each)


def test_once_and_json(pid: int) -> None:
    ended = run("--once", "--tracer", "none", "-i", "100ms", str(pid))
    assert ended.returncode == 0
    assert len([line for line in ended.stdout.splitlines() if str(pid) in line.split()]) == 1
    assert not FORBIDDEN.search(ended.stdout.replace("\n", ""))
    ended = run("--once", "--json", "--tracer", "none", "-i", "100ms", str(pid))
    (line,) = ended.stdout.splitlines()
    row = json.loads(line)["processes"][0]
    assert row["pid"] == pid
    assert row["comm"] == "\\x1b]0;owned\\x07"
    assert not FORBIDDEN.search(row["cmdline"])
    assert len(row["cmdline"]) < 1000
    assert not any(FORBIDDEN.search(text) for text in texts_in(json.loads(line)))


async def test_every_value_of_a_detail(pid: int) -> None:
    source = LocalSource([parse(str(pid))], "none")
    frame = await source.frame()
    detail = await source.detail(frame.processes[0].key)
    await source.close()
    assert detail.threads is not None
    assert detail.files is not None
    texts = [row.comm for row in detail.threads] + [row.name for row in detail.files]
    assert {"\\x1b[31mred\\x1b[0m"[:18], "[@click=q]x[/]"} <= {text[:18] for text in texts}
    assert any("straced-\\x1b[2J" in text for text in texts)
    for text in texts:
        assert not FORBIDDEN.search(text)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_a_terminal_shows_it_and_stays_whole(pid: int, tmp_path: Path, size: tuple[int, int]) -> None:
    with terminal(tmp_path, [*TOP, "--tracer", "none", str(pid)], size) as screen:
        screen.until(lambda text: str(pid) in text and "q quit" in text, "the process")
        title = screen.tmux("display", "-p", "-t", "t", "#{pane_title}")
        screen.press("Enter")
        for key, seen in (("2", "in call ≥"), ("3", "position"), ("4", "what"), ("1", "syscall")):
            screen.press(key)
            shown = screen.until(lambda text, seen=seen: seen in text, seen)
            assert not FORBIDDEN.search(shown.replace("\n", ""))
            assert len(shown.splitlines()) <= size[1]
        for key, seen in (("x", "Send a signal"), ("t", "slows it down a lot"), ("y", f"why {pid}")):
            screen.press(key)
            shown = screen.until(lambda text, seen=seen: seen in text, seen)
            assert not FORBIDDEN.search(shown.replace("\n", ""))
            screen.press("Escape")
            screen.until(lambda text, seen=seen: seen not in text, f"no {seen}")
        assert screen.tmux("display", "-p", "-t", "t", "#{pane_title}") == title
        screen.press("q")
        screen.until(lambda text: "status 0" in text, "the end")

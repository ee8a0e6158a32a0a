"""Draw what a fresh look at what the verbs write found, before and after: ``text_findings.py docs/img``.

``text_findings.py --take FOLDER`` keeps what the version on the path writes; docs/img/before/text has what the one
before wrote.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

HOME = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HOME), str(HOME / "scripts")]

from rich.console import Console  # noqa: E402
from rich.text import Text  # noqa: E402
from screens import DARK  # noqa: E402
from sheet_parts import Picture, screen, write_svg  # noqa: E402
from tests.views.text import picture_values as made  # noqa: E402

from straced.model.event_folding import folded  # noqa: E402
from straced.views.text import diff, events, files, history_tables, slow, split, terminal  # noqa: E402
from straced.views.text.spans import Line  # noqa: E402
from straced.views.text.summary import first_screen  # noqa: E402

WIDTH = 80


class Scene(NamedTuple):
    """What a verb writes, and how many lines of it are drawn."""

    title: str
    lines: int
    write: Callable[[], Iterable[Line] | str]
    encoding: str = "utf-8"


def _help() -> str:
    words = [sys.executable, "-m", "straced", "history", "--help"]
    env = {**os.environ, "COLUMNS": str(WIDTH), "NO_COLOR": "1"}
    return subprocess.run(words, capture_output=True, check=True, text=True, env=env).stdout


SCENES = {
    "run": Scene("run: no word is split, and nothing is a column of dashes", 10, lambda: first_screen(
        made.SUMMARY, title="make -s -C /srv/project all -j8", width=WIDTH)),
    "ascii": Scene("run: where only ASCII can be shown", 10, lambda: first_screen(
        made.SUMMARY, title="make -j8", width=WIDTH), "ascii"),
    "threads": Scene("attach --by thread: the busiest calls have room", 5, lambda: split.split_lines(
        made.PARTS, "thread", width=WIDTH)),
    "files": Scene("attach --files: a row is a line, and the name tells the file", 6, lambda: files.file_lines(
        made.FILES, 20, WIDTH)),
    "slow": Scene("attach --slower: a call is a line", 6, lambda: slow.slow_lines(made.SLOW, 20, WIDTH)),
    "diff": Scene("diff: before and after in one column", 14, lambda: diff.render(made.DIFFERENCE, width=WIDTH)),
    "history": Scene("history: jobs can be read, unseen CPU time is not 0 ns", 6,
                     lambda: history_tables.top_lines(made.RANKED, WIDTH)),
    "events": Scene("events: slow calls of a program are one line", 12,
                    lambda: map(events.fold_line, folded(made.EVENTS))),
    "help": Scene("history --help: examples that fit", 18, _help),
}  # fmt: skip


class Screen(io.TextIOWrapper):
    """A terminal in memory, of an encoding."""

    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, errors="backslashreplace", write_through=True)

    def isatty(self) -> bool:
        return True


def shown(scene: Scene) -> str:
    """What a terminal has of it, with its colours: what is too long goes on in the next line, wherever it is cut."""
    said = scene.write()
    stream = Screen(scene.encoding)
    if isinstance(said, str):
        stream.write(said)
    else:
        terminal.show(said, stream, color=True)
    stream.seek(0)
    told = Console(file=io.StringIO(), force_terminal=True, color_system="standard", width=1000)
    for line in stream.read().splitlines()[: scene.lines]:
        text = Text.from_ansi(line)
        for start in range(0, max(len(text), 1), WIDTH):
            told.print(text[start : start + WIDTH], soft_wrap=True, highlight=False)
    assert isinstance(told.file, io.StringIO)
    return told.file.getvalue()


def take(folder: Path) -> None:
    """Keep them in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["COLUMNS"] = str(WIDTH)
    for name, scene in SCENES.items():
        (folder / f"{name}.ansi").write_text(shown(scene), encoding="utf-8")


def picture(when: str, path: Path, title: str) -> Picture:
    """One of them on the sheet."""
    return screen(f"{when}: {title}", path, (WIDTH, len(path.read_text(encoding="utf-8").splitlines())), DARK)


def main(images: Path) -> None:
    """Lay them out, each beside what it was."""
    with tempfile.TemporaryDirectory() as now:
        take(Path(now))
        both = (("before", images / "before/text"), ("after", Path(now)))
        lines = [[picture(when, at / f"{name}.ansi", each.title) for when, at in both] for name, each in SCENES.items()]
        write_svg(images / "before-and-after/text.svg", lines)


if __name__ == "__main__":
    if sys.argv[1] == "--take":
        take(Path(sys.argv[2]))
    else:
        main(Path(sys.argv[1]))

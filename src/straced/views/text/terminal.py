"""Lines on a stream: with colour where somebody looks at a terminal, as plain text everywhere else."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from typing import IO

from straced.views.text.spans import Line
from straced.views.text.summary import plain

STYLES = {"": "", "strong": "bold", "weak": "dim", "error": "red", "bad": "bold red", "title": "bold underline"}


def width_of(stream: IO[str]) -> int | None:
    """The columns of a terminal; ``None`` for a pipe or a file, where nothing needs to be left out."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def show(lines: Iterable[Line], stream: IO[str], *, color: bool = False) -> None:
    """Write lines. rich is imported only to colour them; no text is ever read as markup."""
    if not color:
        stream.write(plain(lines))
        stream.flush()
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(
        file=stream,
        force_terminal=True,
        color_system="standard",
        no_color=False,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=True,
    )
    for line in lines:
        text = Text()
        for span in line:
            text.append(span.text, STYLES[span.style])
        console.print(text)
    stream.flush()

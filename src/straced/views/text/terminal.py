"""Lines on a stream: with colour where somebody looks at a terminal, as plain text everywhere else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO

from straced.views.text.spans import Line, plain
from straced.views.text.streams import ready
from straced.views.text.streams import width_of as width_of

STYLES = {"": "", "strong": "bold", "weak": "dim", "error": "red", "bad": "bold red", "title": "bold underline"}


def show(lines: Iterable[Line], stream: IO[str], *, color: bool = False) -> None:
    """Write lines, on a terminal none wider than it is. rich is imported only to colour them, and reads no markup."""
    lines = ready(lines, stream)
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

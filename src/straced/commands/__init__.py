"""The command line: one file a verb, imported when it is typed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

from straced._version import __version__

VERSION_FLAGS = ("--version", "-V")


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its status. ``--version`` is answered before a parser is loaded."""
    words = list(sys.argv[1:] if argv is None else argv)
    if len(words) == 1 and words[0] in VERSION_FLAGS:
        from straced.traces.native.choice import describe

        print(f"straced {__version__}\ntraces are read by {describe()}")
        raise SystemExit(0)
    from straced.commands.group import run

    raise SystemExit(run(words))

"""The command line: one file a verb, imported when it is typed."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

VERSION_FLAGS = ("--version", "-V")


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its status. ``--version`` is answered before a parser is loaded."""
    status = 130
    try:
        from straced.concurrency import interrupts

        interrupts.install()
        status = _run(argv)
        interrupts.let_die()
    except KeyboardInterrupt:
        pass
    raise SystemExit(status)


def _run(argv: Sequence[str] | None) -> int:
    import sys

    words = list(sys.argv[1:] if argv is None else argv)
    if len(words) == 1 and words[0] in VERSION_FLAGS:
        from straced._version import __version__
        from straced.traces.native.choice import describe

        print(f"straced {__version__}\ntraces are read by {describe()}")
        return 0
    from straced.commands.group import run

    return run(words)

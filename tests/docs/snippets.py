"""The blocks of code on a page, and a script of bash that runs them in order, in one directory, as a reader would.

A comment before a block, ``<!-- WORD: TEXT -->``, says what else is to be known of it:

- ``file: NAME``: its text is written to this file;
- ``with: PATH``: this file of the repository is copied beside it first;
- ``not run: REASON``: no test runs it.

Of a page, ``<!-- needs: root ebpf -->`` says what its commands need, and ``<!-- slow -->`` that only ``make
docs-check`` runs them. A block of Python that is not a file is a program of its own.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
COMMANDS = ("sh", "bash", "shell", "console", "python")
"""Languages of blocks that run."""
_BLOCK = re.compile(
    r"(?:^ *<!-- (?P<word>file|with|not run): (?P<told>[^\n]*?) -->\n\s*)?^(?P<indent> *)```(?P<language>[^\n`]*)\n"
    r"(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_LOOKS_TYPED = re.compile(r"^(\$ |sudo |straced |make |pip |docker )", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block."""

    line: int
    language: str
    text: str
    word: str
    """``file``, ``with``, ``not run`` or ``""``."""
    told: str
    """What stands behind that."""

    @property
    def runs(self) -> bool:
        """Whether a test runs it, or writes it down as the file that it is."""
        return self.word == "file" or (self.language in COMMANDS and self.word != "not run")


def blocks(text: str) -> Iterator[Block]:
    """The blocks of a page."""
    for found in _BLOCK.finditer(text):
        cut = len(found["indent"])
        lines = "".join(line[cut:] for line in found["text"].splitlines(keepends=True))
        line = text.count("\n", 0, found.start("language")) + 1
        yield Block(line, found["language"].strip(), lines, found["word"] or "", found["told"] or "")


def is_typed(block: Block) -> bool:
    """Whether a block of another language holds something to type."""
    return block.language not in COMMANDS and not block.word and bool(_LOOKS_TYPED.search(block.text))


def pages() -> dict[str, str]:
    """README and all pages, by their paths in the repository."""
    paths = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
    return {str(path.relative_to(ROOT)): path.read_text() for path in paths}


def needs(text: str) -> tuple[str, ...]:
    """What the commands of a page need."""
    found = re.search(r"^<!-- needs: (.*) -->$", text, re.MULTILINE)
    return tuple(found[1].split()) if found else ()


def is_slow(text: str) -> bool:
    """Whether only ``make docs-check`` runs the commands of a page."""
    return "\n<!-- slow -->\n" in text


_BEGIN = """\
set -e
sudo() { "$@"; }
finish() {
    status=$?
    set +e
    trap - EXIT
    [ $status = 0 ] || echo "the block at line $block of the page: status $status" >&2
    for job in $(jobs -p); do kill -CONT "$job"; kill "$job"; done 2>/dev/null
    wait
    exit $status
}
trap finish EXIT
"""


def script(text: str) -> str:
    """Bash that runs what a page shows; ``""`` where there is nothing to run."""
    lines = []
    for block in blocks(text):
        if not block.runs:
            continue
        lines.append(f"block={block.line}")
        if block.word == "with":
            lines.append(f"cp {shlex.quote(str(ROOT / block.told))} .")
        if block.word == "file" or block.language == "python":
            name = block.told if block.word == "file" else f"example_{block.line}.py"
            lines.append(f"cat >{shlex.quote(name)} <<'END OF BLOCK'\n{block.text}END OF BLOCK")
            if block.word != "file":
                lines.append(f"python3 {name}")
        else:
            lines.append(block.text)
    return _BEGIN + "\n".join(lines) + "\n" if lines else ""

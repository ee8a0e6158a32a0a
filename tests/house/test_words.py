"""Words that people should not meet again: on screens, in help and messages, and in the documentation."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "straced"
OLD = (
    r"\bby cpu, times\b", r"\btimes (working|waiting|wall)\b", r"\bits time\b", r"^in it$", r"\bfor at least\b",
    r"\bcost [\d{].* %, straced\b", r"\bt (on it )?ends it\b", r"\bp goes on\b", r"\bonly now\b", r"\(SIGCONT\)",
    r"whatever it makes of it", r"\basks it to end\b", r"not for a whole (window|interval)",
    r"slowed down more than allowed", r"\blet go:", r"NO CALLS COUNTED", r"nothing is kept of", r"^no job .* is kept$",
    r"\bnever did before\b", r"\bnever made before\b", r"have ended and are not waited for", r"^takes\b.* of a CPU\b",
    r"\bof the system, for\b", r"\bWhat stands in a trace\b", r"\bHow the service is\b", r"\bNot the usual\b",
    r"\bnewest so many\b", r"\bstdout is none\b", r"since it is counted", r"\bbars an octave\b", r"\bstep by step\b",
    r"\bas whom CMD\b", r"\bwho that is now\b", r"Sorted by [\w{}., ()'\[\]]*\(--sort", r"is not known, never zero",
    r"\bmay exist, and (is|are) replaced\b", r"\bSeen by no tracer\b",
    r"GET is all there is", r"names nothing in history", r"is there, and is no socket", r"\bone tracer a process\b",
    r"^no (call|system call) was seen$", r"\bis too small: \S+ at least\b", r"\bby looks at /proc\b", r"\bmade safe\b",
    r"\bchild(ren)? (\S+ )?runs? on\b", r"what may not be read", r"was looked for .* times",
)  # fmt: skip
"""What was said before, as regular expressions; each has a better wording now."""
PATTERNS = [re.compile(each) for each in OLD]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ASSETS = sorted(path for kind in ("*.js", "*.html") for path in SOURCE.rglob(kind))


def spoken(tree: ast.Module, *, help_too: bool) -> Iterator[tuple[int, str]]:
    """The text that a module can say: its string constants and f-strings; docstrings only where they are help."""
    docs, parts = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.body:
            first = node.body[0]
            command = isinstance(node, ast.FunctionDef) and bool(node.decorator_list)
            if isinstance(first, ast.Expr) and not (help_too and command):
                docs.add(id(first.value))
        elif isinstance(node, ast.JoinedStr):
            parts |= {id(part) for part in ast.walk(node)} - {id(node)}
        elif isinstance(node, ast.Expr) and not help_too:  # what describes a constant
            docs.add(id(node.value))
    for node in ast.walk(tree):
        if id(node) in docs or id(node) in parts:
            continue
        if isinstance(node, ast.JoinedStr):
            yield node.lineno, ast.unparse(node)[2:-1]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def old_in(text: str) -> list[str]:
    return [each.pattern for each in PATTERNS if each.search(text)]


@pytest.mark.parametrize("room", sorted({path.parts[len(SOURCE.parts)] for path in SOURCE.rglob("*.py")}))
def test_nothing_of_it_is_said(room: str) -> None:
    paths = [SOURCE / room] if room.endswith(".py") else sorted((SOURCE / room).rglob("*.py"))
    found = [
        f"{path.relative_to(SOURCE)}:{line}: {words}"
        for path in paths
        for line, text in spoken(ast.parse(path.read_text()), help_too=room == "commands")
        if (words := old_in(text))
    ]
    assert found == []


@pytest.mark.parametrize("path", [*PAGES, *ASSETS], ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_of_it_is_written(path: Path) -> None:
    found = [
        f"{number}: {old_in(line)}" for number, line in enumerate(path.read_text().splitlines(), 1) if old_in(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("code", "help_too"),
    [("title = 'its time'", False), ("say(f'by cpu, times {mode}')", False), ("head = f'let go: {why}'", False),
     ("@verb('x')\ndef command():\n    '''What stands in a trace file.'''", True)],
)  # fmt: skip
def test_the_check_sees_it(code: str, help_too: bool) -> None:
    assert [old_in(text) for _, text in spoken(ast.parse(code), help_too=help_too) if old_in(text)]


def test_the_check_leaves_descriptions_of_code_alone() -> None:
    code = "def f():\n    '''Says since when: for at least a second, step by step.'''\nX = 1\n'''its time'''\n"
    assert not [text for _, text in spoken(ast.parse(code), help_too=False) if old_in(text)]

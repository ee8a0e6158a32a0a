"""Programs are started by `concurrency/children.py` alone: asyncio may wait for ever when its start is cancelled."""

from __future__ import annotations

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "straced"
CHILDREN = SOURCE / "concurrency" / "children.py"
STARTS = {"create_subprocess_exec", "create_subprocess_shell", "subprocess_exec", "subprocess_shell"}


def starting(tree: ast.AST) -> list[int]:
    """The lines that name one of asyncio's ways to start a program, under whatever name it is called then."""
    named = [node for node in ast.walk(tree) if isinstance(node, (ast.Name, ast.Attribute, ast.alias))]
    return [node.lineno for node in named if STARTS & {getattr(node, key, "") for key in ("id", "attr", "name")}]


def test_asyncio_starts_no_program_elsewhere() -> None:
    files = sorted(path for path in SOURCE.rglob("*.py") if path != CHILDREN)
    found = {str(path.relative_to(SOURCE)): starting(ast.parse(path.read_text())) for path in files}
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_the_check_finds_what_it_looks_for() -> None:
    assert starting(ast.parse(CHILDREN.read_text())) != []
    for text in (
        "from asyncio import create_subprocess_exec as start",
        "asyncio.create_subprocess_shell('true')",
        "start = asyncio.subprocess.create_subprocess_exec",
        "await loop.subprocess_exec(Protocol, 'true')",
    ):
        assert starting(ast.parse(text)) == [1], text

"""In the service nothing of a stranger's is read without a bound, and nothing that a client wrote becomes a pattern."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "straced"
PLACES = [
    *sorted((SOURCE / "service").rglob("*.py")),
    *sorted((SOURCE / "web").rglob("*.py")),
    SOURCE / "linux/procfs.py",
]
COMPILING = {"compile", "match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer"}


def calls(tree: ast.AST, module: str) -> Iterator[tuple[str, ast.Call]]:
    """Calls of the functions of a module, by its name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            value = node.func.value
            if isinstance(value, ast.Name) and value.id == module:
                yield node.func.attr, node


def unbounded(tree: ast.AST) -> list[int]:
    """Lines that read /proc, or a file, to its end."""
    lines = [
        node.lineno
        for name, node in calls(tree, "procfs")
        if name == "read" and not any(word.arg == "limit" for word in node.keywords)
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args:
            in_proc = isinstance(node.func.value, ast.Call) and "/proc" in ast.dump(node.func.value)
            if node.func.attr in ("read", "readlines", "read_text", "read_bytes") and in_proc:
                lines.append(node.lineno)
    return lines


def patterns(tree: ast.AST) -> list[int]:
    """Lines that make a regular expression out of something that is not written there."""
    found = [
        node.lineno
        for name, node in calls(tree, "re")
        if name in COMPILING and node.args and not isinstance(node.args[0], (ast.Constant, ast.JoinedStr))
    ]
    return found + [node.lineno for _name, node in calls(tree, "fnmatch")]


@pytest.mark.parametrize("path", PLACES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_what_is_read_of_proc_has_a_bound(path: Path) -> None:
    assert unbounded(ast.parse(path.read_text())) == []


@pytest.mark.parametrize("path", PLACES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_pattern_comes_from_outside(path: Path) -> None:
    assert patterns(ast.parse(path.read_text())) == []


@pytest.mark.parametrize("code", ["procfs.read(f'{pid}/cmdline')", "open('/proc/1/environ').read()"])
def test_the_check_sees_reading_without_a_bound(code: str) -> None:
    assert unbounded(ast.parse(code)) == [1]


@pytest.mark.parametrize("code", ["re.compile(wanted)", "re.search(text, name)", "fnmatch.fnmatchcase(name, text)"])
def test_the_check_sees_a_pattern_from_outside(code: str) -> None:
    assert patterns(ast.parse(code)) == [1]

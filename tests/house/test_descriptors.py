"""No descriptor of a stranger's is ever the service's to close: none is received, and no socket of ours takes any."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "straced"
FILES = sorted(path for place in ("service", "httpd", "web") for path in (SOURCE / place).rglob("*.py"))
EXPENDABLE = {"door.py", "receiver.py"}
"""Processes of their own, which get descriptors from each other and from the service."""
RECEIVING = {"recv_fds", "recvmsg", "recvmsg_into", "SCM_RIGHTS", "pidfd_getfd", "SYS_pidfd_getfd"}


def names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every name and attribute, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr, node.lineno
        elif isinstance(node, ast.Name):
            yield node.id, node.lineno


def listening_unguarded(tree: ast.AST) -> list[int]:
    """Lines that bind a unix socket, in a function that has not told the kernel to refuse descriptors before."""
    found = []
    for function in ast.walk(tree):
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        used = list(names(function))
        if not any(name in ("AF_UNIX", "start_unix_server") for name, _line in used):
            continue
        guards = [line for name, line in used if name == "refuse_descriptors"]
        binds = [line for name, line in used if name in ("bind", "start_unix_server", "listen")]
        found += [line for line in binds if not guards or line < min(guards)]
    return found


def test_the_files_are_there() -> None:
    assert {"connection.py", "server.py", "listening.py"} <= {path.name for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_none_is_received(path: Path) -> None:
    if path.name not in EXPENDABLE:
        used = [(name, line) for name, line in names(ast.parse(path.read_text())) if name in RECEIVING]
        assert used == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_the_kernel_refuses_them_where_we_listen(path: Path) -> None:
    assert listening_unguarded(ast.parse(path.read_text())) == []


def test_the_check_finds_what_it_looks_for() -> None:
    bad = "def f():\n    s = socket.socket(socket.AF_UNIX)\n    s.bind('x')\n    refuse_descriptors(s)\n"
    assert listening_unguarded(ast.parse(bad)) == [3]
    assert [name for name, _ in names(ast.parse("socket.recv_fds(s, 1, 1)")) if name in RECEIVING] == ["recv_fds"]

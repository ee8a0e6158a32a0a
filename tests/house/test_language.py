"""Errors of the library speak its language: an option of the command line is named by the rooms above it alone.

Of `workflows/hints.py`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from straced.commands.group import cli
from straced.workflows.hints import as_typed

SOURCE = Path(__file__).parents[2] / "src" / "straced"
ROOMS = ("blocking", "client", "concurrency", "gating", "ipc", "linux", "manager", "model", "profiling", "tracers")
FILES = [SOURCE / "errors.py", *(path for room in ROOMS for path in sorted((SOURCE / room).rglob("*.py")))]
OF_OTHERS = {"--cap-add", "--security-opt", "--clear-groups", "--pdeathsig", "--format"}
"""Options of docker(1), setpriv(1) and nvidia-smi(1)."""
ARGUMENT = re.compile(r"\b[a-z_]+=[\w\"'{]")
OF_A_FILE = ("NoNewPrivileges=", "TasksMax=", "LimitNOFILE=", "lockdown=", "CONFIG_")
"""Settings that are written like arguments, in a file or at boot."""


def options() -> set[str]:
    """All long options of all verbs."""
    context = click.Context(cli)
    verbs = [cli.get_command(context, name) for name in cli.list_commands(context)]
    found = {option for verb in verbs if verb is not None for each in verb.params for option in each.opts}
    return {option for option in found if option.startswith("--")} - OF_OTHERS


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """String constants that are no docstrings."""
    documentation = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.lineno, node.value


def hints(tree: ast.AST) -> Iterator[str]:
    """Constant parts of what is given as ``hint``."""
    for node in ast.walk(tree):
        given: list[ast.expr] = []
        if isinstance(node, ast.Call):
            given = [each.value for each in node.keywords if each.arg == "hint"]
        elif isinstance(node, ast.Assign) and any(isinstance(to, ast.Name) and to.id == "hint" for to in node.targets):
            given = [node.value]
        for value in given:
            if isinstance(value, ast.JoinedStr):
                parts = [str(each.value) if isinstance(each, ast.Constant) else "4242" for each in value.values]
                yield "".join(parts)
            else:
                yield from (str(each.value) for each in ast.walk(value) if isinstance(each, ast.Constant))


def of_the_command_line(tree: ast.AST, known: set[str]) -> list[int]:
    """Lines that name an option."""
    return [line for line, text in texts(tree) if known & set(re.findall(r"--[a-z][a-z-]+", text))]


def test_options_are_found() -> None:
    assert {"--tracer", "--force", "--overwrite", "--max-tasks", "--min-free"} <= options()


def test_no_room_of_the_library_names_an_option() -> None:
    known = options()
    found = {str(path.relative_to(SOURCE)): of_the_command_line(ast.parse(path.read_text()), known) for path in FILES}
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_each_argument_in_a_hint_has_an_option() -> None:
    found = [hint for path in FILES for hint in hints(ast.parse(path.read_text()))]
    arguments = [hint for hint in found if ARGUMENT.search(hint) and not any(word in hint for word in OF_A_FILE)]
    assert len(arguments) > 5
    assert [hint for hint in arguments if ARGUMENT.search(as_typed(hint).replace("seccomp=unconfined", ""))] == []


@pytest.mark.parametrize(
    "code", ["raise E('x', hint='use --tracer ebpf')", "hint = f'{x}: add --force'", "say('--overwrite')"]
)
def test_the_check_sees_an_option(code: str) -> None:
    assert of_the_command_line(ast.parse(code), options()) == [1]


@pytest.mark.parametrize(
    ("hint", "typed"),
    [
        ('use tracer="ebpf", which is live', "use --tracer ebpf, which is live"),
        ('if so: Profiler(tracer="strace").attach(42)', "if so: straced attach 42 --tracer strace"),
        ("start it with: spawn(argv) or gate(argv), or type", "start it with: straced run -- CMD, or type"),
        ("count instead: attach(42); or raise max_tasks", "count instead: straced attach 42; or raise --max-tasks"),
        ("choose another name, or overwrite=True", "choose another name, or --overwrite"),
        ("run it with sudo", "run it with sudo"),
    ],
)  # fmt: skip
def test_a_hint_as_it_is_typed(hint: str, typed: str) -> None:
    assert as_typed(hint) == typed


@pytest.mark.parametrize(
    ("hint", "typed"),
    [
        ("count instead: attach(42); or raise max_tasks", "count instead: straced attach 42"),
        ('wait until it is done, or use tracer="ebpf"', "wait until it is done, or count instead: straced attach 42"),
        ('tracer="ebpf" needs no ptrace', "straced attach 42 needs no ptrace"),
    ],
)
def test_a_hint_of_a_verb_that_lacks_the_option(hint: str, typed: str) -> None:
    assert as_typed(hint, "trace", 42) == typed

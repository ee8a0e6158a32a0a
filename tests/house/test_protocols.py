"""What a tracer, a session or a container of rows can do, its protocol says: it is not probed, nor asked its name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from straced.tracers.base import ChildTracer, LiveTracer, LoadedTracer, Tracer
from straced.tracers.ebpf import EbpfTracer
from straced.tracers.sampler.tracer import SamplerTracer
from straced.tracers.strace.tracer import StraceTracer

SOURCE = Path(__file__).parents[2] / "src" / "straced"
FILES = sorted(SOURCE.rglob("*.py"))
TRACERS = {"ebpf", "strace", "sampler"}
NO_TRACERS = {"auto", "none"}
"""Where one of these is compared with as well, it is with what was asked for: no tracer is called so."""
SUBJECTS = {
    "tracer", "made", "candidate", "beside", "session", "each", "inner", "follower", "rows", "before", "after",
    "counted", "coverage", "row", "sample", "recording", "profiler",
}  # fmt: skip
"""What values of these kinds are called here: the last name of an expression, without underlines around it."""
PROBES = {"hasattr", "getattr"}
NO_PROTOCOL = {"error", "record", "expecting"}
"""Of other libraries, or a thread's own: in the rooms that have protocols, nothing else is looked into by a string."""
IGNORED = re.compile(r"type: ignore\[[^]]*\b(call-arg|attr-defined)\b")
CALL_ARG = re.compile(r"type: ignore\[[^]]*\bcall-arg\b")
ELSEWHERE = {"process"}
"""An error is given this attribute, which is no tracer's."""


def last_name(node: ast.AST) -> str:
    """The name that an expression ends with: ``self._inner`` is ``inner``, ``sample.rows`` is ``rows``."""
    if isinstance(node, ast.Call):
        return last_name(node.func)
    if isinstance(node, ast.Subscript):
        return last_name(node.value)
    return (node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else "").strip("_")


def probed(tree: ast.AST, *, everything: bool = False) -> Iterator[int]:
    """Lines that look for an attribute by a string on what has a protocol; on ``everything``: on what may have one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in PROBES:
            subject, *others = node.args
            named = bool(others) and isinstance(others[0], ast.Constant)
            name = last_name(subject)
            if named and (name in SUBJECTS or (everything and name not in NO_PROTOCOL)):
                yield node.lineno


def constants(node: ast.AST) -> Iterator[object]:
    """A constant, or those in a tuple, list or set of them."""
    for each in node.elts if isinstance(node, (ast.Tuple, ast.List, ast.Set)) else [node]:
        if isinstance(each, ast.Constant):
            yield each.value


def asked_by_name(tree: ast.AST) -> Iterator[int]:
    """Lines that compare something, but the name of a command, with the name of a tracer."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            words = {word for side in sides for word in constants(side)}
            of_commands = any(last_name(side) == "comm" for side in sides)
            if words & TRACERS and not words & NO_TRACERS and not of_commands:
                yield node.lineno
        elif isinstance(node, ast.MatchValue) and isinstance(node.value, ast.Constant) and node.value.value in TRACERS:
            yield node.lineno


def silenced(text: str, ignored: re.Pattern[str] = IGNORED) -> Iterator[int]:
    """Lines that tell the type checker that a method takes, or a value has, what its type does not say."""
    for number, line in enumerate(text.splitlines(), 1):
        if ignored.search(line) and not any(f".{name} = " in line for name in ELSEWHERE):
            yield number


def chooses(path: Path) -> bool:
    """Whether tracers are chosen there, or the options of commands read."""
    return path.name == "tracer_choice.py" or path.is_relative_to(SOURCE / "commands")


def has_protocol(path: Path) -> bool:
    """Whether tracers, sessions and rows are handled there."""
    rooms = ("tracers", "profiling", "manager", "gating", "model", "service", "live", "workflows", "client", "waits")
    return path.relative_to(SOURCE).parts[0] in (*rooms, "blocking")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_nothing_is_probed(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    assert list(probed(tree, everything=has_protocol(path))) == []
    assert list(silenced(text, IGNORED if has_protocol(path) else CALL_ARG)) == []
    if not chooses(path):
        assert list(asked_by_name(tree)) == []


@pytest.mark.parametrize(
    "code",
    [
        "getattr(tracer, 'read_all', None)",
        "getattr(self._tracer, 'sum_all')",
        "hasattr(self._inner, 'request_stop')",
        "getattr(session.inner, 'shed', False)",
        "getattr(tree.session, 'left', ())",
        "getattr(sample.rows, 'pids', None)",
        "getattr(rows, 'merged', None)",
        "getattr(after, 'moved_since', None)",
        "getattr(sessions[0].tracer(), 'trial', None)",
        "getattr(row, 'category', 'other')",
        "hasattr(sample, 'rows')",
    ],
)
def test_the_check_sees_a_probe(code: str) -> None:
    assert list(probed(ast.parse(code))) == [1]


def test_in_their_rooms_nothing_else_is_probed_either() -> None:
    assert list(probed(ast.parse("getattr(thing, 'shed', False)"), everything=True)) == [1]
    assert list(probed(ast.parse("getattr(error, 'strerror', None)"), everything=True)) == []


@pytest.mark.parametrize(
    "code",
    [
        "session.tracer == 'strace'",
        "self._tracer.name != 'ebpf'",
        "'sampler' == name",
        "tracer in ('ebpf', 'strace')",
        "match name:\n case 'ebpf': pass",
    ],
)
def test_the_check_sees_a_question_for_a_name(code: str) -> None:
    assert len(list(asked_by_name(ast.parse(code)))) == 1


@pytest.mark.parametrize("code", ["wanted in ('auto', 'ebpf')", "stat.comm == 'strace'", "names == WORDS['strace']"])
def test_what_was_asked_for_may_be_compared(code: str) -> None:
    assert list(asked_by_name(ast.parse(code))) == []


@pytest.mark.parametrize(
    "line",
    [
        "await inner.detach(why, grace_s)  # type: ignore[call-arg]",
        "found = made.trial()  # type: ignore[attr-defined]",
        "rows.merged()  # type: ignore[attr-defined, unused-ignore]",
    ],
)
def test_the_check_sees_a_type_checker_that_is_silenced(line: str) -> None:
    assert list(silenced(line)) == [1]


def test_each_tracer_is_what_the_protocols_say() -> None:
    tracers: list[Tracer] = [EbpfTracer(), StraceTracer(), SamplerTracer()]
    assert {each.name for each in tracers} == TRACERS
    assert [each.name for each in tracers if each.uses_ptrace] == ["strace"]
    for protocol in (LiveTracer, LoadedTracer, ChildTracer):
        assert [each.name for each in tracers if isinstance(each, protocol)] == ["ebpf"]
    assert [each.helper_pids + each.process_pids for each in tracers] == [[], [], []], "before the first attach"

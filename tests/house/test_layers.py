"""The order of the house, as the sources have it: modules import each other in no circle, a class name means one class.

The linter holds the order of the rooms. Here it is each module, and every form of import: at the top, in a function, or
for types alone.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.pace import PACE

SOURCE = Path(__file__).parents[2] / "src"
Sources = dict[str, "Module"]


class Module(NamedTuple):
    """What a module's statements say, at whatever depth."""

    plain: list[str]
    """Of ``import x``."""
    taken: list[tuple[str, str]]
    """Of ``from x import y``, the dots of a relative one before the name."""
    classes: list[str]


def read(source: str | bytes) -> Module:
    """Go through all statements, and no expression: that takes a tenth of the time."""
    found = Module([], [], [])
    left: list[ast.AST] = [ast.parse(source)]
    while left:
        node = left.pop()
        if isinstance(node, ast.Import):
            found.plain.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.taken.extend((f"{'.' * node.level}{node.module or ''}", alias.name) for alias in node.names)
        elif isinstance(node, ast.ClassDef):
            found.classes.append(node.name)
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            inner = getattr(node, field, ())
            left.extend(inner if isinstance(inner, list) else ())
    return found


@pytest.fixture(scope="module")
def sources() -> Sources:
    """Each module of the package."""
    found = {}
    for path in sorted((SOURCE / "straced").rglob("*.py")):
        name = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = read(path.read_bytes())
    return found


def imported(module: Module, known: Sources) -> set[str]:
    """The modules of the package that a module imports, wherever it does so."""
    taken = {name if (name := f"{source}.{part}") in known else source for source, part in module.taken}
    return (taken | set(module.plain)) & set(known)


def circle(sources: Sources) -> list[str]:
    """A circle of imports, or nothing."""
    graph = {name: imported(module, sources) - {name} for name, module in sources.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def twice(sources: Sources) -> list[str]:
    """Names of more than one class, those within others and within functions too."""
    counts = Counter(name for module in sources.values() for name in module.classes)
    return [name for name, count in counts.items() if count > 1]


def parsed(**sources: str) -> Sources:
    return {name: read(source) for name, source in sources.items()}


def test_no_circle(sources: Sources) -> None:
    assert len(sources) > 300
    assert circle(sources) == []


def test_no_relative_import(sources: Sources) -> None:
    assert [name for name, module in sources.items() if any(source[0] == "." for source, _ in module.taken)] == []


def test_no_class_name_twice(sources: Sources) -> None:
    assert twice(sources) == []


@pytest.mark.parametrize(
    "source",
    ["import b", "from b import B", "def f():\n    import b", "def f():\n    from b import B",
     "if TYPE_CHECKING:\n    from b import B", "class A:\n    from b import B", "if x:\n    pass\nelse:\n    import b",
     "try:\n    import z\nexcept ImportError:\n    import b", "match x:\n    case 1:\n        import b",
     "with x:\n    import b"],
)  # fmt: skip
def test_the_check_sees_every_form_of_import(source: str) -> None:
    assert set(circle(parsed(a=source, b="import c", c="from a import A"))) == {"a", "b", "c"}
    assert circle(parsed(a=source, b="import c", c="import os")) == []


def test_the_check_sees_a_module_that_is_taken_from_its_package() -> None:
    sources = {"p": read(""), "p.a": read("from p import b"), "p.b": read("from p.a import A")}
    assert set(circle(sources)) == {"p.a", "p.b"}


def test_the_check_sees_a_class_name_that_is_given_twice() -> None:
    assert twice(parsed(a="class A: pass", b="def f():\n    class A: pass", c="class B: pass")) == ["A"]


@pytest.mark.parametrize("name", ["Client", "Select"])
def test_the_client_needs_nothing_of_the_service(name: str) -> None:
    code = (
        f"import sys; import straced.client; from straced.client import {name}; assert isinstance({name}, type)\n"
        "print(*(name for name in sys.modules if (name + '.').startswith(('straced.service.', 'straced.store.'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60 * PACE, check=True)
    assert done.stdout.split() == []

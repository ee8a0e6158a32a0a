"""docs/architecture.md is true: its rooms and their order, the values between them, and every path that it names."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "straced"
TEXT = (ROOT / "docs" / "architecture.md").read_text()
NAMED = re.compile(r"`((?:[\w.]+/)*[\w.]+(?:/|\.py))`")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


def table(heading: str) -> list[list[str]]:
    """The rows of the first table below a heading, cell by cell, without its head."""
    section = TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return [row for row in rows[2:] if len(row) == len(rows[0])]


def rooms() -> list[tuple[list[str], str]]:
    """Each row of rooms: its names, and what it says."""
    return [(re.findall(r"`([\w.]+?)(?:\.py|/)`", names), what) for names, what in table("The rooms")]


@cache
def imported(room: str) -> set[tuple[str | None, str]]:
    """The names that the modules of a room import, each with its module."""
    paths = (PACKAGE / room).rglob("*.py") if (PACKAGE / room).is_dir() else [PACKAGE / f"{room}.py"]
    nodes = [node for path in paths for node in ast.walk(ast.parse(path.read_text()))]
    return {(node.module, alias.name) for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}


def test_every_module_is_in_a_row() -> None:
    there = {path.stem for path in PACKAGE.iterdir() if path.is_dir() or path.suffix == ".py"}
    listed = [name for names, _ in rooms() for name in names if name not in ("gate", "src")]
    assert sorted(listed) == sorted(there - {"__init__", "__main__", "__pycache__"})


def test_the_rows_are_the_order_that_the_linter_holds() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = max((each.get("layers", []) for each in contracts), key=len)
    order = [{part.strip().removeprefix("straced.") for part in layer.split(":")} for layer in reversed(layers)]
    floor = {name: number for number, names in enumerate(order) for name in names}
    listed = [floor[name] for names, _ in rooms() for name in names if name in floor]
    assert listed == sorted(listed)
    assert len(listed) == len(floor)


def test_the_packages_of_a_room_are_named_in_its_row() -> None:
    for names, what in rooms():
        for name in names:
            below = {path.name for path in (PACKAGE / name).glob("*/") if (path / "__init__.py").is_file()}
            assert {each for each in below if f"`{each}/`" not in what} == set(), name


def test_every_path_and_link_exists() -> None:
    prose = re.sub(r"^\| `.*$", "", TEXT, flags=re.MULTILINE)  # of the rows of rooms others are relative
    missing = [name for name in NAMED.findall(prose) if not any((base / name).exists() for base in (PACKAGE, ROOT))]
    missing += [link for link in LINK.findall(TEXT) if not (ROOT / "docs" / link).exists()]
    assert missing == []


@pytest.mark.parametrize("row", table("The way of the data"), ids=lambda row: row[0].strip("`"))
def test_values_go_the_way_that_is_drawn(row: list[str]) -> None:
    value, home, maker, readers = (re.findall(r"`([\w./]+)`", cell) for cell in row)
    path = PACKAGE / home[0]
    classes = {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)}
    assert value[0] in classes
    module = "straced." + home[0].removesuffix(".py").replace("/", ".")
    for room in (*maker, *readers):
        assert (module, value[0]) in imported(room), f"{room} does not know {value[0]}"
    drawing = TEXT.partition("```text\n")[2].partition("```")[0]
    assert re.search(rf"\b{value[0]}\b", drawing)


def test_the_drawing_names_packages_that_exist() -> None:
    drawing = TEXT.partition("```text\n")[2].partition("```")[0]
    named = re.findall(r"(?<![\w/])[a-z]+(?:/[a-z]+)?(?=\s+[─┐┘│]|\s*$|\s+─|\s*─)", drawing, re.MULTILINE)
    assert len(named) > 20
    assert [name for name in named if not (PACKAGE / name).is_dir()] == []

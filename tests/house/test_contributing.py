"""What contributors are told is so: each command, path, variable and room that CONTRIBUTING.md names exists."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "straced"
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
BENCHMARKS = set(re.findall(r"^BENCH \?= (.*)$", MAKEFILE, re.MULTILINE)[0].split())
MADE = {line.strip("/") for line in (ROOT / ".gitignore").read_text().split()}
"""What a clone lacks until it is made: ``.venv``, ``dist``."""
LINK = re.compile(r"\]\((?!https?:)([^)#]+)[^)]*\)")
FENCE = re.compile(r"^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"[\w.-]+\.(py|md|toml|lock)")


def code_in(text: str) -> Iterator[str]:
    """The lines of fenced blocks without their comments, and all that stands between back quotes."""
    for block in FENCE.findall(text):
        yield from (line.partition(" #")[0] for line in block.splitlines())
    yield from re.findall(r"`([^`\n]+)`", FENCE.sub("", text))


def wrong(text: str) -> list[str]:
    """Each name in a text that stands for nothing."""
    missing = [link for link in LINK.findall(text) if not (ROOT / link).exists()]
    for code in code_in(text):
        words = re.split(r"[\s=\"'()]+", code)
        if words[0] == "make":
            words_of_make = re.sub(r'".*?"', "", code).split()[1:]
            missing += [f"make {word}" for word in words_of_make if "=" not in word and word not in TARGETS]
            missing += [f"BENCH={name}" for name in re.findall(r"BENCH=(\w+)", code) if name not in BENCHMARKS]
            missing += [name for name in re.findall(r"(\w+)=", code) if f"$({name})" not in MAKEFILE]
        missing += [name for name in re.findall(r"STRACED_\w+", code) if name not in variables()]
        missing += [f"-m {name}" for name in re.findall(r"python -m (\S+)", code) if not _module(name)]
        missing += [word for word in words if ("/" in word or FILE.fullmatch(word)) and not _path(word)]
    return missing


@cache
def variables() -> set[str]:
    """The variables of the environment that the tests and the bootstrap read."""
    files = [ROOT / "scripts" / "bootstrap", *(ROOT / "tests").rglob("*.py")]
    return {name for path in files if path != Path(__file__) for name in re.findall(r"STRACED_\w+", path.read_text())}


def _module(name: str) -> bool:
    place = ROOT.joinpath(*name.split("."))
    return place.with_suffix(".py").is_file() or (place / "__main__.py").is_file()


def _path(word: str) -> bool:
    """Whether it is a file or directory of the project or the package; a bare name may be that of a test."""
    if word.split("/")[0] in MADE or (ROOT / word).exists() or (PACKAGE / word).exists():
        return True
    return "/" not in word and len(list((ROOT / "tests").rglob(word))) == 1


def test_everything_that_is_named_exists() -> None:
    assert wrong(TEXT) == []


@pytest.mark.parametrize(
    "text",
    ["`make tests`", "`make wheel-checks`", "`make lint everything`", "`make test PLACE=tests`",
     "```\nmake nothing  # what\n```", "`src/straced/nowhere.py`", "`nowhere/`", "`nothing.py`",
     "[how](docs/nothing.md#there)", "`STRACED_NO=1`", "`make bench BENCH=nothing`",
     "`.venv/bin/python -m tests.nothing`", "`make test TESTS=\"tests/nowhere -k run\"`"],
)  # fmt: skip
def test_the_check_sees_what_does_not_exist(text: str) -> None:
    assert len(wrong(text)) == 1


@pytest.mark.parametrize(
    "text",
    ["`make test lint`", "`make test TESTS=tests/house`", "[how](README.md#read-on)", "`.venv/bin/ruff check .`",
     "nowhere/", "`@pytest.mark.needs(\"root\")`", "`test_contributing.py`", "`STRACED_REQUIRE=ebpf`", "[it](https://x.invalid/y)"],
)  # fmt: skip
def test_the_check_accepts_what_does(text: str) -> None:
    assert wrong(text) == []


def rows() -> list[str]:
    """The rooms of the package, lowest first, as the table has them."""
    cells = re.findall(r"^\| (`[^|]+) \|", TEXT, re.MULTILINE)
    names = [name for cell in cells for name in re.findall(r"`([\w./]+)`", cell) if not name.startswith("make")]
    return [name.removesuffix(".py").strip("/") for name in names if name.endswith((".py", "/"))]


def levels(contracts: list[dict[str, object]]) -> dict[str, int]:
    """The floor of each room, 0 the top, by the contract that has the most layers."""
    orders = [layers for each in contracts if isinstance(layers := each.get("layers"), list)]
    names = {}
    for level, layer in enumerate(max(orders, key=len, default=[])):
        for name in re.split(r"[|:]", layer):
            names[name.strip(" ()").removeprefix("straced.")] = level
    return names


def test_each_room_has_a_row() -> None:
    there = {path.stem for path in PACKAGE.iterdir() if path.is_dir() or path.suffix == ".py"}
    assert set(rows()) == there - {"__init__", "__main__", "__pycache__"}


def test_rows_stand_in_the_order_that_the_linter_holds() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    floors = levels(contracts)
    assert set(rows()) <= set(floors)
    order = [floors[name] for name in rows()]
    assert order == sorted(order, reverse=True)


def test_layers_are_read_as_the_linter_reads_them() -> None:
    contracts = [
        {"layers": ["a"]},
        {"type": "forbidden"},
        {"layers": ["straced.commands", "straced.web | (views)", "text"]},
    ]
    assert levels(contracts) == {"commands": 0, "web": 1, "views": 1, "text": 2}


def test_the_hooks_run_what_lint_runs() -> None:
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert recipe is not None
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    tools = [set(re.findall(r"\.venv/bin/([\w-]+(?: [a-z]+)?)", text)) for text in (recipe[1], hooks)]
    assert tools[0] == tools[1]


def test_ci_runs_each_python_that_is_promised() -> None:
    promised = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', (ROOT / "pyproject.toml").read_text())
    matrix = re.search(r"python: \[(.*)\]", (ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert matrix is not None
    assert re.findall(r'"(3\.\d+)"', matrix[1]) == promised

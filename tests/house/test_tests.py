"""The tests mirror the package: a folder for each room, and for each module a test that names it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path

TESTS = Path(__file__).parents[1]
PACKAGE = TESTS.parent / "src" / "straced"
ROWS = re.compile(r"^\| `([\w/]+)/` \|", re.MULTILINE)
WRITTEN = re.compile(r"\bstraced((?:\.\w+)+)|`((?:\w+/)*\w+)\.py`")


def folders(root: Path) -> set[str]:
    """The packages in a directory, by their paths in it."""
    return {str(path.parent.relative_to(root)) for path in root.rglob("*.py")} - {"."}


def modules() -> set[str]:
    """The modules with code in them, as ``linux.procfs``."""
    paths = {path: ".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py")}
    has_code = (path for path in paths if len(ast.parse(path.read_text()).body) > 1)
    return {paths[path].removesuffix(".__init__") for path in has_code} - {"__init__"}


def named(text: str) -> set[str]:
    """The modules that a test imports, or writes the name or path of."""
    found = {(dotted or slashed.replace("/", ".")).strip(".") for dotted, slashed in WRITTEN.findall(text)}
    found = {name.removesuffix(".__init__") for name in found}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("straced."):
            base = str(node.module).removeprefix("straced").strip(".")
            found |= {base, *(f"{base}.{alias.name}".strip(".") for alias in node.names)}
    return found


def unnamed(there: set[str], texts: Iterable[str]) -> set[str]:
    """The modules that no test names."""
    return there.difference(*map(named, texts))


def texts() -> Iterable[str]:
    """The tests and their helpers; not those of this folder, which list modules without testing them."""
    return (path.read_text() for path in TESTS.rglob("*.py") if path.parent != Path(__file__).parent)


def test_each_folder_is_a_room_or_is_explained() -> None:
    explained = set(ROWS.findall((TESTS / "README.md").read_text()))
    there = {name.split("/")[0] for name in folders(TESTS)} | {"workloads"}
    rooms = {name.split("/")[0] for name in folders(PACKAGE)}
    below = {name for name in folders(TESTS) if "/" in name and name.split("/")[0] in rooms}
    unmirrored = {name for name in below - folders(PACKAGE) if "workloads" not in name and "programs" not in name}
    assert (there - rooms) | unmirrored == explained


def test_each_module_is_named_by_a_test() -> None:
    assert sorted(unnamed(modules(), texts())) == [], "say in the docstring of their test: Of `linux/procfs.py`."


def test_what_a_docstring_names_exists() -> None:
    for path in TESTS.rglob("test_*.py"):
        words = ast.get_docstring(ast.parse(path.read_text())) or ""
        for name in re.findall(r"`([\w/]+\.py)`", words.partition("\nOf `")[1] + words.partition("\nOf ")[2]):
            assert (PACKAGE / name).is_file(), f"{path.relative_to(TESTS)} names {name}"


def test_the_check_sees_every_way_of_naming() -> None:
    there = {"linux.procfs"}
    assert unnamed({"logs"}, ['"""Of `logs.py`."""']) == set()
    for text in (
        "from straced.linux import procfs",
        "def f():\n    from straced.linux.procfs import stat",
        '"""Reads /proc.\n\nOf `linux/procfs.py` and `logs.py`.\n"""',
        "RUN = [sys.executable, '-m', 'straced.linux.procfs']",
    ):
        assert unnamed(there, [text]) == set(), text
    assert unnamed(there, ["from straced.linux import targets", "import straced"]) == there


def test_there_is_one_way_to_wait() -> None:
    """``until`` of tests/support/poll.py. Methods of that name wait for something of their own."""
    found = [
        str(path.relative_to(TESTS))
        for path in TESTS.rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name in ("until", "auntil", "wait_until")
    ]
    assert found == ["support/poll.py", "support/poll.py"]

"""Files are written by ``straced.linux.output_file`` and its like, and by nobody else: read from the sources.

What follows links, truncates, or leaves half a file under its name comes with the next hand-written ``open(..., "w")``.
The scripts of the project write into their own checkout, and are not looked at.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import straced

PACKAGE = Path(straced.__file__).parent
MECHANISM = {
    "linux/output_file.py",
    "linux/output_stream.py",
    "linux/output_directory.py",
    "linux/kept_file.py",
    "linux/opened_directory.py",
}
ALLOWED = {
    ("commands/group.py", "open"): "/dev/null in place of a closed standard stream",
    ("commands/error_report.py", "os.open"): "/dev/null in place of a stdout whose reader left",
    ("gating/helper.py", "tempfile.mkdtemp"): "a directory of its own for a copy of the gate, 0755 once it is complete",
    ("gating/helper.py", "os.open"): "the copy, in that directory",
    ("gating/helper.py", "os.fdopen"): "its descriptor",
    ("gating/helper.py", "os.rename"): "that directory to its own name, once the copy is whole",
    ("tracers/strace/guard/loop.py", "os.open"): "/dev/null as the output of the guard's children",
    ("tracers/strace/guard/kernel.py", "open"): "/proc/self/comm: a name of a process, no file",
    (
        "tracers/strace/guard/relay.py",
        "os.open",
    ): "O_TMPFILE: has no name that could be planted; the guard imports no package",
    ("service/api/taken_dump.py", "tempfile.TemporaryFile"): "has no name that could be planted",
    ("tracers/strace/line_order.py", "tempfile.TemporaryFile"): "has no name that could be planted",
    ("traces/export/parquet.py", "tempfile.TemporaryFile"): "has no name that could be planted",
    ("linux/scratch_file.py", "tempfile.TemporaryFile"): "has no name that could be planted",
    ("store/parquet.py", "tempfile.TemporaryFile"): "has no name that could be planted",
    ("manager/helper_journal.py", "open"): "a descriptor of open_kept",
    ("service/sinks/ndjson.py", "open"): "a descriptor of open_kept",
    ("workflows/budget.py", "open"): "a descriptor of open_kept",
    ("pytest_plugin/forked.py", "tempfile.mkdtemp"): "a directory of its own, 0700, for a trace that is removed again",
    ("pytest_plugin/trace_reader.py", "open"): "a descriptor of memfd_create, which has no name",
    ("service/sinks/ndjson.py", "os.replace"): "rotation: names change, nothing is opened",
    ("store/database.py", "os.rename"): "moved aside: names change, nothing is opened",
    ("service/rule_store.py", "os.replace"): "moved aside: names change, nothing is opened",
}
"""Who else may, and why. An entry that is not needed any more fails the test."""
HARMLESS = {"O_RDONLY", "O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY", "O_DIRECTORY", "O_PATH"}
WRITERS = {
    "write_text", "write_bytes", "touch", "NamedTemporaryFile", "TemporaryFile", "SpooledTemporaryFile", "mkstemp",
    "mkdtemp", "TemporaryDirectory", "copyfile", "copytree", "FileHandler", "RotatingFileHandler", "FileIO", "mkfifo",
}  # fmt: skip
OF_OS = {"rename", "replace", "link", "symlink", "renames", "truncate"}


def name_of(call: ast.Call) -> str:
    return ast.unparse(call.func)


def writes(call: ast.Call) -> bool:
    """Whether a call makes or changes a file, or moves one; what cannot be decided counts as if it did."""
    name = name_of(call)
    last = name.rpartition(".")[2]
    if name == "os.open":
        flags = call.args[1] if len(call.args) > 1 else next((k.value for k in call.keywords if k.arg == "flags"), None)
        named = (
            {each.attr for each in ast.walk(flags) if isinstance(each, ast.Attribute)} if flags is not None else {"?"}
        )
        known = flags is not None and all(
            isinstance(each, ast.BinOp | ast.BitOr | ast.Attribute | ast.Load)
            or (isinstance(each, ast.Name) and each.id == "os")
            or (isinstance(each, ast.Constant) and each.value == 0)
            for each in ast.walk(flags)
        )
        return not (known and named <= HARMLESS)
    if last in ("open", "fdopen") and name != "os.pidfd_open":
        words = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
        texts = [each.value for each in words if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        return any(text and set(text) <= set("rwxab+t") and set(text) & set("wxa+") for text in texts)
    return last in WRITERS or (name.startswith("os.") and last in OF_OS)


def found_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and writes(node):
            yield name_of(node)


def test_files_are_written_by_the_mechanism_alone() -> None:
    found: set[tuple[str, str]] = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        place = str(path.relative_to(PACKAGE))
        if place not in MECHANISM:
            found |= {(place, name) for name in found_in(ast.parse(path.read_text()))}
    assert sorted(found - ALLOWED.keys()) == [], (
        "use straced.linux.output_file.OutputFile, or straced.linux.kept_file.open_kept"
    )
    assert sorted(ALLOWED.keys() - found) == [], "no longer needed"


@pytest.mark.parametrize(
    "code",
    ["open(p, 'w')", "open(p, mode='ab')", "path.open('r+b')", "io.open(p, 'x')", "path.write_text(t)",
     "os.fdopen(fd, 'wb')",
     "os.open(p, os.O_WRONLY | os.O_CREAT)", "os.open(p, flags)", "os.open(p, os.O_RDWR, 0o600)", "os.replace(a, b)",
     "tempfile.mkstemp()", "logging.FileHandler(p)", "shutil.copyfile(a, b)", "os.open(p, 1)"],
)  # fmt: skip
def test_the_check_sees_what_writes(code: str) -> None:
    assert list(found_in(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    ["open(p)", "open(p, 'rb', buffering=0)", "path.open('rb')", "os.open(p, os.O_RDONLY | os.O_CLOEXEC)",
     "os.open(p, 0)", "text.replace('a', 'w')", "os.pidfd_open(pid)", "tree.rename(0, 1)", "gzip.open(p, 'rb')"],
)  # fmt: skip
def test_the_check_leaves_readers_alone(code: str) -> None:
    assert not list(found_in(ast.parse(code)))

"""`scripts/readable`: programs of other users can read the tree, wherever it is."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.service.processes import public_folder

pytestmark = pytest.mark.needs("root", "setpriv")
SCRIPT = Path(__file__).parents[2] / "scripts" / "readable"
SAYS = "pwd; cat .venv/bin/program; setpriv --reuid=65534 --regid=65534 --clear-groups sh -c 'cat \"$0\"/src/straced/*'"
FILES = {"src/straced/__init__.py": "source", ".venv/pyvenv.cfg": "", ".venv/bin/program": "#!{}/.venv/bin/python"}


def said_in(tree: Path, mode: int) -> list[str]:
    """What a command says that is run by a copy of the script; other users get ``mode`` of the tree."""
    for name, text in FILES.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(tree) + "\n")
    (tree / "scripts").mkdir()
    script = shutil.copy(SCRIPT, tree / "scripts")
    tree.chmod(mode)
    done = subprocess.run(
        [script, "sh", "-c", f'{SAYS} "$PWD"; exit 3'], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 3, done.stderr
    return done.stdout.splitlines()


def test_a_tree_that_all_can_read_is_used_itself() -> None:
    with public_folder() as folder:
        assert said_in(folder / "tree", 0o755) == [f"{folder}/tree", f"#!{folder}/tree/.venv/bin/python", "source"]


@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_one_that_only_root_may_enter_is_copied_for_the_time(tmp_path: Path, mode: int) -> None:
    """Itself, or what it is in: a test's own folder is root's alone."""
    place, program, source = said_in(tmp_path / "tree", mode)
    assert place.startswith("/tmp/straced-tree-")
    assert (program, source) == (f"#!{place}/.venv/bin/python", "source")
    assert not Path(place).exists()

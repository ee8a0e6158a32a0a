"""`scripts/bootstrap`: what a newcomer reads when straced cannot be set up here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.service.processes import public_folder

pytestmark = pytest.mark.needs("strace", "tmux", "cc")  # else these are what it speaks of
ROOT = Path(__file__).parents[2]
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def said_in(tree: Path, *before: str, **env: str) -> str:
    """What it says in a copy of what it reads; it must fail."""
    (tree / "scripts").mkdir(parents=True)
    for name in ("scripts/bootstrap", "pyproject.toml", "uv.lock"):
        shutil.copy(ROOT / name, tree / name)
    done = subprocess.run(
        [*before, tree / "scripts" / "bootstrap", "run"],
        env=os.environ | {"STRACED_NO_INSTALL": "1"} | env,
        capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    return done.stderr


@pytest.mark.needs("pip")
@pytest.mark.skipif("STRACED_DOCS" not in os.environ, reason="some seconds of pip: make docs-check")
def test_without_an_index_it_says_so_and_speaks_of_no_versions(tmp_path: Path) -> None:
    """Pip does: of conflicts among them."""
    tree = tmp_path / "a tree"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tree / ".venv"], check=True, timeout=50)
    (tree / ".venv" / "bin" / "straced").write_text(f"{tree}/")  # as pip does: where it was made
    said = said_in(
        tree, PIP_CONFIG_FILE="/dev/null", PIP_FIND_LINKS="", PIP_RETRIES="1", PIP_INDEX_URL="http://127.0.0.1:9/",
        PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    )  # fmt: skip
    assert said.splitlines()[-2] == "straced: the Python packages are out of reach (Connection refused)"
    assert "newest" not in said
    assert "conflict" not in said


@pytest.mark.needs("root", "setpriv")
def test_who_may_not_write_there_hears_it_and_installs_nothing() -> None:
    with public_folder() as folder:
        said = said_in(folder / "tree", *NOBODY, TMPDIR="/tmp")
        assert said.splitlines()[-2:] == [
            f"straced: you may not write in {folder}/tree, where .venv belongs",
            f"  cp -r '{folder}/tree' ~/straced; cd ~/straced",
        ]

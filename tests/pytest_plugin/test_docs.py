"""What docs/budgets.md and docs/ci/action.yml show works."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.pytest_plugin.inner import InnerPytest
from tests.support.cli import straced

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "budgets.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.needs("ebpf")
def test_the_tests_on_the_page_pass(inner: InnerPytest) -> None:
    (code,) = blocks("python")
    inner.write(code)
    done = inner.run("--syscalls-tracer", "ebpf")
    assert done.passed == sorted(re.findall(r"^def (test_\w+)", code, re.MULTILINE)), done.text


@pytest.mark.needs("strace")
def test_the_commands_on_the_page_keep_their_budgets(tmp_path: Path) -> None:
    (lines,) = blocks("sh")
    for line in lines.splitlines():
        program, *words = shlex.split(line)
        assert program == "straced"
        done = straced(*words, cwd=tmp_path)
        assert done.status == 0, done.err


@pytest.mark.needs("strace")
def test_the_action(tmp_path: Path) -> None:
    text = (DOCS / "ci" / "action.yml").read_text()
    script = textwrap.dedent(text.rpartition("run: |\n")[2])
    given = {
        "STRACED_COMMAND": "true; echo done",
        "STRACED_MAX": "execve=0\n\nfsync=0\n",
        "STRACED_JUNIT": "budget.xml",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    declared = re.findall(r"^        (STRACED_\w+):", text, re.MULTILINE)
    assert sorted(declared) == sorted(name for name in given if "STRACED" in name)
    done = subprocess.run(
        ["bash", "-c", script], env={**os.environ, **given}, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (1, "done\n"), done.stderr
    assert (tmp_path / "budget.xml").exists()
    assert "| execve | 0 | 1 | broken |" in (tmp_path / "summary.md").read_text()

"""Every command block and example in Python of README and docs runs, or is tagged with the reason why it can not."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs import snippets
from tests.support.needs import require

PAGES = snippets.pages()
NOT_RUN = {
    "README.md": 1,  # a checkout
    "docs/howto/containers.md": 2,  # an engine, a cluster
    "docs/howto/systemd.md": 1,  # a unit
    "docs/start/install.md": 2,  # a package index, a checkout
}
"""By page: how many blocks no test runs. At most ten in all."""
LIMIT_S = 110


def run(text: str, place: Path) -> subprocess.CompletedProcess[str]:
    """Run what a page shows in a directory, and leave nothing of it running."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {
        **os.environ,
        "PATH": path,
        "NO_COLOR": "1",
        "COLUMNS": "100",
        "HOME": str(place),
        "TMPDIR": str(place),
    }
    process = subprocess.Popen(
        ["bash", "-c", snippets.script(text)], cwd=place, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        out, err = process.communicate(timeout=LIMIT_S)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.mark.limit(120)
@pytest.mark.parametrize("page", [page for page, text in PAGES.items() if snippets.script(text)])
def test_what_a_page_shows_runs(page: str, tmp_path: Path) -> None:
    text = PAGES[page]
    if snippets.is_slow(text) and not os.environ.get("STRACED_DOCS"):
        pytest.skip("run by make docs-check")
    require(*snippets.needs(text))
    done = run(text, tmp_path)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_what_is_not_run_is_listed() -> None:
    blocks = {page: list(snippets.blocks(text)) for page, text in PAGES.items()}
    tagged = {page: [block.told for block in each if block.word == "not run"] for page, each in blocks.items()}
    assert {page: len(reasons) for page, reasons in tagged.items() if reasons} == NOT_RUN
    assert sum(NOT_RUN.values()) <= 10
    assert all(len(reason) > 10 for reasons in tagged.values() for reason in reasons)


@pytest.mark.parametrize("page", PAGES)
def test_each_block_says_what_it_is(page: str) -> None:
    found = list(snippets.blocks(PAGES[page]))
    assert [block.line for block in found if not block.language] == []
    assert [block.line for block in found if snippets.is_typed(block)] == [], "commands are to be tagged sh"


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("```sh\ntrue\n```\n", 0),
        ("```sh\nfalse\n```\n", 1),
        ("```sh\nsleep 100 &\n```\n\n```sh\nkill -STOP $!\n```\n", 0),
        ("<!-- file: a.py -->\n```python\nraise SystemExit(3)\n```\n\n```sh\npython3 a.py\n```\n", 3),
        ("```sh\nsleep 100 &\nkill $!\n```\n", 0),
        ("```python\nraise SystemExit(4)\n```\n", 4),
        ("- a list\n\n    ```sh\n    false\n    ```\n", 1),
        ("<!-- with: examples/drop_in.py -->\n```sh\ntest -f drop_in.py\n```\n", 0),
    ],
)
def test_a_block_that_fails_is_seen(text: str, status: int, tmp_path: Path) -> None:
    assert run(text, tmp_path).returncode == status


@pytest.mark.parametrize(
    "text", ["<!-- not run: it needs the moon -->\n```sh\nfalse\n```\n", "```text\nout\n```\n", "text\n"]
)
def test_what_does_not_run(text: str) -> None:
    assert snippets.script(text) == ""


def test_a_command_without_its_language_is_seen() -> None:
    (block,) = snippets.blocks("```\n$ straced why 42\n```\n")
    assert snippets.is_typed(block)
    assert not block.language

"""What packages hold: manual pages and completions, a container file and a recipe that agree with the project."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from straced.commands.registry import available
from tests.docs import snippets

sys.path.insert(0, str(snippets.ROOT / "scripts"))
import docs_pages
import man_pages

PROJECT = tomllib.loads((snippets.ROOT / "pyproject.toml").read_text())["project"]
FILES = man_pages.files()
PAGES = {place: text for place, text in FILES.items() if place.endswith(".1")}


def test_each_verb_has_a_manual_page_with_all_of_its_options() -> None:
    for verb in available():
        text = PAGES[f"share/man/man1/straced-{verb.name}.1"].replace("\\-", "-")
        for _, command, context in docs_pages.commands(verb.name):
            for parameter in command.get_params(context):
                words = [] if getattr(parameter, "hidden", False) else parameter.opts
                assert all(word in text for word in words if word.startswith("-")), (verb.name, parameter.name)
    assert all(f"straced\\-{verb.name}(1)" in PAGES["share/man/man1/straced.1"] for verb in available())


@pytest.mark.needs("groff")
def test_troff_finds_nothing_wrong_with_them(tmp_path: Path) -> None:
    for place, text in PAGES.items():
        (tmp_path / Path(place).name).write_text(text)
    done = subprocess.run(
        ["groff", "-man", "-ww", "-z", *sorted(str(path) for path in tmp_path.iterdir())],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completions_are_those_that_the_verb_prints(shell: str) -> None:
    text = FILES[man_pages.COMPLETIONS[shell]]
    assert f"_STRACED_COMPLETE={shell}_complete" in text
    if shutil.which(shell) and shell != "fish":
        assert subprocess.run([shell, "-n"], input=text, text=True, capture_output=True, timeout=30).stderr == ""


def test_the_recipe_has_the_dependencies_of_the_project() -> None:
    recipe = (snippets.ROOT / "packaging" / "conda" / "recipe.yaml").read_text()
    for part in ("host", "run"):
        section = re.search(rf"^  {part}:\n((?:    .*\n)+)", recipe, re.MULTILINE)
        assert section is not None
        listed = {line.strip("- ").replace(" ", "") for line in section[1].splitlines()}
        assert set(PROJECT["dependencies"]) <= listed
        assert f"python{PROJECT['requires-python']}" in listed
    assert re.search(r"^  version: (.*)$", recipe, re.MULTILINE)[1] == PROJECT["version"]  # type: ignore[index]
    (name, entry), *_ = PROJECT["scripts"].items()
    assert f"- {name} = {entry}" in recipe


def test_the_container_has_what_the_program_looks_for() -> None:
    text = (snippets.ROOT / "packaging" / "Containerfile").read_text()
    final = text.rpartition("\nFROM ")[2]
    assert {"python3", "strace", "libbpf1"} <= set(re.findall(r"[a-z0-9-]+", final))
    assert 'ENTRYPOINT ["straced"]' in final
    copied = re.findall(r"^COPY (?!--from)(\S+)", text, re.MULTILINE)
    assert copied == ["dist/*.whl"]

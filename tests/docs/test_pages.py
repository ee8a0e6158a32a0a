"""The pages of the documentation: links lead somewhere, tasks come before design, every public name has its page."""

from __future__ import annotations

import ast
import inspect
import posixpath
import re
import sys
from pathlib import Path

import pytest

import straced
import straced.waits.model
from straced import blocking, client, errors
from straced.commands.registry import available
from straced.config.loader import table_of_keys
from tests.docs import snippets

sys.path.insert(0, str(snippets.ROOT / "scripts"))
import docs_pages

MADE = docs_pages.pages()
PAGES = snippets.pages()
SITE = (snippets.ROOT / "mkdocs.yml").read_text()
LINK = re.compile(r"\[[^\]]*\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)")
FENCE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
FIRST = ("Start", "Tutorials", "How to", "Screens", "Reference", "Python API", "Compare", "FAQ", "Internals")


def slugs(text: str) -> set[str]:
    """The anchors of a page's headings."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        base = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", words).strip().lower())
        found.add(base)
    return found


def dead(page: str, text: str) -> list[str]:
    """The links of a page that lead nowhere."""
    found = []
    for target, anchor in LINK.findall(FENCE.sub("", text)):
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page), target)) if target else page
        made = MADE.get(path.removeprefix("docs/")) if path.startswith("docs/") else None
        there = snippets.ROOT / path
        if made is None and not there.exists():
            found.append(target)
        elif anchor and anchor not in slugs(made if made is not None else there.read_text()):
            found.append(f"{target}#{anchor}")
    return found


@pytest.mark.parametrize("page", [*PAGES, "CONTRIBUTING.md", "SECURITY.md"])
def test_no_link_is_dead(page: str) -> None:
    assert dead(page, (snippets.ROOT / page).read_text()) == []


def test_a_dead_link_is_seen() -> None:
    text = "[a](nowhere.md) [b](why.md#nothing) [c](why.md#what-it-does) [d](reference/cli/run.md) [e](#x)\n"
    assert dead("docs/index.md", text) == ["nowhere.md", "why.md#nothing", "#x"]


def test_each_page_is_in_the_navigation_once() -> None:
    entries = re.findall(r"([\w/-]+\.md)$", SITE, re.MULTILINE)
    assert len(entries) == len(set(entries))
    written = {page.removeprefix("docs/") for page in PAGES if page.startswith("docs/")}
    made = {page for page in MADE if page.endswith(".md") and not re.match(r"reference/cli/(?!index)", page)}
    assert set(entries) == written | made


def test_tasks_come_before_design() -> None:
    assert tuple(re.findall(r"^  - ([A-Z][\w ]+):", SITE, re.MULTILINE)) == FIRST


# --- the reference ---


def public() -> set[str]:
    """All public names, by the path that a program imports them from."""
    names = {f"straced.{name}" for name in straced.__all__ if not name.startswith("__") and name != "errors"}
    for module in (client, blocking):
        names |= {f"{module.__name__}.{name}" for name in module.__all__}
    own = straced.waits.model
    there = {
        name: each for name, each in vars(own).items() if inspect.isclass(each) and each.__module__ == own.__name__
    }
    names |= {f"{own.__name__}.{name}" for name in there}
    return names


def test_every_public_name_has_its_page() -> None:
    shown = {name for page, text in PAGES.items() for name in re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE)}
    of_all = {f"straced.errors.{name}" for name, each in vars(errors).items() if inspect.isclass(each)}
    assert "straced.errors" in shown
    in_errors = {f"straced.{name.rpartition('.')[2]}" for name in of_all}
    elsewhere = {f"straced.waits.model.{name}" for name in ("Why", "WhyAll")}
    assert public() - shown - in_errors - elsewhere == set()


def test_each_name_that_is_shown_exists() -> None:
    for text in PAGES.values():
        for name in re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE):
            module, _, last = name.rpartition(".")
            assert hasattr(__import__(module, fromlist=[last]), last) or name == "straced.errors", name


@pytest.mark.parametrize("verb", [verb.name for verb in available()])
def test_each_verb_has_a_page_with_all_of_its_options(verb: str) -> None:
    page = MADE[f"reference/cli/{verb}.md"]
    for _, command, context in docs_pages.commands(verb):
        for parameter in command.get_params(context):
            words = [word for word in parameter.opts if word.startswith("--")]
            assert all(f"{word}" in page for word in words if not getattr(parameter, "hidden", False)), parameter.name


def test_each_key_and_each_status_has_its_line() -> None:
    assert all(f"| `{key}` |" in MADE["reference/straced-toml.md"] for key, _, _ in table_of_keys())
    kinds = [each for each in vars(errors).values() if inspect.isclass(each) and issubclass(each, errors.StracedError)]
    own = {str(each.exit_code) for each in kinds} - {"125", "126", "127"}
    assert own <= set(re.findall(r"^\| (\d+) \|", MADE["reference/exit-status.md"], re.MULTILINE))


def test_each_log_event_has_its_line() -> None:
    used: set[str] = set()
    for path in (Path(straced.__file__).parent / "manager").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and re.fullmatch(r"(strace|full_trace)_[a-z_]+", str(node.value)):
                used.add(str(node.value))
    page = PAGES["docs/api/log-events.md"]
    rows = re.findall(r"^\| (`.*?) \| [A-Z]+ \|", page, re.MULTILINE)
    told = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert len(used) > 20
    assert used <= told
    assert {name.removesuffix("_full") for name in told} <= used

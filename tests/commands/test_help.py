"""What the command line says of itself: help, verbs that do not exist, completion."""

from __future__ import annotations

import pytest

from straced.commands.registry import VERBS, available
from tests.support.cli import straced


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_help_begins_with_examples_and_lists_the_verbs_of_this_build(words: list[str]) -> None:
    done = straced(*words)
    assert done.status == 0
    assert done.out.startswith("Examples:\n  straced run -- make test")
    for verb in VERBS:
        assert (f"\n  {verb.name} " in done.out) == verb.exists


@pytest.mark.parametrize("name", [verb.name for verb in available()])
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_of_each_verb_begins_with_two_examples(name: str, flag: str) -> None:
    done = straced(name, flag)
    assert (done.status, done.err) == (0, "")
    first, *lines = done.out.splitlines()
    assert first == "Examples:"
    examples = [line for line in lines[: lines.index("")] if line[2] != " "]
    assert len(examples) >= 2
    assert all("straced " in line for line in examples)
    assert all(len(line) <= 80 for line in done.out.splitlines())


@pytest.mark.parametrize(("typed", "meant"), [("complete", "straced completion"), ("competion", "straced completion")])
def test_a_mistyped_verb_is_answered_with_the_right_one(typed: str, meant: str) -> None:
    done = straced(typed)
    assert done.status == 2
    assert done.err.splitlines()[0] == f"straced: no such verb: {typed}"
    assert meant in done.err
    assert len(done.err.splitlines()) <= 3


@pytest.mark.parametrize("words", [["nope"], ["--nope"], ["completion", "tcsh"], ["completion", "bash", "more"]])
def test_usage_errors_have_status_2_and_three_lines_at_most(words: list[str]) -> None:
    done = straced(*words)
    assert done.status == 2
    assert done.out == ""
    assert 1 <= len(done.err.splitlines()) <= 3
    assert "Traceback" not in done.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_that_calls_straced_back(shell: str) -> None:
    done = straced("completion", shell)
    assert done.status == 0
    assert f"_STRACED_COMPLETE={shell}_complete" in done.out

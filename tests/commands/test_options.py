"""What a verb receives from the options that verbs share."""

from __future__ import annotations

import io
from typing import Any

import click
import pytest

from straced.commands import options
from straced.errors import InvalidArgument
from straced.linux.targets import TargetSpec
from straced.model.aggregation import SORT_KEYS


def parsed(*argv: str) -> dict[str, Any]:
    """The values a verb with every option gets for a command line."""
    seen: dict[str, Any] = {}

    @click.command()
    @options.tracer
    @options.json
    @options.follow
    @options.sort
    @options.limit
    @options.duration
    @options.interval
    @options.color
    @options.targets(required=False)
    def command(**values: Any) -> None:
        seen.update(values)

    with command.make_context("verb", list(argv)) as context:
        command.invoke(context)
    return seen


def test_defaults() -> None:
    assert parsed() == {
        "tracer": "auto",
        "as_json": False,
        "follow": True,
        "sort": "time",
        "limit": 20,
        "duration_ns": None,
        "interval_ns": None,
        "color": "auto",
        "targets": (),
    }


def test_sort_keys_are_those_of_the_summary() -> None:
    assert set(options.SORT_KEYS) == {*SORT_KEYS, "total"}
    assert parsed("--sort", "total")["sort"] == "time"


@pytest.mark.parametrize(
    ("argv", "limit"),
    [(["-n", "3"], 3), (["--all"], None), (["--all", "-n", "3"], None), (["-n", "3", "--all"], None)],
)
def test_all_beats_a_limit(argv: list[str], limit: int | None) -> None:
    assert parsed(*argv)["limit"] == limit


def test_durations_are_nanoseconds() -> None:
    values = parsed("-d", "1m30s", "-i", "250ms")
    assert (values["duration_ns"], values["interval_ns"]) == (90 * 10**9, 250 * 10**6)


def test_targets_of_both_kinds_each_once() -> None:
    values = parsed("17", "-p", "18", "name:py*", "-p", "17")
    assert values["targets"] == (TargetSpec("pid", "18"), TargetSpec("pid", "17"), TargetSpec("name", "py*"))
    assert "pids" not in values


@pytest.mark.parametrize("argv", [["-d", "soon"], ["-d", "0"], ["-n", "0"], ["--sort", "size"], ["--tracer", "perf"]])
def test_bad_values_are_usage_errors(argv: list[str]) -> None:
    with pytest.raises(click.UsageError):
        parsed(*argv)


@pytest.mark.parametrize("text", ["0", "12abc", "17 x", "17,+18", "+17", str(2**31), str(10**11), ","])
@pytest.mark.parametrize("argv", [[], ["-p"]])
def test_bad_pids_are_refused_at_the_door(argv: list[str], text: str) -> None:
    with pytest.raises(InvalidArgument):
        parsed(*argv, text)


@pytest.mark.parametrize("text", ["17 999", "17,999", "17\n999\n"])
def test_several_pids_stand_in_the_pid_option_alone(text: str) -> None:
    assert parsed("-p", text)["targets"] == (TargetSpec("pid", "17"), TargetSpec("pid", "999"))
    with pytest.raises(InvalidArgument):
        parsed(text)


def test_pid_option_takes_no_names() -> None:
    with pytest.raises(InvalidArgument):
        parsed("-p", "name:x")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_needs_a_terminal_and_no_color_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert options.use_color(Terminal())
    assert not options.use_color(io.StringIO())
    assert options.use_color(io.StringIO(), "always")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not options.use_color(Terminal())
    assert not options.use_color(Terminal(), "never")

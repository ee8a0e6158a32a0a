"""The first screen. Views are pure functions of values, so the values here are made by hand.

Of `text/units.py`.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from typing import Any

import msgspec
import pytest

from straced.model.types import Overhead, Part, Quality, Reason, Summary, SyscallStats, Target, Total, Window
from straced.views import json_output
from straced.views.text import summary as text
from straced.views.text import table
from straced.views.text.terminal import show
from tests.support.pace import PACE

CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


def row(name: str, calls: int | None = 10, **fields: Any) -> SyscallStats:
    return SyscallStats(name=name, calls=calls, **fields)


def summary(**fields: Any) -> Summary:
    base: dict[str, Any] = {
        "target": Target(pid=4242, start_ticks=1, boot_id="b", comm="make"),
        "tracer": "ebpf",
        "quality": Quality(kind="exact", overhead=Overhead(pct=0.8, basis="calibrated")),
        "window": Window(start=0.0, end=12.4, duration_ns=12_400_000_000),
        "processes": 48,
        "threads": 61,
        "rows": (
            row("wait4", 96, errors=0, wall_ns=11_800_000_000, working_ns=2_100_000, waiting_ns=11_797_900_000),
            row("openat", 201_877, errors=36_004, errno={"EACCES": 14, "ENOENT": 35_990}, wall_ns=800_000_000),
        ),
        "total": Total(calls=1_204_331, errors=37_410, wall_ns=15_200_000_000),
    }
    return Summary(**{**base, **fields})


def shown(value: Summary, **options: Any) -> list[str]:
    return text.plain(text.first_screen(value, **options)).splitlines()


def test_head_line_of_a_command() -> None:
    lines = shown(summary(exit_status=0, end="exited"), title="make test")
    assert lines[0] == "make test: exit 0 · 12.4 s · 48 processes, 61 threads · 1,204,331 calls, 3.1 % failed"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"exit_status": 7, "end": "exited"}, "exit 7"),
        ({"exit_status": -9, "end": "killed(9)"}, "killed by SIGKILL"),
        ({"end": "killed(31)"}, "killed by SIGSYS"),
        ({"end": "killed(40)"}, "killed by signal 40"),
        ({"end": "exited"}, "exited"),
        ({"end": "detached"}, "still running"),
        ({"end": "tracer_crashed(11)"}, "the tracer died"),
        ({}, "running"),
    ],
)
def test_what_became_of_the_target(fields: dict[str, Any], words: str) -> None:
    assert text.fate(summary(**fields)) == words
    assert shown(summary(**fields))[0].startswith(f"4242 (make): {words} · ")


def test_rows_stand_under_their_titles_with_errno_below() -> None:
    lines = shown(summary())
    titles = next(line for line in lines if "syscall" in line)
    opened = next(number for number, line in enumerate(lines) if "openat" in line)
    assert lines[opened + 1] == "   ENOENT 35,990  EACCES 14"
    for title, cell in (("calls", "201,877"), ("errors", "36,004"), ("total", "800 ms"), ("working", "-")):
        end = titles.index(title) + len(title)
        assert lines[opened][:end].endswith(f" {cell}")


def test_unknown_is_a_dash_and_never_zero() -> None:
    value = summary(
        rows=(row("read", 5, errors=None, wall_ns=None),), total=Total(calls=5), processes=None, threads=None
    )
    lines = shown(value)
    assert lines[0] == "4242 (make): running · 12.4 s · 5 calls"
    cells = next(line for line in lines if line.startswith(" read")).split()
    assert cells == ["read", "5", *["-"] * 6]


def test_total_is_not_a_sum_of_percentiles() -> None:
    cells = next(line for line in shown(summary()) if line.startswith(" total")).split()
    assert cells == ["total", "1,204,331", "37,410", "15.2", "s", "-", "-"]


@pytest.mark.parametrize(("limit", "hidden"), [(None, 0), (41, 0), (40, 1), (3, 38)])
def test_hidden_rows_are_counted(limit: int | None, hidden: int) -> None:
    value = summary(rows=tuple(row(f"call{number}", number, wall_ns=number) for number in range(1, 42)))
    lines = shown(value, limit=limit)
    assert sum(line.startswith(" call") for line in lines) == 41 - hidden
    assert (f" ({hidden} more: --all)" in lines) == bool(hidden)


def test_sorting() -> None:
    value = summary(rows=(row("a", 1, wall_ns=9), row("b", 5, wall_ns=3), row("c", 3, wall_ns=None)))
    order = {key: [line.split()[0] for line in shown(value, sort=key)[3:6]] for key in ("time", "calls", "name")}
    assert order == {"time": ["a", "b", "c"], "calls": ["b", "c", "a"], "name": ["a", "b", "c"]}


def test_explaining_lines() -> None:
    value = summary(rows=(row("read", in_flight=3, wall_ns=1),))
    assert text.explanations(value) == [
        "Times add up over 61 threads, so they can exceed 12.4 s. "
        "Sorted by total time. Other orders: --sort calls, errors.",
        "Not yet returned at the end: read 3.",
    ]
    (words,) = text.explanations(summary(threads=1), "calls")
    assert words == "Sorted by calls. Other orders: --sort time, working, errors."
    assert "CPU time" in text.explanations(summary(time="cpu"))[0]


def test_two_tracers_in_turn_are_said() -> None:
    window = Window(start=0, end=1, duration_ns=10**9)
    parts = tuple(Part(tracer=name, time="wall", window=window, total=Total()) for name in ("strace", "ebpf"))
    assert "Made by 2 tracers in turn: strace, eBPF." in shown(summary(parts=parts))


def test_last_line_says_how_far_the_figures_hold() -> None:
    assert shown(summary())[-1] == "exact · eBPF · 0 lost · target about 0.8 % slower"
    quality = Quality(
        kind="partial",
        lost=None,
        overhead=Overhead(pct=1800, basis="calibrated"),
        tasks_traced=97,
        tasks_seen=101,
        gap_s=0.25,
        reasons=(Reason("late", "attached late"),),
    )
    lines = shown(summary(tracer="strace", tracer_reason="eBPF: needs root", quality=quality))
    assert lines[-2] == "Attached late."
    assert lines[-1] == (
        "partial · strace (eBPF: needs root) · 97 of 101 threads · nothing counted for 250 ms · "
        "lost: unknown · target about 19x slower"
    )


@pytest.mark.parametrize(
    ("pct", "basis", "words"),
    [
        (None, "unknown", "slowdown unknown"),
        (0.0, "none", "target not slowed"),
        (0.0, "calibrated", "target less than 0.1 % slower"),
        (12.4, "calibrated", "target about 12 % slower"),
        (100.0, "calibrated", "target about 2.0x slower"),
        (146_900.0, "calibrated", "target about 1,470x slower"),
    ],
)
def test_slowdown(pct: float | None, basis: str, words: str) -> None:
    assert text.slowdown(Overhead(pct=pct, basis=basis)) == words


@pytest.mark.parametrize(
    ("text_of_reason", "shown_as"),
    [("attached late", "Attached late."), ("strace -c drops it", "strace -c drops it."), ("Why?", "Why?"), ("", "")],
)
def test_reasons_are_sentences(text_of_reason: str, shown_as: str) -> None:
    assert text.sentence(text_of_reason) == shown_as


def test_nothing_seen_is_said() -> None:
    lines = shown(summary(rows=(), total=Total(calls=0, errors=0, wall_ns=0)))
    assert " no system calls seen" in lines
    assert "0 calls" in lines[0]


@pytest.mark.parametrize("width", [40, 60, 72, 80, 200])
def test_a_narrow_screen_drops_columns_not_rows(width: int) -> None:
    timed = summary(rows=[msgspec.structs.replace(each, p50_ns=1, p99_ns=10**9) for each in summary().rows])
    lines = shown(timed, width=width)
    rows = lines[lines.index("") + 1 : lines.index("", lines.index("") + 1)]
    assert all(len(line) <= width for line in lines)
    assert " calls" in rows[0]
    assert ("p99" in rows[0]) == (width >= 72)


HOSTILE = "\x1b[31mx\n+++ exited\x07\u202e[link=http://e][/bold]"


def hostile() -> Summary:
    return summary(
        target=Target(pid=1, start_ticks=1, boot_id="b", comm=HOSTILE, cmdline=(HOSTILE,)),
        rows=(row(HOSTILE * 9, wall_ns=1, errors=1, errno={HOSTILE: 1}, in_flight=1), row("read", wall_ns=0)),
        quality=Quality(kind="partial", reasons=(Reason(HOSTILE, HOSTILE),)),
        tracer_reason=HOSTILE,
        end=HOSTILE,
    )


def test_hostile_names_stay_text_in_plain_output() -> None:
    for title in (None, HOSTILE):
        screen = text.plain(text.first_screen(hostile(), title=title))
        assert not CONTROL.search(screen)
        assert "[link=http://e]" in screen
        assert len(screen.splitlines()) == len(text.first_screen(hostile()))


def test_hostile_names_stay_text_in_colour() -> None:
    stream = io.StringIO()
    show(text.first_screen(hostile(), title=HOSTILE), stream, color=True)
    without_colour = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
    assert not CONTROL.search(without_colour)
    assert without_colour.rstrip() == text.plain(text.first_screen(hostile(), title=HOSTILE)).rstrip()
    assert "\x1b[1m" in stream.getvalue()


def test_a_long_name_does_not_move_the_columns() -> None:
    lines = shown(summary(rows=(row("x" * 500, wall_ns=1), row("read", wall_ns=2))))
    assert max(map(len, lines[2:6])) <= table.MAX_NAME + 70


def test_plain_output_needs_no_rich() -> None:
    code = (
        "import sys; from straced.views.text import summary, terminal; "
        "from straced.views import json_output; print('rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30 * PACE, check=True)
    assert done.stdout == "False\n"


def test_json_is_one_object_and_ndjson_one_a_line() -> None:
    value = summary(rows=(row("read", None, errors=None),))
    read = json.loads(json_output.one(value))
    assert read["schema"] == "straced.summary/1"
    assert (
        read["syscalls"][0] | {"name": "read", "class": "other", "calls": None, "errors": None} == read["syscalls"][0]
    )
    assert read["quality"]["overhead"] == {"pct": 0.8, "basis": "calibrated", "ns_per_call": None}
    lines = "".join(json_output.lines([value, hostile()])).splitlines()
    assert [json.loads(each)["target"]["pid"] for each in lines] == [4242, 1]
    assert json.loads(lines[1])["target"]["comm"] == HOSTILE

"""Which rows the frames for programs have.

Of `commands/top.py`.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.commands.top.test_terminal import run
from tests.commands.top.test_terminal_keys import named


def test_a_filter_and_a_limit_hold_for_json_too(tmp_path: Path) -> None:
    with named(tmp_path, "some-alpha", "some-beta") as targets:
        words = ["--json", "--once", "--tracer", "none", "-i", "100ms", *(str(each.pid) for each in targets)]
        for more, expected in (("--filter=some-beta",), "some-beta"), (("-n1", "--sort=name"), "some-alpha"):
            found = json.loads(run(*words, *more).stdout)["processes"]
            assert [each["comm"] for each in found] == [expected]

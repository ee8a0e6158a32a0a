"""Stage every scenario many times, ask why, and count: ``make field``, or this file with PYTHONPATH=.:tests/waits."""

from __future__ import annotations

import argparse
import collections
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import field_scenarios  # noqa: F401, registers them
import pytest
from field_judge import GRADES, ask, worst
from field_world import SCENARIOS, Field
from tests.support.needs import missing
from why_world import World, build_roles

from straced.linux import procfs

Counted = collections.Counter[str]


@contextlib.contextmanager
def hogs(count: int) -> Iterator[None]:
    """Programs that take a CPU each, for as long as this lasts."""
    busy = [subprocess.Popen([sys.executable, "-I", "-S", "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def run(runs: int, names: list[str], duration_s: float) -> dict[str, Counted]:
    """Scenario -> how often the answer was of each grade; what was not right is said."""
    found: dict[str, Counted] = {}
    with tempfile.TemporaryDirectory(prefix="straced-") as directory:
        roles = build_roles(Path(directory))
        with Field(roles) as field:
            for name in names:
                lacking = [text for need in SCENARIOS[name].needs if (text := missing(need))]
                found[name] = collections.Counter()
                for number in range(runs):
                    place = Path(directory) / f"{name}-{number}"
                    place.mkdir()
                    word, text = ("not staged", lacking[0]) if lacking else _once(name, field, place, roles, duration_s)
                    found[name][word] += 1
                    if word != "right" and not lacking:
                        print(f"  {name} {word}: {text}", flush=True)
    return found


def _once(name: str, field: Field, place: Path, roles: Path, duration_s: float) -> tuple[str, str]:
    try:
        with World(place, roles) as world:
            staged = SCENARIOS[name].stage(field, world)
            truths = staged if isinstance(staged, list) else [staged]
            graded = [ask(truth, duration_s) for truth in truths]
    except pytest.skip.Exception as lacking:
        return "not staged", str(lacking)
    except (OSError, RuntimeError, subprocess.SubprocessError, procfs.Gone) as error:
        return "not staged", repr(error)
    word = worst([word for word, _ in graded])
    return word, " | ".join(text for each, text in graded if each == word)


def table(found: dict[str, Counted]) -> str:
    """The counts as text, a line for each scenario and one for all."""
    lines = [f"{'scenario':<44}" + "".join(f"{word:>12}" for word in GRADES)]
    total = sum(found.values(), collections.Counter())
    for name, counted in [*found.items(), (f"{len(found)} scenarios", total)]:
        lines.append(f"{name:<44}" + "".join(f"{counted[word]:>12,}" for word in GRADES))
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--runs", type=int, default=10)
    parser.add_argument("-d", "--duration", type=float, default=0.5, help="seconds to watch")
    parser.add_argument(
        "--hogs", type=int, default=os.cpu_count() or 2, help="busy programs beside, in the second half"
    )
    parser.add_argument("scenarios", nargs="*", default=[])
    options = parser.parse_args()
    names = options.scenarios or list(SCENARIOS)
    wrong = 0
    for beside in dict.fromkeys((0, options.hogs)):
        print(f"== {beside} busy programs beside", flush=True)
        with hogs(beside):
            found = run(options.runs, names, options.duration)
        print(table(found), flush=True)
        wrong += sum(found.values(), collections.Counter())["wrong"]
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

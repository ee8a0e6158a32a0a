"""Stage every situation many times, ask why, and count: python tests/waits/soak.py [-n RUNS] [STAGE...]"""

from __future__ import annotations

import argparse
import collections
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))  # started as a script, by a user or in a namespace: `tests` lies there

import why_more_stages  # noqa: F401, registers its stages
import why_net_stages  # noqa: F401, registers its stages
from why_grade import grade
from why_stages import STAGES
from why_world import World, build_roles, yama_root

from straced.waits.process import why_process

GRADES = ("right", "unknown", "wrong", "not staged")
Counted = collections.Counter[str]
Say = Callable[[str], None]


def soak(
    runs: int, names: Iterable[str] = (), *, duration_s: float = 0.1, yama: bool = False, say: Say = print
) -> dict[str, Counted]:
    """Situation -> how often the answer was right, unknown or wrong; what was not right is said.

    Args:
        runs: how often each situation is staged anew.
        names: which situations; all by default.
        duration_s: how long each answer watches.
        yama: refuse what Yama's ptrace_scope 1 refuses.
        say: takes the lines about answers that are not right.
    """
    found: dict[str, Counted] = {}
    # The name of a unix socket has room for 107 bytes: a test's own directory would be too long.
    with tempfile.TemporaryDirectory(prefix="straced-", dir="/tmp") as directory:
        program = build_roles(Path(directory))
        for name in names or STAGES:
            found[name] = collections.Counter()
            for run in range(runs):
                place = Path(directory) / f"{name}-{run}"
                place.mkdir()
                word, text = _once(name, place, program, duration_s, yama)
                found[name][word] += 1
                if word != "right":
                    say(f"  {name} {word}: {text}")
    return found


def _once(name: str, place: Path, program: Path, duration_s: float, yama: bool) -> tuple[str, str]:
    try:
        with World(place, program) as world:
            stage = STAGES[name](world)
            root = yama_root(place / "proc", *stage.pids) if yama else "/proc"
            why = why_process(stage.target, int(duration_s * 1e9), root=root)
            return grade(stage, why, may_say_less=yama)
    except (OSError, RuntimeError) as error:
        return "not staged", repr(error)


def table(found: dict[str, Counted]) -> str:
    """The counts as text, a line for each situation and one for all."""
    lines = [f"{'situation':<32}" + "".join(f"{word:>12}" for word in GRADES)]
    total = sum(found.values(), collections.Counter())
    for name, counted in [*found.items(), (f"{len(found)} situations", total)]:
        lines.append(f"{name:<32}" + "".join(f"{counted[word]:>12,}" for word in GRADES))
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--runs", type=int, default=20)
    parser.add_argument("-d", "--duration", type=float, default=0.1, help="seconds to watch")
    parser.add_argument("--yama", action="store_true", help="refuse what Yama's ptrace_scope 1 refuses")
    parser.add_argument("stages", nargs="*", default=[])
    options = parser.parse_args()
    found = soak(options.runs, options.stages, duration_s=options.duration, yama=options.yama)
    print(table(found))
    total = sum(found.values(), collections.Counter())
    return 1 if total["wrong"] or total["not staged"] else 0


if __name__ == "__main__":
    sys.exit(main())

"""Stage every situation many times, ask why, and count: python tests/why/soak.py [-n RUNS] [STAGE...]"""

from __future__ import annotations

import argparse
import collections
import sys
import tempfile
from pathlib import Path

import why_more_stages  # noqa: F401, registers its stages
import why_net_stages  # noqa: F401, registers its stages
from why_grade import grade
from why_stages import STAGES, Stage
from why_world import World, build_roles, yama_root

from straced.waits.answer import why_process


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--runs", type=int, default=20)
    parser.add_argument("-d", "--duration", type=float, default=0.1, help="seconds to watch")
    parser.add_argument("--yama", action="store_true", help="refuse what Yama's ptrace_scope 1 refuses")
    parser.add_argument("-v", "--verbose", action="store_true")
    parser.add_argument("stages", nargs="*", default=[])
    options = parser.parse_args()
    totals: collections.Counter[str] = collections.Counter()

    def root(place: Path, stage: Stage) -> str:
        return yama_root(place / "proc", *stage.pids) if options.yama else "/proc"

    with tempfile.TemporaryDirectory() as directory:
        program = build_roles(Path(directory))
        for name in options.stages or STAGES:
            counted: collections.Counter[str] = collections.Counter()
            for run in range(options.runs):
                place = Path(directory) / f"{name}-{run}"
                place.mkdir()
                try:
                    with World(place, program) as world:
                        stage = STAGES[name](world)
                        why = why_process(stage.target, int(options.duration * 1e9), root=root(place, stage))
                        word, text = grade(stage, why, may_say_less=options.yama)
                except (OSError, RuntimeError) as error:
                    word, text = "not staged", repr(error)
                counted[word] += 1
                if word != "right" or options.verbose:
                    print(f"  {name} {word}: {text}", flush=True)
            totals += counted
            print(f"{name:24} {dict(counted)}", flush=True)
    print(f"{sum(totals.values())} runs of {len(options.stages or STAGES)} situations: {dict(totals)}")
    return 1 if totals["wrong"] or totals["not staged"] else 0


if __name__ == "__main__":
    sys.exit(main())

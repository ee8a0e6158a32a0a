"""Lay what the verbs wrote beside what they write, in real terminals: ``text_sheets.py docs/img``.

``text_sheets.py --take FOLDER`` keeps what the version on the path writes; docs/img/before/verbs has that of the one
before. Needs root, eBPF, strace, tmux and a C compiler.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HOME), str(HOME / "scripts")]

from busy_machine import busy_machine, runs  # noqa: E402
from page_pictures import traced_build  # noqa: E402
from page_sheets import ALERTS  # noqa: E402
from screens import DARK, LIGHT  # noqa: E402
from sheet_parts import screen, write_svg  # noqa: E402
from sheets import LIMIT_S, TOPS  # noqa: E402
from tests.commands.top.test_terminal import Terminal  # noqa: E402
from tests.service.daemon import Daemon  # noqa: E402
from tests.support.poll import until  # noqa: E402

import straced  # noqa: E402

VERBS = {
    "why": "why {lock}",
    "doctor": "doctor",
    "history": "history",
    "events": "events -n 14",
    "attach": "attach {client} -d 3s",
    "run": "run -- make -s -B part1.o part2.o",
    "diff": "diff before.json after.json",
    "status": "status",
    "report": "report build.strace",
}
SOURCES = 5
"""Files that the build compiles."""
MOST_LINES = 60
"""Lines that are kept of each; what is longer scrolls."""
ELSEWHERE = "/opt/straced"
"""Stands for the place of this checkout."""
STRACED = [sys.executable, "-m", "straced"]
PACKAGE = str(Path(straced.__file__).parents[1])


@contextlib.contextmanager
def scene(scratch: Path) -> Iterator[tuple[dict[str, int], Path, dict[str, str]]]:
    """Processes by name, a folder with a trace and two counts of a build, and the service that watches all that."""
    build = traced_build(scratch / "build", SOURCES).parent
    for name, words in (("before", ["-B"]), ("after", [])):
        counted = [*STRACED, "run", "--json", "-o", f"{name}.json", "--", "make", "-s", *words]
        subprocess.run(counted, cwd=build, check=True, stdin=subprocess.DEVNULL)
    with busy_machine() as pid:
        lock, client = runs(pid, "flock lock true"), runs(pid, "python3 client.py")
        assert lock is not None
        assert client is not None
        (scratch / "service").mkdir()
        rules = f'tracer = "ebpf"\n{ALERTS}[[watch]]\ntarget = "{pid}"\nlabels = {{job = "services"}}\n'
        daemon = Daemon(scratch / "service", rules, interval="1s").start(PYTHONPATH=PACKAGE)
        try:
            env = {"STRACED_SOCKET": str(daemon.socket)}
            until(lambda: written(["events", "--alerts"], env).strip(), LIMIT_S, "an alert", pause_s=1.0)
            until(lambda: "python" in written(["history"], env), LIMIT_S, "some history", pause_s=1.0)
            yield {"lock": lock, "client": client}, build, env
        finally:
            daemon.stop()


def written(words: list[str], env: dict[str, str]) -> str:
    """What a verb writes where no terminal is."""
    return subprocess.run([*STRACED, *words], env={**os.environ, **env}, capture_output=True, text=True).stdout


def typed(place: Path, folder: Path, words: str, size: tuple[int, int], env: dict[str, str]) -> str:
    """What a terminal shows of a verb that is typed in a folder, from the prompt to its end."""
    place.mkdir()
    shown, over = Terminal(place / "tmux"), place / "over"
    sets = " ".join(f"{name}={shlex.quote(value)}" for name, value in env.items())
    line = (
        f"echo '$ straced {words}'; env {sets} {shlex.join(STRACED)} {words}; touch {shlex.quote(str(over))}; exec cat"
    )
    measures = ["-x", str(size[0]), "-y", str(size[1])]
    shown.tmux("new-session", "-d", *measures, "-s", "t", "-c", str(folder), "sh", "-c", line)
    try:
        until(over.exists, LIMIT_S, shown.screen, pause_s=0.05)
        captured = shown.tmux("capture-pane", "-e", "-p", "-S", "-", "-t", "t").rstrip()
        # where this checkout stands is nobody's business
        return "\n".join(captured.replace(str(HOME), ELSEWHERE).splitlines()[:MOST_LINES]) + "\n"
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            shown.tmux("kill-server")


def take(folder: Path) -> None:
    """Keep what all of them write, in each terminal."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, scene(Path(scratch)) as (pids, build, env):
        for name, (size, colours) in TOPS.items():
            for verb, words in VERBS.items():
                place = Path(scratch) / f"{verb}-{name}"
                said = typed(place, build, words.format(**pids), size, {**env, **colours})
                (folder / f"{verb}-{name}.ansi").write_text(said, encoding="utf-8")
            print(f"verbs, {name}", flush=True)


def lay_out(before: Path, after: Path, folder: Path) -> None:
    """Make the sheets: one a width, dark and light, and one of the other colours."""
    both = (("before", before), ("after", after))
    widths = [
        (f"text-{name}", [(name, "dark", DARK), (name, "light", LIGHT)]) for name in ("80x24", "120x40", "200x55")
    ]
    plain = ("text-colours", [("16-colours", "16 colours", DARK), ("no-color", "NO_COLOR", DARK)])
    for file, kinds in (*widths, plain):
        lines = []
        for verb, words in VERBS.items():
            for name, word, theme in kinds:
                paths = [(when, at / f"{verb}-{name}.ansi") for when, at in both]
                sizes = [(TOPS[name][0][0], len(path.read_text(encoding="utf-8").splitlines())) for _, path in paths]
                title = f"{words.partition(' ')[0]}, {TOPS[name][0][0]} columns, {word}"
                lines.append(
                    [
                        screen(f"{when}: {title}", path, size, theme)
                        for (when, path), size in zip(paths, sizes, strict=True)
                    ]
                )
        write_svg(folder / f"{file}.svg", lines)


if __name__ == "__main__":
    if sys.argv[1] == "--take":
        take(Path(sys.argv[2]))
    else:
        images = Path(sys.argv[1])
        with tempfile.TemporaryDirectory() as now:
            take(Path(now))
            lay_out(images / "before/verbs", Path(now), images / "before-and-after")

"""Ways to break the strace tracer that the suite must notice: one textual change each, in a copy of the source."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import straced


@dataclass(frozen=True)
class Mutant:
    """A change that must apply, and must be killed."""

    name: str
    file: str
    pattern: str
    """A regular expression; every match is replaced, and there must be ``matches`` of them."""
    replacement: str
    matches: int = 1


MUTANTS = [
    Mutant("the summary flag is bogus", "tracers/strace/tracer.py", r'"-c"\]', '"--bogus"]'),
    Mutant("threads are not followed", "tracers/strace/tracer.py", r'\["-f"\] if follow_tasks else \[\]', "[]"),
    Mutant(
        "SIGINT is SIGCONT",
        "tracers/strace/guard/helper.py",
        r"kernel\.send\(self\.pidfd, signal\.SIGINT\)",
        "kernel.send(self.pidfd, signal.SIGCONT)",
        matches=2,
    ),
    Mutant(
        "the attachment is not confirmed",
        "tracers/strace/attachment.py",
        r"(        await self\._start\(targets\)\n)",
        r"\1        return Coverage(traced=1, seen=1, complete=True)\n",
    ),
]


def copy_source(folder: Path, mutant: Mutant | None) -> Path:
    """Copy the straced under test into ``folder``, changed by ``mutant``; what to put on PYTHONPATH."""
    original = Path(straced.__file__).parent
    shutil.copytree(original, folder / "straced")
    if mutant is not None:
        path = folder / "straced" / mutant.file
        text, count = re.subn(mutant.pattern, mutant.replacement, path.read_text())
        assert count == mutant.matches, f"{mutant.name}: {count} matches in {mutant.file}, not {mutant.matches}"
        path.write_text(text)
    return folder

"""Set the version wherever it stands, and collect the news: ``make release VERSION=1.2.3``."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLACES = {
    "src/straced/_version.py": r'^__version__ = "(.*)"$',
    "pyproject.toml": r'^\[project\]\nname = "straced"\nversion = "(.*)"$',
    "packaging/conda/recipe.yaml": r"^context:\n  version: (.*)$",
    "uv.lock": r'^name = "straced"\nversion = "(.*)"$',
}
"""Where the version stands, by the line that has it."""


def versions() -> dict[str, str]:
    """The version that each place has."""
    return {name: _found(name, (ROOT / name).read_text())[1] for name in PLACES}


def written(name: str, text: str, version: str) -> str:
    """The text of a file with another version."""
    found = _found(name, text)
    return text[: found.start(1)] + version + text[found.end(1) :]


def _found(name: str, text: str) -> re.Match[str]:
    (found,) = re.finditer(PLACES[name], text, re.MULTILINE)
    return found


def main() -> int:
    """Do it, and say what is left to do."""
    if len(sys.argv) != 2 or not re.fullmatch(r"\d+\.\d+\.\d+", sys.argv[1]):
        raise SystemExit("give the version: make release VERSION=1.2.3")
    version = sys.argv[1]
    for name in PLACES:
        path = ROOT / name
        path.write_text(written(name, path.read_text(), version))
    subprocess.run(["towncrier", "build", "--yes", "--version", version], cwd=ROOT, check=True)
    print(f"now {version}: read CHANGELOG.md, and go on with the checklist of CONTRIBUTING.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())

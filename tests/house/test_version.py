"""The version that the program tells is the one that is built and published."""

from __future__ import annotations

import tomllib
from pathlib import Path

import straced

ROOT = Path(__file__).parents[2]


def test_the_project_has_the_same_version() -> None:
    assert straced.__version__ == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

"""A store of settings in one file."""

from __future__ import annotations

import json
from pathlib import Path


def save(path: Path, settings: dict[str, str]) -> None:
    """Write all settings at once."""
    path.write_text(json.dumps(settings))


def load(path: Path) -> dict[str, str]:
    """Read them."""
    settings: dict[str, str] = json.loads(path.read_text())
    return settings

"""Runs inside a booted kernel: each check prints one JSON line. ``python -m tests.kernels.guest REFUSED CHECK...``

REFUSED is empty where eBPF is expected to serve, else some words of why it cannot.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

from tests.kernels import flights, lifecycles, recorded, recordings, rings, systemd_unit, told, verbs, wakes
from tests.kernels.checks import CHECKS

__all__ = ["flights", "lifecycles", "recorded", "recordings", "rings", "systemd_unit", "told", "verbs", "wakes"]
"""They register their checks."""


def main() -> None:
    """Run the checks that are named."""
    refused = sys.argv[1]
    logging.basicConfig(format="%(message)s")  # why a verifier refuses is in no other place
    for name in sys.argv[2:]:
        began = time.monotonic()
        try:
            result: dict[str, Any] = {"ok": True, "said": CHECKS[name](refused)}
        except Exception as error:
            result = {"ok": False, "said": f"{type(error).__name__}: {error}"[:1500]}
        print(json.dumps({"check": name, **result, "seconds": round(time.monotonic() - began, 1)}), flush=True)


if __name__ == "__main__":
    main()

"""How much longer than elsewhere everything may take in this run."""

from __future__ import annotations

import os

PACE = float(os.environ.get("STRACED_TEST_PACE", "1"))
"""A run that has only the CPU time that others leave (``beside.py``) waits longer, and is not wrong for that."""

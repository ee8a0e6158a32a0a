"""The loggers of the package. A library stays silent until its user configures logging (NullHandler)."""

from __future__ import annotations

import logging

logger = logging.getLogger("straced")
logger.addHandler(logging.NullHandler())

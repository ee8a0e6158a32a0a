"""What can be the length of an interval."""

from __future__ import annotations

import math

from straced.errors import InvalidArgument


def check_interval(seconds: float) -> None:
    """Raise InvalidArgument for what cannot be the length of an interval."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds < math.inf:
        raise InvalidArgument(f"{seconds!r} is not an interval", hint="seconds, more than 0")

"""How much slower tracing makes a target: the measured cost of a traced call times the calls."""

from __future__ import annotations

from straced.model.types import Overhead

LEAST_UNTRACED = 0.05
"""Where calls times their cost leave less than this of the window, the slowdown is told as ``at_least`` 19-fold."""


def estimate(calls: int, cost_ns: int, duration_ns: int, lanes: int = 1) -> Overhead:
    """The slowdown against the time that the target would have taken without a tracer.

    Args:
        lanes: how many of its threads can have run, and paid, at once.
    """
    if duration_ns <= 0:
        return Overhead(pct=None, basis="unknown", ns_per_call=cost_ns)
    window_ns = duration_ns * lanes
    added_ns = calls * cost_ns
    untraced_ns = window_ns - added_ns
    if untraced_ns < window_ns * LEAST_UNTRACED:
        # So near to all of the window that the factor hangs on the noise of both measurements.
        return Overhead(
            pct=round(100 * (1 - LEAST_UNTRACED) / LEAST_UNTRACED, 1), basis="at_least", ns_per_call=cost_ns
        )
    return Overhead(pct=round(100 * added_ns / untraced_ns, 3), basis="calibrated", ns_per_call=cost_ns)

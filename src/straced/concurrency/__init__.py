"""Cancellation, ownership and pacing of coroutines: one rule for the public API."""

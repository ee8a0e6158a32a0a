"""Limits of the host that hold a process back: of its control groups, of itself, and what the OOM killer did."""

"""Profiler and Session: pick a tracer, own sessions, add segments up."""

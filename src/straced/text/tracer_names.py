"""The names of tracers as they are written for people."""

from __future__ import annotations

_WRITTEN = {"ebpf": "eBPF"}


def tracer_name(tracer: str) -> str:
    """``eBPF`` for ``ebpf``; the others are written as they are typed."""
    return _WRITTEN.get(tracer, tracer)

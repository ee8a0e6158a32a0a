"""The guard: a small process that runs the straces of one owner and outlives it just long enough.

The files of this folder run in a process of their own, started as ``python -I -S .../guard/__main__.py``. They
import the standard library and each other only, by bare names, so that the guard is up within milliseconds and
does not depend on what is installed. The owner's side is :mod:`straced.tracers.strace.guard_client`.
"""

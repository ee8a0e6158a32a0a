"""Why is it stuck, and who holds it up? Waits, holders, chains and the verdict, from /proc and sock_diag alone.

:func:`straced.why` and :func:`straced.why_all` are the doors (``api.py``); the words are views of their values.
"""

"""Entry of the guard process: ``__main__.py CONTROL_FD OWNER_PIDFD``."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import loop

loop.main(int(sys.argv[1]), int(sys.argv[2]))

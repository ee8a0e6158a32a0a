"""``python -m tests.kernels.slice``: the kernel of the suite, its results as one JSON object."""

from __future__ import annotations

import json

from tests.kernels.catalogue import BY_NAME, SLICE
from tests.kernels.packages import NotToBeHad
from tests.kernels.suite import measure

SECONDS = 420.0
"""The machine may work so long: beside the tests, it has not a CPU of its own."""


def main() -> None:
    """Boot it and measure."""
    try:
        found = measure(BY_NAME[SLICE], small=True, seconds=SECONDS)
    except NotToBeHad as error:
        found = {"missing": str(error)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()

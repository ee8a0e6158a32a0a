"""Numbers and names in the few cells that a column has. Unknown is ``-``."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size

BARS = " ▁▂▃▄▅▆▇█"
"""Eighths of a cell."""


def fit(text: str, width: int, *, right: bool = False) -> str:
    """Exactly ``width`` cells, however wide the characters are; what is cut ends in ``…``."""
    if width <= 0:
        return ""
    size = cell_len(text)
    if size > width:
        return set_cell_size(text, width - 1) + "…"
    return " " * (width - size) + text if right else text + " " * (width - size)


def rate(value: float | None) -> str:
    """Events a second: ``0``, ``0.4``, ``12``, ``12,034``, ``1.2M``."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    if value < 0.05:
        return "<0.1"
    if value < 9.95:
        return f"{value:.1f}"
    if value < 999_999.5:
        return f"{value:,.0f}"
    return f"{value / 1e6:.1f}M" if value < 9.995e8 else f"{value / 1e9:.1f}G"


def short_rate(value: float | None) -> str:
    """The same in five cells: ``9,999``, ``12k``."""
    text = rate(value)
    return text if len(text) <= 5 or value is None else f"{value / 1e3:.0f}k"


def share(value: float | None) -> str:
    """Percent in four cells: ``0``, ``0.4``, ``12``, ``1234``."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    if value < 0.05:
        return "<0.1"
    return f"{value:.1f}" if value < 9.95 else f"{value:.0f}"


def size(value: int | None) -> str:
    """Bytes in five cells (powers of 1000): ``999``, ``1.6M``, ``25G``."""
    if value is None:
        return "-"
    amount = float(value)
    for unit in ("", "k", "M", "G"):
        if amount < 999.5:
            return f"{amount:.0f}{unit}" if not unit or amount >= 9.95 else f"{amount:.1f}{unit}"
        amount /= 1000
    return f"{amount:.1f}T"


def sparkline(values: tuple[float, ...], width: int) -> str:
    """The last ``width`` values as bars, the highest of them seven eighths, so that lines below each other stay apart.

    A value above zero is higher than one of zero.
    """
    last = values[-width:]
    highest = max(last, default=0.0)
    if highest <= 0:
        return fit(BARS[1] * len(last), width, right=True)
    bars = "".join(BARS[max(2, round(7 * value / highest))] if value > 0 else BARS[1] for value in last)
    return fit(bars, width, right=True)

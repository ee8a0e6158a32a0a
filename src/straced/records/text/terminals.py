"""What ioctl(2) tells of terminals."""

from __future__ import annotations

import struct

from straced.records.text.flags import Named, flags, one_of
from straced.records.text.structures import Decoder
from straced.records.text.tables import constants

_DELAYS = (("NL", 0x100), ("CR", 0x600), ("TAB", 0x1800), ("BS", 0x2000), ("VT", 0x4000), ("FF", 0x8000))
_SPEED, _SIZE, _INPUT_SHIFT = 0x100F, 0x30, 16


def _of_output(abi: str) -> Named:
    names = {value: name for value, name in constants(abi)["terminal_delay"] if value}
    words = flags(constants(abi)["terminal_output"], "", zero="")
    masks = sum(mask for _, mask in _DELAYS)

    def text(value: int) -> str:
        parts = [names.get(value & mask, f"{kind}0") for kind, mask in _DELAYS]
        return "|".join([*parts, words(value & ~masks)])

    return text


def _of_line(abi: str) -> Named:
    speeds = one_of(constants(abi)["terminal_speed"], "B???")
    words = flags(constants(abi)["terminal_control"], "", zero="")

    def text(value: int) -> str:
        given = value >> _INPUT_SHIFT & _SPEED
        parts = [speeds(value & _SPEED), *([f"{speeds(given)}<<IBSHIFT"] if given else [])]
        rest = value & ~(_SPEED | _SPEED << _INPUT_SHIFT | _SIZE)
        return "|".join([*parts, f"CS{5 + (value & _SIZE) // 0x10}", words(rest)])

    return text


def settings(abi: str, shape: str) -> Decoder:
    """Make the decoder of a ``struct termios`` (``=4I``) or ``termio`` (``=4H``)."""
    table = constants(abi)
    received = flags(table["terminal_input"], "", zero="")
    local = flags(table["terminal_local"], "", zero="")
    sent, line = _of_output(abi), _of_line(abi)

    def text(data: bytes) -> str:
        values = struct.unpack_from(shape, data)
        words = zip("iocl", (received, sent, line, local), values, strict=True)
        return f"{{{', '.join(f'c_{letter}flag={name(value)}' for letter, name, value in words)}, ...}}"

    return text


def window(data: bytes) -> str:
    """A ``struct winsize``."""
    rows, columns, width, height = struct.unpack_from("=4H", data)
    return f"{{ws_row={rows}, ws_col={columns}, ws_xpixel={width}, ws_ypixel={height}}}"

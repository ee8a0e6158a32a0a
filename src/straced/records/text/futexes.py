"""futex(2): what its arguments are depends on the operation."""

from __future__ import annotations

from straced.records.text import kinds
from straced.records.text.flags import one_of
from straced.records.text.memory import left_out, structure
from straced.records.text.processes import Process
from straced.records.text.tables import constants
from straced.records.values import Record


def locking(abi: str) -> kinds.Whole:
    """futex(2): what follows depends on the operation."""
    names = one_of(constants(abi)["futex"], "FUTEX_???")
    until = structure(3, "timespec", left_out("{...}"))
    signed = kinds.signed

    def texts(record: Record, process: Process) -> list[str]:
        address, operation, value, third, second_address, last = record.args[:6]
        command = operation & 0x7F
        word = names(command)
        word += "_PRIVATE" if operation & 0x80 and "/*" not in word else ""
        word += "|FUTEX_CLOCK_REALTIME" if operation & 0x100 else ""
        found = [kinds.pointer(address, record, process), word]
        plain = signed(value, record, process) if command in (1, 3, 4, 5, 10, 12) else str(value & 0xFFFFFFFF)
        if command in (0, 6, 11, 13):
            timeout = until(third, record, process)
            if command in (6, 13):
                return [*found, timeout]
            return [
                *found,
                plain,
                timeout,
                *([kinds.pointer(second_address, record, process)] if command == 11 else []),
            ]
        if command == 9:
            return [*found, plain, until(third, record, process), _bitset(last)]
        if command == 1:
            return [*found, plain]
        if command == 10:
            return [*found, plain, _bitset(last)]
        if command in (7, 8):
            return found
        if command in (3, 4, 12):
            found += [plain, signed(third, record, process), kinds.pointer(second_address, record, process)]
            return found if command == 3 else [*found, str(last & 0xFFFFFFFF)]
        if command == 5:
            found += [plain, signed(third, record, process), kinds.pointer(second_address, record, process)]
            return [*found, f"{last & 0xFFFFFFFF:#x}"]
        return [*found, *(kinds.hexadecimal(each, record, process) for each in record.args[2:6])]

    return texts


def _bitset(value: int) -> str:
    value &= 0xFFFFFFFF
    return "FUTEX_BITSET_MATCH_ANY" if value == 0xFFFFFFFF else f"{value:#x}"

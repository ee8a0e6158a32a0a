"""Arguments that lead to what a call was given and has changed: lengths, offsets, times."""

from __future__ import annotations

from collections.abc import Callable

from straced.records.text.addresses import address_text
from straced.records.text.kinds import FAULT, Formatter, failed, pointer
from straced.records.text.memory import left_out, structure
from straced.records.text.messages import message
from straced.records.text.processes import Process
from straced.records.text.structures import timespec
from straced.records.values import GIVEN_PLACE, Record

_TIME_BYTES = 16


def time_left(index: int) -> Formatter:
    """What an interrupted sleep had left; strace shows the address unless a signal ended it."""
    found = structure(index, "timespec", left_out("{...}"))

    def text(value: int, record: Record, process: Process) -> str:
        return (found if record.result in (-4, -516) else pointer)(value, record, process)

    return text


def time_asked(index: int) -> Formatter:
    """How long a sleep was to be. What it had left may be in the same place, where a signal ended it."""
    left = left_out("{...}")

    def text(value: int, record: Record, process: Process) -> str:
        blob = record.blobs.get(index + GIVEN_PLACE)
        if blob is None and (not failed(record) or record.args.count(value) == 1):
            blob = record.blobs.get(index)
        if blob is None or blob.unread or len(blob.data) < _TIME_BYTES:
            return left(value, record, process)
        return timespec(blob.data)

    return text


def offset_moved(index: int) -> Formatter:
    """A position that is given and moved: ``[0] => [10]``."""
    after = structure(index, "offset", left_out("[...]"))
    before = structure(index + GIVEN_PLACE, "offset", left_out("[...]"))

    def text(value: int, record: Record, process: Process) -> str:
        first = before(value, record, process)
        if not value or failed(record) or first == "[...]":
            return first
        return f"{first} => {after(value, record, process)}" if record.result else first

    return text


def address(index: int, *, filled: bool) -> Formatter:
    def text(value: int, record: Record, process: Process) -> str:
        blob = record.blobs.get(index)
        if blob is None or blob.unread or (filled and failed(record)):
            return pointer(value, record, process)
        room = given_number(index + 1, record) if filled else None
        return address_text(blob.data[:room]) or pointer(value, record, process)

    return text


def given_number(index: int, record: Record) -> int | None:
    """The int that an argument pointed to when the call began; ``None`` where that was not read."""
    blob = record.blobs.get(GIVEN_PLACE + index)
    return int.from_bytes(blob.data[:4], "little", signed=True) if blob is not None and len(blob.data) >= 4 else None


def length_out(index: int) -> Formatter:
    """The length of the address or the value before it, before and after: an int that is given and filled in."""

    def text(value: int, record: Record, process: Process) -> str:
        if not value or not record.args[index - 1] or record.result == FAULT:
            return pointer(value, record, process)
        before, own, blob = given_number(index, record), record.blobs.get(index), record.blobs.get(index - 1)
        after = before if failed(record) else None
        if own is not None and not own.unread:
            after = int.from_bytes(own.data[:4], "little", signed=True)
        elif not failed(record) and blob is not None and not blob.unread and not blob.cut:
            after = len(blob.data)
        if before is None or after is None:
            return "[...]"
        return f"[{before}]" if before == after else f"[{before} => {after}]"

    return text


BY_ABI: dict[str, Callable[[int, str], Formatter]] = {
    "address_in": lambda index, abi: address(index, filled=False),
    "address_out": lambda index, abi: address(index, filled=True),
    "timespec_left": lambda index, abi: time_left(index),
    "timespec_asked": lambda index, abi: time_asked(index),
    "offset_moved": lambda index, abi: offset_moved(index),
    "length_out": lambda index, abi: length_out(index),
    "message_sent": lambda index, abi: message(index, abi, received=False),
    "message_out": lambda index, abi: message(index, abi, received=True),
}
"""What makes the formatter of an argument, of its number and the ABI, by the name of its kind."""

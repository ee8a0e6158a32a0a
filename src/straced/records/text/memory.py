"""How arguments are printed that are addresses of something: strings, structures, arrays.

A structure that the record does not hold is ``{...}``, an array or an int ``[...]``: as strace writes what it
leaves out.
Where strace would have shown an address, so does this: the call failed, or the memory could not be read.
"""

from __future__ import annotations

from collections.abc import Callable

from straced.records.text.decoders import decoder_of, left_out_shape
from straced.records.text.kinds import FAULT, Formatter, failed, pointer
from straced.records.text.processes import Process
from straced.records.text.quoting import quoted
from straced.records.values import GIVEN_PLACE, Blob, BlobKind, Record


def path(index: int) -> Formatter:
    def text(value: int, record: Record, process: Process) -> str:
        blob = record.blobs.get(index)
        if blob is None or blob.unread:
            return pointer(value, record, process)
        return quoted(blob.data, blob.cut)

    return text


def path_out(index: int) -> Formatter:
    at = path(index)
    return lambda value, record, process: (pointer if failed(record) else at)(value, record, process)


def bytes_in(length: int) -> Formatter:
    """Bytes that are not recorded: whether there were any is told by another argument."""

    def text(value: int, record: Record, process: Process) -> str:
        if not value or record.result == FAULT:
            return pointer(value, record, process)
        return '""...' if record.args[length] else '""'

    return text


def bytes_out(value: int, record: Record, process: Process) -> str:
    if not value or failed(record):
        return pointer(value, record, process)
    return '""...' if record.result else '""'


def left_out(shape: str, *, filled: bool = False, positive: bool = False, counted: int | None = None) -> Formatter:
    """What is not recorded, by its shape.

    Args:
        filled: by the call, and not if it failed.
        positive: filled only if the call returned more than 0.
        counted: the number of the argument that says how many elements there are.
    """

    def text(value: int, record: Record, process: Process) -> str:
        if not value or record.result == FAULT or (filled and failed(record)) or (positive and not record.result):
            return pointer(value, record, process)
        return "[]" if counted is not None and not record.args[counted] & 0xFFFFFFFF else shape

    return text


def structure(index: int, kind: str, otherwise: Formatter, abi: str = "x86_64") -> Formatter:
    """What the record holds where it does; what it does not is printed otherwise.

    Args:
        index: of the argument; with GIVEN_PLACE, what the call was given there.
        kind: a name of decoders.py.
        otherwise: prints what is not held.
        abi: whose structure it is.

    Raises:
        ValueError: there is no such kind.
    """
    found = decoder_of(kind, abi)
    if found is None:
        raise ValueError(kind)
    needed, decode = found

    def text(value: int, record: Record, process: Process) -> str:
        blob = record.blobs.get(index)
        if blob is None or blob.unread or len(blob.data) < needed or is_overwritten(blob, value, record):
            return otherwise(value, record, process)
        if blob.kind is BlobKind.BYTES_OUT and failed(record):
            return pointer(value, record, process)
        return decode(blob.data)

    return text


def is_overwritten(blob: Blob, value: int, record: Record) -> bool:
    """Whether a structure that was given has another one in its place by now: one address for both."""
    return blob.kind is BlobKind.BYTES_IN and not failed(record) and record.args.count(value) > 1


def held(kind: str, index: int, abi: str) -> Formatter | None:
    """The formatter of a structure by its kind: ``NAME_in``, ``NAME_out``, ``NAME_success``, ``NAME_given``.

    Args:
        kind: of the argument; ``None`` is returned of what is no structure that records may hold.
        index: of the argument.
        abi: whose structure it is.
    """
    name, _, role = kind.rpartition("_")
    if role not in _ROLES or decoder_of(name, abi) is None:
        return None
    otherwise = left_out(left_out_shape(name), filled=role in ("out", "success"), positive=role == "success")
    found = structure(index + GIVEN_PLACE * (role == "given"), name, otherwise, abi)
    if role == "success":
        return lambda value, record, process: (found if record.result else pointer)(value, record, process)
    if role == "out":  # what was there before is not what it tells
        return lambda value, record, process: (pointer if failed(record) else found)(value, record, process)
    return found


def status_out(value: int, record: Record, process: Process) -> str:
    """The status of a child, where there was one."""
    return (_STATUS if record.result else pointer)(value, record, process)


def events_out(value: int, record: Record, process: Process) -> str:
    """The events of epoll_wait(2): as many as it returned."""
    if failed(record) or not value:
        return pointer(value, record, process)
    return "[...]" if record.result else "[]"


def groups_out(value: int, record: Record, process: Process) -> str:
    """The groups of getgroups(2): as many as it returned; their number alone where it was given no room."""
    if failed(record) or not value or (record.result and not record.args[0]):
        return pointer(value, record, process)
    return "[...]" if record.result else "[]"


_STATUS = structure(1, "wait_status", left_out("[...]", filled=True))


POINTING: dict[str, Formatter] = {
    "bytes_out": bytes_out, "events_out": events_out,
    "groups_out": groups_out, "status_out": status_out,
    "text": left_out('""...'),
    "array": left_out("[...]"), "array_in": left_out("[...]"), "array_out": left_out("[...]", filled=True),
    "struct_in": left_out("{...}"), "struct_out": left_out("{...}", filled=True),
    "struct_success": left_out("{...}", filled=True, positive=True),
}  # fmt: skip
FILLED = ("_out", "_success", "_left")
"""How the kinds end that strace prints when a call returns."""
_ROLES = frozenset({"in", "out", "success", "given"})
"""What a structure is to the call: ``success``: filled in where it returned more than 0."""
BY_PLACE: dict[str, Callable[[int], Formatter]] = {
    "path": path,
    "path_out": path_out,
}
"""Kinds that look for their own argument in the record."""
BY_LENGTH: dict[str, Callable[[int], Formatter]] = {
    "bytes_in": bytes_in,
    "array": lambda counted: left_out("[...]", counted=counted),
    "poll_array": lambda counted: left_out("[...]", counted=counted),
}
"""Kinds whose length is another argument."""

"""The ``struct msghdr`` of sendmsg(2) and recvmsg(2), and what it points to."""

from __future__ import annotations

import struct

from straced.records.text import memory
from straced.records.text.addresses import address_text
from straced.records.text.flags import Named, flags, one_of
from straced.records.text.kinds import FAULT, Formatter, failed, pointer
from straced.records.text.processes import Process
from straced.records.text.structures import pointer as address_of
from straced.records.text.tables import constants
from straced.records.values import GIVEN_PLACE, MESSAGE_CONTROL, MESSAGE_NAME, Record

HEAD = 56
_HEAD = struct.Struct("=Qi4xQQQQi")
_CONTROL = struct.Struct("=Qii")
_GIVEN = struct.Struct("=Qi")
RIGHTS, CREDENTIALS = 1, 2
_SOCKET = 1


def message(index: int, abi: str, *, received: bool) -> Formatter:
    """Make the formatter of a message.

    Args:
        index: of the argument.
        abi: whose constants are meant.
        received: it is filled in by the call.
    """
    words = flags(constants(abi)["message"], "MSG_???")
    levels = one_of(constants(abi)["socket_level"], "SOL_???")
    left_out = memory.left_out("{...}")

    def text(value: int, record: Record, process: Process) -> str:
        blob = record.blobs.get(index)
        if not value or record.result == FAULT:
            return pointer(value, record, process)
        if blob is None or blob.unread or len(blob.data) < HEAD:
            return left_out(value, record, process)
        head = _HEAD.unpack_from(blob.data)
        given = record.blobs.get(index + GIVEN_PLACE)
        before = _GIVEN.unpack_from(given.data)[1] if given is not None and len(given.data) >= 16 else None
        if received and failed(record):
            return f"{{msg_namelen={before}}}" if before is not None else "{...}"
        name, length, parts, count, control, control_length, how = head
        if received and before is None:
            return "{...}"
        lengths = f"{length}" if not received or before == length else f"{before} => {length}"
        room = min(length, before) if received and before is not None else length
        fields = [f"msg_name={_name(name, room, record)}", f"msg_namelen={lengths}"]
        fields += [f"msg_iov={_parts(parts, count)}", f"msg_iovlen={count}"]
        if control_length:
            fields.append(f"msg_control={_control(control, control_length, record, levels)}")
        fields += [f"msg_controllen={control_length}", f"msg_flags={words(how)}"]
        return f"{{{', '.join(fields)}}}"

    return text


def _parts(address: int, count: int) -> str:
    return address_of(address) if not address else "[...]" if count else "[]"


def _name(address: int, length: int, record: Record) -> str:
    blob = record.blobs.get(MESSAGE_NAME)
    if not address or blob is None or blob.unread or length <= 0:
        return address_of(address)
    return address_text(blob.data[:length]) or address_of(address)


def _control(address: int, length: int, record: Record, levels: Named) -> str:
    """All control messages, or none where there is one that is not known here."""
    blob = record.blobs.get(MESSAGE_CONTROL)
    if not address:
        return "NULL"
    if length < _CONTROL.size:
        return address_of(address)
    if blob is None or blob.unread or blob.cut or len(blob.data) < length:
        return "[...]"
    found, at = [], 0
    while at + _CONTROL.size <= length:
        size, level, kind = _CONTROL.unpack_from(blob.data, at)
        body = blob.data[at + _CONTROL.size : at + size]
        if size < _CONTROL.size or at + size > length or level != _SOCKET:
            return "[...]"
        if kind == RIGHTS:
            word, content = "SCM_RIGHTS", "[...]"
        elif kind == CREDENTIALS and len(body) >= 12:
            pid, user, group = struct.unpack_from("=iII", body)
            word, content = "SCM_CREDENTIALS", f"{{pid={pid}, uid={user}, gid={group}}}"
        else:
            return "[...]"
        head = f"cmsg_len={size}, cmsg_level={levels(level)}, cmsg_type={word}"
        found.append(f"{{{head}, cmsg_data={content}}}")
        at += size + -size % 8
    return f"[{', '.join(found)}]"

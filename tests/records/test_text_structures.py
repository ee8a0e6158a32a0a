"""Structures in records that are made by hand: what a program beside strace cannot show each time.

Of `records/text/given.py`, `records/text/messages.py` and `records/text/decoders.py`.
"""

from __future__ import annotations

import random
import struct

import msgspec
import pytest

from straced.records.plans import plan_in, plan_of
from straced.records.text.calls import SIGNATURES
from straced.records.text.dependent import WHOLE
from straced.records.text.lines import TextLines
from straced.records.values import GIVEN_PLACE, MESSAGE_CONTROL, MESSAGE_NAME, Blob, BlobKind, Record
from straced.syscalls import number_of
from tests.records.made import FD_CWD, call, facts, path
from tests.records.test_text_lines import PLAIN, line

AT, OTHER = 0x7FFC_0000_1000, 0x7FFC_0000_2000
LONG, SHORT = struct.pack("=qq", 2, 0), struct.pack("=qq", 1, 0)
INET = struct.pack("=HHI8x", 2, 0x5000, 0x0100007F)


def given(data: bytes) -> Blob:
    return Blob(BlobKind.BYTES_IN, data)


def before(data: bytes) -> Blob:
    return Blob(BlobKind.GIVEN, data)


def filled(data: bytes) -> Blob:
    return Blob(BlobKind.BYTES_OUT, data)


def stat(blob: Blob, result: int = 0, abi: str = "x86_64") -> str:
    blobs = {1: path(b"x"), 2: blob}
    return line(call("newfstatat", FD_CWD, AT, OTHER, 0, result=result, abi=abi, blobs=blobs))


def test_a_structure_that_could_not_be_read_is_left_out() -> None:
    data = struct.pack("=24xI12xQq", 0o100644, 0, 5)
    assert "{st_mode=S_IFREG|0644, st_size=5, ...}" in stat(filled(data))
    assert "{...}" in stat(filled(data[:40]))
    assert "{...}" in stat(Blob(BlobKind.BYTES_OUT, b"", unread=True))
    assert "0x7ffc00002000, 0) = -1 ENOENT" in stat(filled(data), result=-2)


def test_a_structure_is_that_of_the_machine() -> None:
    data = struct.pack("=16xI12xQ8xq", 0o020666, 0x103, 5)
    assert "{st_mode=S_IFCHR|0666, st_rdev=makedev(0x1, 0x3), ...}" in stat(filled(data), abi="arm64")


@pytest.mark.parametrize(("abi", "shape"), [("x86_64", "=IQ"), ("arm64", "=I4xQ")])
def test_an_event_of_epoll_is_packed_on_one_machine(abi: str, shape: str) -> None:
    """Where it is not, 12 bytes are half of what is the program's own."""
    data = struct.pack(shape, 1, 7)
    assert [each.bytes for each in plan_in("epoll_ctl", abi).captures] == [len(data)]
    text = "{events=EPOLLIN, data={u32=7, u64=7}}) = 0"
    assert line(call("epoll_ctl", 3, 1, 4, AT, abi=abi, blobs={3: given(data)})).endswith(text)
    short = line(call("epoll_ctl", 3, 1, 4, AT, abi=abi, blobs={3: given(data[:-1])}))
    assert short.endswith("{...}) = 0")


def test_what_was_given_is_not_told_where_something_else_stands_by_now() -> None:
    """Both are one place: only what the call has filled in can have been read."""
    timer, was = struct.pack("=4q", 0, 0, 7, 0), struct.pack("=4q", 0, 0, 3, 0)
    apart = line(call("setitimer", 0, AT, OTHER, blobs={1: given(timer), 2: filled(was)}))
    assert apart.count("it_value") == 2
    one = line(call("setitimer", 0, AT, AT, blobs={1: given(was), 2: filled(was)}))
    assert (
        one == "setitimer(ITIMER_REAL, {...}, {it_interval={tv_sec=0, tv_usec=0}, it_value={tv_sec=3, tv_usec=0}}) = 0"
    )
    failing = line(call("setitimer", 0, AT, AT, result=-22, blobs={1: given(timer)}))
    assert "it_value={tv_sec=7, tv_usec=0}}, 0x7ffc00001000) = -1" in failing


@pytest.mark.parametrize(("late", "text"), [(False, "{tv_sec=2, tv_nsec=0}"), (True, "{...}")])
def test_a_timeout_is_the_one_that_was_given(late: bool, text: str) -> None:
    """The kernel writes what is left into its place."""
    asked, left = struct.pack("=qq", 2, 0), struct.pack("=qq", 0, 0)
    blobs = {2: given(left)} if late else {2 + GIVEN_PLACE: before(asked)}
    assert line(call("ppoll", 0, 0, AT, 0, 8, blobs=blobs)) == f"ppoll(NULL, 0, {text}, NULL, 8) = 0 (Timeout)"


@pytest.mark.parametrize(
    ("blobs", "result", "text"),
    [
        ({GIVEN_PLACE: before(LONG), 0: given(SHORT)}, -4, "{tv_sec=2, tv_nsec=0}"),
        ({0: given(SHORT)}, -4, "{...}"),
        ({0: given(LONG)}, 0, "{tv_sec=2, tv_nsec=0}"),
    ],
    ids=["seen", "unseen", "not interrupted"],
)  # fmt: skip
def test_a_sleep_that_has_what_is_left_in_the_same_place(blobs: dict[int, Blob], result: int, text: str) -> None:
    assert line(call("nanosleep", AT, AT, result=result, blobs=blobs)).startswith(f"nanosleep({text}, ")


def address(length: bytes | None, data: bytes = INET, result: int = 0) -> str:
    blobs = {} if result < 0 else {1: Blob(BlobKind.ADDRESS_OUT, data)}
    blobs |= {2 + GIVEN_PLACE: before(length)} if length is not None else {}
    found = line(call("getsockname", 3, AT, OTHER, result=result, blobs=blobs))
    return found.removeprefix("getsockname(3, ").partition(") = ")[0]


def test_the_length_of_an_address_before_and_after() -> None:
    inet = '{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}'
    assert address(struct.pack("=i", 16)) == f"{inet}, [16]"
    assert address(struct.pack("=i", 110)) == f"{inet}, [110 => 16]"
    assert address(struct.pack("=i", 2)) == "{sa_family=AF_INET}, [2 => 16]"
    assert address(struct.pack("=i", 0)) == "0x7ffc00001000, [0 => 16]"
    assert address(struct.pack("=i", 16), result=-9) == "0x7ffc00001000, [16]"
    assert address(None) == f"{inet}, [...]"


def message(name: str, head: bytes, result: int, **more: Blob) -> str:
    places = {"address": MESSAGE_NAME, "control": MESSAGE_CONTROL, "given": 1 + GIVEN_PLACE}
    blobs = {1: given(head)} | {places[word]: blob for word, blob in more.items()}
    return line(call(name, 3, AT, 0, result=result, blobs=blobs)).removeprefix(f"{name}(3, ").partition(", 0) = ")[0]


def test_messages() -> None:
    sent = struct.pack("=Qi4x4Qi4x", AT, 16, OTHER, 1, 0, 0, 0)
    inet = Blob(BlobKind.ADDRESS_IN, INET)
    text = 'msg_name={sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, msg_namelen=16'
    rest = "msg_iov=[...], msg_iovlen=1, msg_controllen=0, msg_flags=0}"
    assert message("sendmsg", sent, 5, address=inet) == f"{{{text}, {rest}"
    assert message("recvmsg", sent, 5, address=inet, given=before(struct.pack("=Qi4x", AT, 28))) == (
        f"{{{text.replace('16', '28 => 16')}, {rest}"
    )
    assert message("recvmsg", sent, -11, address=inet, given=before(struct.pack("=Qi4x", AT, 28))) == "{msg_namelen=28}"
    assert message("recvmsg", sent, 5, address=inet) == "{...}"
    unknown = struct.pack("=Qii16x", 32, 1, 29)
    held = struct.pack("=Qi4x4Qi4x", 0, 0, OTHER, 1, AT, 32, 0)
    assert "msg_control=[...], msg_controllen=32" in message("sendmsg", held, 5, control=given(unknown))


def garbage(name: str, chance: random.Random) -> dict[int, Blob]:
    places = [*range(plan_of(name).nargs), *range(GIVEN_PLACE, GIVEN_PLACE + 6), MESSAGE_NAME, MESSAGE_CONTROL]
    kinds = list(BlobKind)
    return {
        place: Blob(
            chance.choice(kinds), chance.randbytes(chance.choice((0, 3, 8, 16, 56, 130))), cut=chance.random() < 0.5
        )
        for place in places
    }


@pytest.mark.parametrize("abi", ["x86_64", "arm64"])
def test_each_structure_is_printed_whatever_is_in_it(abi: str) -> None:
    """Nothing in a damaged file raises, and no line is two."""
    text, chance = TextLines(facts(), PLAIN), random.Random(16)
    for name in sorted(SIGNATURES.keys() | WHOLE.keys()):
        if number_of(name, abi) is None:
            continue
        for _ in range(2):
            for result in (0, 7, -4):
                record: Record = call(name, *(AT,) * plan_of(name).nargs, result=result, abi=abi)
                told = text.line(msgspec.structs.replace(record, blobs=garbage(name, chance)))
                assert told.startswith(f"{name}("), name
                assert told.count("\n") == 1, name

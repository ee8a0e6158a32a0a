"""A printer for each call: made when the first record of the call is seen."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from straced.records.plans import plan_of
from straced.records.text import kinds, memory
from straced.records.text.calls import SIGNATURES
from straced.records.text.dependent import WHOLE
from straced.records.text.descriptor_effects import Effect
from straced.records.text.effects import EFFECTS
from straced.records.text.named import named
from straced.records.text.processes import Process
from straced.records.text.results import NEVER, Result, result_of
from straced.records.values import Record
from straced.syscalls import syscall_name

Printer = Callable[[Record, Process], str]


class CompiledCall(Struct, frozen=True):
    """All that is needed to print the records of one call."""

    name: str
    call: Printer
    """``name(arguments)``."""
    begun: Printer
    """The same of a call that is inside: without what it is to fill in, and without the last parenthesis."""
    result: Result
    effect: Effect | None
    needed: int
    """The arguments without which there is nothing to tell."""


def compile_call(number: int, abi: str) -> CompiledCall:
    """Make the printer of a call.

    Args:
        number: of the call.
        abi: as in :data:`straced.syscalls.ABIS`.
    """
    name = syscall_name(number, abi)
    native = abi in ("x86_64", "arm64")
    texts, filled_from = _texts(name, abi) if native else (_hexadecimal, 6)
    head = f"{name}("
    needed = plan_of(name).nargs if native and (name in SIGNATURES or name in WHOLE) else 0

    def call(record: Record, process: Process) -> str:
        if len(record.args) < needed:  # overwritten by the time that they could be read
            return f"{head}...)"
        return f"{head}{', '.join(texts(record, process))})"

    def begun(record: Record, process: Process) -> str:
        found = texts(record, process) if len(record.args) >= needed else ["..."]
        return (
            head + "".join(f"{each}, " for each in found[:filled_from])
            if filled_from < len(found)
            else head + ", ".join(found)
        )

    effect = None if name in NEVER or not native else EFFECTS.get(name)
    return CompiledCall(name, call, begun, result_of(name, abi), effect, needed)


def _texts(name: str, abi: str) -> tuple[kinds.Whole, int]:
    """What makes the texts of the arguments, and the first that is filled in by the call."""
    if name in WHOLE:
        return WHOLE[name](abi), 6
    signature = SIGNATURES.get(name)
    if signature is None:
        return _hexadecimal, 6
    words = _split(signature)
    filled = next((i for i, word in enumerate(words) if word.partition("(")[0].endswith(memory.FILLED)), 6)
    return _of_signature([_formatter(word, i, abi) for i, word in enumerate(words)]), filled


def _split(signature: str) -> list[str]:
    return signature.split(", ") if signature else []


def _formatter(word: str, index: int, abi: str) -> kinds.Formatter:
    """Make the formatter of one argument.

    Args:
        word: a kind of calls.py, with what stands in parentheses behind it.
        index: of the argument, from 0.
        abi: whose constants are meant.
    """
    kind, _, rest = word.rstrip(")").partition("(")
    if rest and kind in memory.BY_LENGTH:
        return memory.BY_LENGTH[kind](int(rest))
    if kind in kinds.SIMPLE:
        return kinds.SIMPLE[kind]
    if kind in memory.POINTING:
        return memory.POINTING[kind]
    if kind in memory.BY_PLACE:
        return memory.BY_PLACE[kind](index)
    if kind in memory.STRUCTURES:
        return memory.structure(index, *memory.STRUCTURES[kind])
    return kinds.for_value(named(kind, rest.split(), abi))


def _hexadecimal(record: Record, process: Process) -> list[str]:
    return [kinds.hexadecimal(value, record, process) for value in record.args]


def _of_signature(formatters: list[kinds.Formatter]) -> kinds.Whole:
    """The texts of arguments one by one; spelled out for the usual numbers, which is faster than a loop."""
    if len(formatters) == 1:
        (f0,) = formatters
        return lambda record, process: [f0(record.args[0], record, process)]
    if len(formatters) == 2:
        f0, f1 = formatters

        def two(record: Record, process: Process) -> list[str]:
            a, b = record.args[:2]
            return [f0(a, record, process), f1(b, record, process)]

        return two
    if len(formatters) == 3:
        f0, f1, f2 = formatters

        def three(record: Record, process: Process) -> list[str]:
            a, b, c = record.args[:3]
            return [f0(a, record, process), f1(b, record, process), f2(c, record, process)]

        return three

    def more(record: Record, process: Process) -> list[str]:
        return [each(value, record, process) for each, value in zip(formatters, record.args, strict=False)]

    return more

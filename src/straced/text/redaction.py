"""Secrets taken out of text before others see it: what follows words such as ``password=``, keys by their form, homes.

It finds what is called a secret, and what looks like a known kind of key. A password that stands alone, with no word
that says what it is, it does not find, nor one that is encoded, encrypted or cut into pieces.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Iterator, Sequence

HIDDEN = "***"
_WORDS = (
    r"passw(?:or)?d|passphrase|passcode|pwd|secret|token|credentials?|jwt|sessionid|session[-_.]id"
    r"|(?:api|access|private|auth|signing|encryption|master|account)[-_.]?key"
)
_START = r"(?:(?<=\\[nrt])|(?<![\w-]))"
"""Where a word begins, also behind the escape of a line end."""
_NAME = rf"[\w.-]{{0,60}}?(?:{_WORDS})[\w.-]{{0,60}}"
_KEY = rf"(?<![\w.-])(?!(?-i:(?:OLD)?PWD)[=:]){_NAME}"
"""A word that says that a secret follows; PWD is a directory."""
_END = r"\\[rn\"']|[\s\"'&;,<>)}\]]"
"""What ends a value without quotes; in text that is quoted as a whole, line ends and quotes are escaped."""
_LINE = r"(?:(?!\\[rn\"'])[^\r\n\"'])+"
_STRING = r"(?:\\.|[^\"\\])+"
_RULES = (
    (r"(-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----)(?:(?!-----END)[^\"])+", rf"\1{HIDDEN}"),
    # Headers: schemes, spaces and several values, so all of the line.
    (
        rf"{_START}((?:proxy-)?authorization|(?:set-)?cookie|x-(?:api|auth|amz-security)-[\w-]{{1,40}})"
        rf"((?:\\?[\"'])?\s{{0,9}}[:=]\s{{0,9}}(?:\\?[\"'])?){_LINE}",
        rf"\1\2{HIDDEN}",
    ),
    (rf"{_START}(bearer|basic)(\s{{1,9}})(?=\S{{0,99}}\d|\S{{16}})[\w.~+/=-]{{6,}}", rf"\1\2{HIDDEN}"),
    # Words of an argv: "--password", "value"; "mysql", ..., "-pVALUE"; "curl", "-u", "user:value".
    (rf"(\"--?{_NAME}\", \"){_STRING}", rf"\1{HIDDEN}"),
    (
        rf"(\"(?:[^\"]{{0,99}}/)?(?:mysql|mariadb)\w{{0,9}}\"(?:, \"[^\"]{{0,999}}\"){{0,30}}?, \"-p){_STRING}",
        rf"\1{HIDDEN}",
    ),
    (rf"(\"(?:[^\"]{{0,99}}/)?sshpass\", \"-p(?:\", \")?){_STRING}", rf"\1{HIDDEN}"),
    (rf"(\"(?:-u|--user|--proxy-user)\", \"[^\":]{{1,200}}:){_STRING}", rf"\1{HIDDEN}"),
    # JSON, as it is and within quotes.
    (rf"({_KEY}(\\?[\"'])\s{{0,9}}:\s{{0,9}}\2)(?:(?!\2).)+", rf"\1{HIDDEN}"),
    # Assignments, environments, queries, options: name=value, name='a value', name: value, --name value.
    (rf"({_KEY}\s{{0,9}}[=:]\s{{0,9}}(\\[\"']|'))(?:(?!\2).)+", rf"\1{HIDDEN}"),
    (rf"({_KEY}\s{{0,9}}[=:]\s{{0,9}})(?:(?!{_END}).)+", rf"\1{HIDDEN}"),
    (rf"((?<![\w-])--{_NAME}\s)(?![-=:\s])(?:(?!{_END}).)+", rf"\1{HIDDEN}"),
    (r"(\b[a-z][a-z0-9+.-]{1,30}://[^\s/:@\"]{0,200}:)[^\s/@\"]{1,999}(?=@)", rf"\1{HIDDEN}"),
    # Keys by their form: AWS, GitHub, GitLab, Slack, Google, Stripe and OpenAI, npm, PyPI, JWT.
    (
        rf"(?-i:{_START}(?:(?:AKIA|ASIA)[0-9A-Z]{{16}}|gh[pousr]_\w{{20,255}}|github_pat_\w{{20,255}}|glpat-[\w-]{{20,99}}"
        r"|xox[abeprs]-[\w-]{10,255}|AIza[\w-]{35}|[sr]k[-_](?:live|test|proj)?[-_]?\w{20,255}|npm_\w{36}"
        r"|pypi-[\w-]{50,255}|eyJ[\w-]{8,4096}\.[\w-]{8,4096}\.[\w-]{0,4096}))",
        HIDDEN,
    ),
    (r"((?<![\w.])/home/)[^/\s\"'<>:;,)\]\\]{1,64}", rf"\1{HIDDEN}"),
)
"""Patterns, and what takes the place of what they match."""
_MAY_HOLD_ONE = (
    rf"{_WORDS}|authorization|cookie|bearer|basic|x-api|x-auth|x-amz|private key|\"-u\"|--user"
    r"|--proxy-user|mysql|mariadb|sshpass|://|/home/|AKIA|ASIA|gh[pousr]_|glpat-|xox|AIza|[sr]k[-_]|npm_|pypi-|eyJ"
)
"""Most lines hold nothing of that, and are looked at once."""


def redact(text: str) -> str:
    """Replace secrets in a line of a trace, a command line or another text by ``***``.

    Args:
        text: plain, or with the quotes and escapes of strace.
    """
    found, rules = _compiled()
    if found.search(text) is None:
        return text
    for pattern, replacement in rules:
        text = pattern.sub(replacement, text)
    return text


def redact_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Replace secrets in blocks of whole lines of a trace, whatever bytes are in them.

    Args:
        blocks: each of whole lines.
    """
    for block in blocks:
        text = block.decode("latin-1")
        if _compiled()[0].search(text) is None:
            yield block
        else:
            yield "\n".join(map(_redacted_line, text.split("\n"))).encode("latin-1")


def _redacted_line(line: str) -> str:
    return _redacted_comment(line) if line.startswith("# straced ") else redact(line)


def _redacted_comment(line: str) -> str:
    """What straced wrote down of a process is JSON: its strings, one by one, and its command lines as such."""
    head, brace, rest = line.partition("{")
    try:
        value = json.loads(brace + rest)
    except ValueError:
        return redact(line)
    return head + json.dumps(_redacted_value(value), separators=(",", ":"))


def _redacted_value(value: object) -> object:
    match value:
        case str():
            return redact(value)
        case list() if all(isinstance(each, str) for each in value):
            return redact_words(value)
        case list():
            return [_redacted_value(each) for each in value]
        case dict():
            return {key: _redacted_value(each) for key, each in value.items()}
    return value


@functools.cache
def _compiled() -> tuple[re.Pattern[str], tuple[tuple[re.Pattern[str], str], ...]]:
    """Compiled for the first text: that takes longer than to import all of this room."""
    rules = tuple((re.compile(pattern, re.IGNORECASE | re.DOTALL), replacement) for pattern, replacement in _RULES)
    return re.compile(_MAY_HOLD_ONE, re.IGNORECASE), rules


def redact_words(words: Sequence[str]) -> list[str]:
    """Replace secrets in the words of a command line: some are known only by the word before them.

    Args:
        words: as the program was given them.
    """
    line = ", ".join(json.dumps(word, ensure_ascii=False) for word in words)
    hidden = redact(line)
    if hidden == line:
        return list(words)
    try:
        found = json.loads(f"[{hidden}]")
    except ValueError:  # a secret went beyond its word
        return [redact(word) for word in words[:1]] + [HIDDEN] * (len(words) - 1)
    return found if len(found) == len(words) else [HIDDEN] * len(words)

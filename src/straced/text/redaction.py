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
    r"|(?<![a-z])(?:(?:db|user|root|admin|smtp|mail|ftp)?pass(?:in|out)?|pw|pin|t?otp|mfa[-_]?code|auth)(?![\w.-])"
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
_IS = r"\s{0,9}(?:[=:]|%3[ad])\s{0,9}"
"""What stands between a name and its value, also within a URL."""


def _option(programs: str, options: str, *, apart: bool = False) -> tuple[str, str]:
    """Hide the value of a short option of certain programs, in the next word or, unless ``apart``, in the same one."""
    start = rf"\"(?:[^\"]{{0,99}}/)?(?:{programs})\"(?:, \"[^\"]{{0,999}}\"){{0,30}}?, \""
    return rf"({start}(?-i:{options}){'' if apart else '(?:'}\", \"{'' if apart else ')?'}){_STRING}", rf"\1{HIDDEN}"


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
    (rf"(\"[\w./:-]{{0,99}}[_.](?:{_WORDS})[\w-]{{0,20}}\", \"){_STRING}", rf"\1{HIDDEN}"),
    (
        rf"(\"(?:[^\"]{{0,99}}/)?(?:mysql|mariadb|7z)\w{{0,9}}\"(?:, \"[^\"]{{0,999}}\"){{0,30}}?, \"-p){_STRING}",
        rf"\1{HIDDEN}",
    ),
    (rf"(\"(?:[^\"]{{0,99}}/)?sshpass\", \"-p(?:\", \")?){_STRING}", rf"\1{HIDDEN}"),
    _option(r"(?:redis|valkey)-cli", "-a"),
    _option(r"ldap\w{1,9}", "-w"),
    _option(r"(?:un)?zip|sqlcmd|bcp", "-P"),
    _option(r"openssl", "-[kK]", apart=True),
    _option(r"mongo\w{0,9}|cqlsh|useradd|usermod", "-p", apart=True),
    (rf"(\"(?:-u|--user|--proxy-user)\", \"[^\":]{{1,200}}:){_STRING}", rf"\1{HIDDEN}"),
    (rf"(\"(?:-u|--user=|--proxy-user=)[^\":/]{{1,200}}:){_STRING}", rf"\1{HIDDEN}"),
    (rf"(\"(?:-b|--cookie)\", \"[^\"=]{{1,200}}=){_STRING}", rf"\1{HIDDEN}"),
    (rf"(\"(?-i:-U|--user)\", \"[^\"%]{{0,200}}%){_STRING}", rf"\1{HIDDEN}"),
    # JSON, as it is and within quotes.
    (rf"({_KEY}(\\?[\"'])\s{{0,9}}:\s{{0,9}}\2)(?:(?!\2).)+", rf"\1{HIDDEN}"),
    # Assignments, environments, queries, options: name=value, name='a value', name: value, --name value.
    (rf"({_KEY}{_IS}(\\[\"']|'))(?:(?!\2).)+", rf"\1{HIDDEN}"),
    (rf"({_KEY}{_IS})(?:(?!{_END}).)+", rf"\1{HIDDEN}"),
    (rf"((?<![\w-])--{_NAME}\s)(?![-=:\s])(?:(?!{_END}).)+", rf"\1{HIDDEN}"),
    (r"(\b[a-z][a-z0-9+.-]{1,30}://[^\s/:@\"]{0,200}:)[^\s/@\"]{1,999}(?=@)", rf"\1{HIDDEN}"),
    (r"(\bhttps?://)[^\s/:@\"]{1,999}(?=@)", rf"\1{HIDDEN}"),
    (r"([?&](?:x-(?:amz|goog)-)?(?:sig|signature|key|code|auth)=)[^\s&\"'#]{1,4096}", rf"\1{HIDDEN}"),
    (
        r"(\b(?:hooks\.slack\.com/\w{1,20}|discord(?:app)?\.com/api/webhooks|api\.telegram\.org)/)[^\s\"'?]{1,999}",
        rf"\1{HIDDEN}",
    ),
    # Keys by their form: AWS, GitHub, GitLab, Slack, Google, Stripe and OpenAI, Anthropic,
    # Shopify, DigitalOcean, Docker, Hugging Face, Vault, SendGrid, Atlassian, npm, PyPI, JWT.
    (
        rf"(?-i:{_START}(?:(?:AKIA|ASIA)[0-9A-Z]{{16}}|gh[pousr]_\w{{20,255}}|github_pat_\w{{20,255}}|glpat-[\w-]{{20,99}}"
        r"|xox[abeprs]-[\w-]{10,255}|AIza[\w-]{35}|[sr]k[-_](?:live|test|proj)?[-_]?\w{20,255}|npm_\w{36}"
        r"|sk-(?:ant|proj|svcacct)-[\w-]{20,255}|gl(?:rt|dt|ft|ptt|cbt|soat|agent)-[\w-]{20,255}|xapp-\d-[\w-]{10,255}"
        r"|whsec_\w{16,255}|shp(?:at|ca|pa|ss)_\w{32}|do[opr]_v1_\w{32,99}|dckr_pat_[\w-]{20,99}|hf_[A-Za-z]{30,99}"
        r"|hv[sbr]\.[\w-]{16,255}|ya29\.[\w-]{20,999}|SG\.[\w-]{16,99}\.[\w-]{16,99}|ATATT3[\w=-]{20,999}"
        r"|pypi-[\w-]{50,255}|eyJ[\w-]{8,4096}\.[\w-]{8,4096}\.[\w-]{0,4096}))",
        HIDDEN,
    ),
    (
        r"((?<![\w.])(?:(?:/var|/export)?/home/(?:(?:users|staff|students|people|\w)/)?|/Users/))[^/\s\"'<>:;,)\]\\]{1,64}",
        rf"\1{HIDDEN}",
    ),
)
"""Patterns, and what takes the place of what they match."""
_SIGN_WORDS = (
    "pass pwd pw pin secret token credential jwt session key auth otp mfa cookie bearer basic x-api x-amz :// /home/"
    ' /users/ "-u "-b" --user --proxy-user mysql mariadb 7z redis-cli valkey-cli ldap zip" sqlcmd bcp openssl mongo'
    " cqlsh useradd usermod akia asia ghp_ gho_ ghu_ ghs_ ghr_ github_pat_ glpat- glrt- gldt- glft- glptt- glcbt-"
    " glsoat- glagent- xox xapp- aiza sk_ sk- rk_ rk- whsec_ npm_ pypi- eyj shpat_ shpca_ shppa_ shpss_ dop_v1_ dor_v1_"
    " dckr_pat_ hf_ hvs. hvb. hvr. ya29. sg. atatt3 sig= signature= code= hooks.slack webhooks telegram"
)
_SIGNS = tuple(_SIGN_WORDS.split())
"""Most lines hold none of these, in any case of letters, and are looked at once."""


def _may_hold_one(text: str) -> bool:
    text = text.lower()
    return any(sign in text for sign in _SIGNS)


def redact(text: str) -> str:
    """Replace secrets in a line of a trace, a command line or another text by ``***``.

    Args:
        text: plain, or with the quotes and escapes of strace.
    """
    if not _may_hold_one(text):
        return text
    for pattern, replacement in _compiled():
        text = pattern.sub(replacement, text)
    return text


def redact_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Replace secrets in blocks of whole lines of a trace, whatever bytes are in them.

    Args:
        blocks: each of whole lines.
    """
    for block in blocks:
        text = block.decode("latin-1")
        if not _may_hold_one(text):
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
def _compiled() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Compiled for the first text: that takes longer than to import all of this room."""
    return tuple((re.compile(pattern, re.IGNORECASE | re.DOTALL), replacement) for pattern, replacement in _RULES)


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

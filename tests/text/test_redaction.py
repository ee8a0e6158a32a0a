"""Secrets are taken out of text, and nothing else.

Of `text/redaction.py`.
"""

from __future__ import annotations

import time

import pytest

from straced.text.redaction import HIDDEN, redact
from straced.traces.parsing.line import parse_line

SECRETS = (
    "hunter2!",
    "S3cr3t-Value.9",
    "ZGVhZGJlZWYK=",
    "a/b+c==x",
    "x%20y%21",
    "Tr0ub4dor_3",
    "q:v.w-z",
    "n\\303\\274x9",
)
WRITTEN = (
    "password={s}&user=a", "user=a&passwd={s}", "client_secret={s};b", "?access_token={s}&x=1", "X-Auth-Token: {s}",
    "PGPASSWORD={s}", "AWS_SECRET_ACCESS_KEY={s}", "db.password: {s}\\nnext: 1", "api-key={s} rest", "pwd={s};db=x",
    'Authorization: Digest a=b, c={s}\\r\\nHost: x', "Cookie: a=b; sid={s}\\r\\nX: y", "Set-Cookie: id={s}; Path=/",
    '{{\\"token\\": \\"{s}\\", \\"n\\": 1}}', '{{\\"refreshToken\\":\\"{s}\\"}}', "passphrase = '{s}' and more",
    "secret: \\'{s}\\'", "mysqldump --password={s} db", "tool --api-token {s} run",
    "tool --db-pass={s}", "?otp={s}&x=1", "?password%3D{s}&x=1",
)  # fmt: skip
"""Parts of what a program writes, in strace's quotes."""
ARGV = (
    '["x", "--password", "{s}", "y"]', '["x", "--auth-token", "{s}"]', '["/bin/mysql", "-u", "root", "-p{s}", "db"]',
    '["sshpass", "-p", "{s}", "ssh"]', '["curl", "-u", "joe:{s}", "http://h/"]', '["env", "DB_PASSWORD={s}", "x"]',
    '["curl", "--user=joe:{s}", "h"]', '["curl", "-ujoe:{s}", "h"]', '["curl", "--cookie", "sid={s}"]',
    '["/usr/bin/redis-cli", "-h", "x", "-a", "{s}"]', '["ldapsearch", "-x", "-w", "{s}"]', '["zip", "-P", "{s}", "a"]',
    '["7z", "x", "-p{s}"]', '["openssl", "enc", "-k", "{s}"]', '["openssl", "rsa", "-passin", "pass:{s}"]',
    '["smbclient", "-U", "joe%{s}", "//h/s"]', '["aws", "configure", "set", "aws_secret_access_key", "{s}"]',
    '["x", "--pin", "{s}"]', '["x", "--auth", "{s}"]', '["useradd", "-p", "{s}", "joe"]',
)  # fmt: skip
KEYS = (
    "AKIAIOSFODNN7EXAMPLE", "ghp_16C7e42F292c6912E7710c838347Ae178B4a", "glpat-abcdefghij0123456789",
    "xoxb-123456789012-abcdefghij", "AIzaSyA1234567890abcdefghijklmnopqrstuv", "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
    "npm_abcdefghijklmnopqrstuvwxyz0123456789", "hf_abcdefghijklmnopqrstuvwxyzABCDEFGH",
    "github_pat_11ABCDEFG0abcdefghij_0123456789", "sk-ant-api03-aB1aB1aB1aB1aB1aB1aB1",
    "glrt-abcdefghij0123456789", "xapp-1-A012-345-abcdef", "whsec_abcdefghij0123456789",
    "hvs.CAESIabcdefghij0123456789", "shpat_0123456789abcdef0123456789abcdef",
    "dop_v1_0123456789abcdef0123456789abcdef",
    "ya29.a0AfB_byCabcdefghij0123456789", "SG.abcdefghijklmnopqrst.abcdefghijklmnopqrst0123456789",
    "dckr_pat_abcdefghij0123456789", "ATATT3xFfGF0abcdefghij0123456789",
)  # fmt: skip


def planted() -> list[tuple[str, str]]:
    """Lines of traces, each with the secret in it."""
    made = [(f'write(3, "{part.format(s=secret)}"..., 128) = 128', secret) for part in WRITTEN for secret in SECRETS]
    made += [(f'execve("/bin/x", {argv.format(s=secret)}, [...]) = 0', secret) for argv in ARGV for secret in SECRETS]
    made += [(f'sendto(4, "see {key} there", 99, 0, NULL, 0) = 99', key) for key in KEYS]
    made += [(f'write(3, "first\\n{key}\\n", 60) = 60', key) for key in KEYS]
    made += [(f'write(3, "Authorization: Bearer {key}\\r\\n", 60) = 60', key) for key in KEYS]
    made.append(('openat(AT_FDCWD</home/planted>, "x", O_RDONLY) = 3</home/planted/x>', "planted"))
    made += [
        (f'mkdir("{home}", 0777) = 0', "planted")
        for home in ("/var/home/planted/x", "/Users/planted", "/home/users/planted/x", "/home/p/planted")
    ]
    made += [
        (f'execve("/bin/git", ["git", "{url}"], [...]) = 0', "planted")
        for url in (
            "https://planted@github.com/a/b",
            "https://h/x?sig=planted&a=1",
            "https://h/x?key=planted",
            "https://hooks.slack.com/services/T0/B0/planted",
            "https://discord.com/api/webhooks/1/planted",
        )
    ]
    made.append(('connect(3, "redis://u:planted@h:1/0", 5) = 0', "planted"))
    made.append(('write(3, "-----BEGIN RSA PRIVATE KEY-----\\nplanted\\n", 60) = 60', "planted"))
    return made


def test_of_two_hundred_planted_secrets_none_is_left() -> None:
    lines = planted()
    assert len(lines) >= 200
    for text, secret in lines:
        hidden = redact(text)
        assert secret not in hidden, text
        assert HIDDEN in hidden
        before, after = parse_line(text.encode()), parse_line(hidden.encode())
        assert before is not None
        assert after is not None
        assert (after.name, after.kind) == (before.name, before.kind)
        assert hidden.rpartition(" = ")[2].partition("<")[0] == text.rpartition(" = ")[2].partition("<")[0]
        assert redact(hidden) == hidden


@pytest.mark.parametrize(
    "text",
    [
        'openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3</etc/passwd>',
        'read(3</run/secrets/token>, ""..., 10) = 3', 'execve("/bin/x", ["env", "PWD=/work", "OLDPWD=/a"], [...]) = 0',
        "getsockopt(3, SOL_SOCKET, SO_COOKIE, [5], [8]) = 0", 'execve("/bin/x", ["x", "A_TOKEN=", "B=1"], [...]) = 0',
        'write(1, "basic training is a bearer of bad news", 9) = 9', 'connect(3, "http://h:80/p", 5) = 0',
        'execve("/bin/x", ["docker", "run", "-p", "80:80", "img"], [...]) = 0',
        'openat(3, "compass=north", O_RDONLY) = 4',
        'execve("/bin/x", ["openssl", "req", "-keyout", "k.pem"], [...]) = 0',
        'openat(3, "/srv/home/joe", O_RDONLY) = 4',
        'execve("/bin/git", ["git", "clone", "ssh://git@h/a"], [...]) = 0',
        'execve("/bin/x", ["zip", "-r", "a"], [...]) = 0',
        '+++ exited with 0 +++', 'prctl(PR_SET_NAME, ""...) = 0',
    ],
)  # fmt: skip
def test_the_rest_is_left_as_it_is(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    "piece",
    ["password", "password=", '"--password", ', "eyJaaaaaaaaa.", 'mysql", "', "x://a:", "token ", "\\\"",
     "-----BEGIN PRIVATE KEY-----",     "authorization:", "password='", "/home/", "-u\", \"a",
     'zip", "', 'redis-cli", "-a", "', 'openssl", "-k', "a_token", "?sig=", '"-U", "'],
)  # fmt: skip
def test_hostile_text_takes_no_longer_than_its_length(piece: str) -> None:
    """Ten times as much takes not a hundred times as long."""

    def seconds(length: int) -> float:
        text = piece * (length // len(piece))
        begun = time.process_time()
        redact(text)
        return time.process_time() - begun

    assert min(seconds(50_000) for _ in range(2)) < 30 * max(0.001, min(seconds(5_000) for _ in range(3)))

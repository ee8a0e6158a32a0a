"""Servers that only rest: brokers, resolvers, shells, databases and webservers, each of its own way to wait."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from field_world import Field, as_user, program, unprivileged
from msgspec import Struct
from tests.support.needs import missing
from tests.support.servers import server_program

_MODULES = "/usr/lib/apache2/modules"
_APP = """
async def app(scope, receive, send):
    while scope["type"] == "lifespan":
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown": return
"""
_WSGI = "def app(environ, start): start('204 None', []); return []\n"

Start = Callable[[Field, Path, int], int]


class Resting(Struct, frozen=True):
    """A server: the program that it needs, and how it is started in a place, to listen on a port."""

    needs: str
    start: Start


def _with_file(name: str, text: str, *argv: str) -> Start:
    """One that reads a file of configuration; ``{host}``, ``{port}`` and ``{place}`` are filled in."""

    def start(field: Field, place: Path, port: int) -> int:
        words = {"host": field.host, "port": port, "place": place, "modules": _MODULES}
        (place / "conf").write_text(text.format(**words))
        return field.server(program(name), *(each.format(**words) for each in argv))

    return start


def _sshd(field: Field, place: Path, port: int) -> int:
    """It wants a directory below /run, and has one that nobody else sees."""
    key = str(place / "key")
    subprocess.run([program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", key], check=True, timeout=60)
    words = f"{program('sshd')} -D -e -f /dev/null -h {key} -p {port} -o ListenAddress={field.host} -o PidFile=none"
    return field.server("unshare", "-m", "sh", "-c", f"mount -t tmpfs none /run && mkdir /run/sshd && exec {words}")


def _mariadb(field: Field, place: Path, port: int) -> int:
    data, user = str(place / "data"), unprivileged("mysql")
    place.chmod(0o777)
    made = ["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", f"--datadir={data}"]
    command = [program("mariadb-install-db"), *made]
    subprocess.run(command, check=True, timeout=300, stdout=subprocess.DEVNULL, cwd="/", **as_user(user))  # type: ignore[call-overload]
    options = (f"--bind-address={field.host}", f"--port={port}", f"--socket={place}/socket", f"--datadir={data}")
    return field.server(program("mariadbd"), "--no-defaults", *options, **as_user(user))


def _python(module: str, code: str, *argv: str) -> Start:
    def start(field: Field, place: Path, port: int) -> int:
        (place / "served.py").write_text(code)
        words = (each.format(host=field.host, port=port) for each in argv)
        return field.server(sys.executable, "-m", module, "served:app", *words, cwd=str(place))

    return start


# fmt: off
RESTING = (
    Resting(
        "mosquitto", _with_file("mosquitto", "listener {port} {host}\nallow_anonymous true\n", "-c", "{place}/conf"),
    ),
    Resting("sshd", _sshd),
    Resting(
        "dnsmasq",
        _with_file("dnsmasq", "port={port}\nlisten-address={host}\nbind-interfaces\nno-resolv\nno-hosts\npid-file=\n"
                   "user=root\n", "-k", "-C", "{place}/conf"),
    ),
    Resting(
        "rsyslogd",
        _with_file("rsyslogd", 'module(load="imtcp")\ninput(type="imtcp" address="{host}" port="{port}")\n'
                   'global(workDirectory="{place}")\n*.* action(type="omfile" file="{place}/log")\n',
                   "-n", "-i", "NONE", "-f", "{place}/conf"),
    ),
    Resting(
        "lighttpd",
        _with_file("lighttpd", 'server.bind = "{host}"\nserver.port = {port}\nserver.document-root = "{place}"\n',
                   "-D", "-f", "{place}/conf"),
    ),
    Resting("mariadbd", _mariadb),
    Resting(
        "apache2",
        _with_file("apache2", "LoadModule mpm_event_module {modules}/mod_mpm_event.so\nLoadModule authz_core_module "
                   "{modules}/mod_authz_core.so\nListen {host}:{port}\nServerName {host}\nServerRoot {place}\n"
                   "PidFile {place}/pid\nErrorLog {place}/errors\nUser nobody\nGroup nogroup\n",
                   "-D", "FOREGROUND", "-f", "{place}/conf"),
    ),
    Resting("beanstalkd", _with_file("beanstalkd", "", "-l", "{host}", "-p", "{port}")),
    Resting(
        "unbound",
        _with_file("unbound", 'server:\n interface: {host}@{port}\n directory: "{place}"\n chroot: ""\n username: ""\n'
                   ' pidfile: ""\n use-syslog: no\nremote-control:\n control-enable: no\n', "-d", "-c", "{place}/conf"),
    ),
    Resting(
        "squid",
        _with_file("squid", "http_port {host}:{port}\npid_filename none\naccess_log none\ncache_log /dev/null\n"
                   "cache_store_log none\ncoredump_dir {place}\npinger_enable off\n", "-N", "-f", "{place}/conf"),
    ),
    Resting("uvicorn", _python("uvicorn", _APP, "--host", "{host}", "--port", "{port}", "--log-level", "error")),
    Resting("gunicorn", _python("gunicorn", _WSGI, "-b", "{host}:{port}", "-w", "2", "--log-level", "error")),
)
# fmt: on


def start_resting(field: Field) -> Iterator[tuple[str, int]]:
    """Start those that are installed here; each is given when it listens."""
    for server in RESTING:
        if server_program(server.needs) is None and missing(server.needs):
            continue
        port = field.port()
        pid = server.start(field, field.place(server.needs), port)
        field.world.until(lambda port=port: field.connects(port), f"{server.needs} does not start")  # type: ignore[misc]
        yield server.needs, pid

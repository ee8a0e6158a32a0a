"""``straced serve``: run the service."""

from __future__ import annotations

from pathlib import Path

import click

from straced.commands.group import verb
from straced.views.text import streams


@verb(
    "serve",
    examples=(
        ("straced serve", "watch what straced.toml says, until Ctrl-C; sudo: for all users"),
        ("straced serve --check", "is the configuration right?"),
        ("straced serve --http 127.0.0.1:8321", "with the live screen as a web page, for this host alone"),
        ("sudo straced serve --install -c /etc/straced/straced.toml", "write a systemd unit"),
    ),
)
@click.option("-c", "--config", "path", type=click.Path(path_type=Path), metavar="FILE", help="Configuration file.")
@click.option(
    "--http",
    metavar="ADDRESS",
    help="A read-only web page on 127.0.0.1:PORT or [::1]:PORT; port 0: any that is free. Off by default.",
)
@click.option("--check", is_flag=True, help="Check the configuration and exit.")
@click.option("--install", is_flag=True, help="Write a systemd unit (with sudo: system-wide) and exit; it keeps -c.")
@click.option("--overwrite", is_flag=True, help="Let --install replace a unit that says something else.")
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
def command(path: Path | None, http: str | None, check: bool, install: bool, overwrite: bool, verbose: bool) -> int:
    """Watch processes, keep what they did, and answer those who ask; in the foreground, until SIGTERM or Ctrl-C.

    As root it serves all users of the host, each of whom sees their own processes; as a user that user alone. SIGHUP
    has it read its configuration anew, SIGUSR1 write down what its flight recorder has.
    """
    from straced.config import loader
    from straced.service.daemon import logs, unit
    from straced.workflows import serve

    if install and http is not None:
        raise click.UsageError('--install takes no --http\nwrite into straced.toml: [web] listen = "127.0.0.1:8321"')
    if overwrite and not install:
        raise click.UsageError("--overwrite is of --install")
    if install:
        _found, config = loader.find_config(path)
        target = unit.install(config=path, read=config, overwrite=overwrite)
        print(f"straced: wrote {target}", "  next: systemctl daemon-reload && systemctl enable --now straced", sep="\n")
        return 0
    if http is not None:
        from straced.httpd.address import parse_tcp

        parse_tcp(http)
    found, config = loader.find_config(path)
    if check:
        streams.say(f"straced: {found or 'no configuration, the defaults'}: fine")
        return 0
    logs.set_up(verbose)
    return serve.serve(found, config, http)

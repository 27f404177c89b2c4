"""The command ``trio-runner install-service``: writes a unit for systemd and says how to enable it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from ...errors import ConfigError
from ..exits import ExitCode
from .installation import (
    check_reachable,
    config_directory,
    home_access,
    program_places,
    systemd_version,
    unit_directory,
)
from .unit import UnitFacts, service_unit, socket_unit

__all__ = ["install_service_command"]

_ABOUT = """\
Write a systemd unit for a runner, or for a broker with --broker, and say how to enable it.

The service is ready once a broker has registered the runner, is watched by systemd, reloads, and ends
gracefully. It runs as a user who exists only while it runs, and what it may do is confined in a way that goes
with the walls around each task. Nothing is started by this command.
"""

_EPILOG = """\
\b
Exit codes:
  0  written, or printed       2  something is in the way; nothing was written

\b
Examples:
  sudo trio-runner install-service
  trio-runner install-service --user
  trio-runner install-service --print
  sudo trio-runner install-service --broker --socket 127.0.0.1:5679
"""
_OPTIONS = (
    click.option("--user", "for_user", is_flag=True, help="For your own user's manager, not the system's."),
    click.option("--broker", is_flag=True, help="A broker instead of a runner."),
    click.option("--socket", metavar="[HOST:]PORT", default="", help="Have systemd open the broker's port."),
    click.option(
        "--name", metavar="NAME", default="", help="Name of the service.  [default: trio-runner(-broker)]"
    ),
    click.option(
        "--run-as", metavar="ACCOUNT", default="", help="Run as this account.  [default: one made for it]"
    ),
    click.option(
        "--token-file", metavar="FILE", default="", help="File that holds the secret shared with the broker."
    ),
    click.option("--directory", metavar="DIR", default="", help="Write there, for a package, say."),
    click.option("--print", "only_print", is_flag=True, help="Print the unit and write nothing."),
    click.option("--force", is_flag=True, help="Replace a unit that is there and differs."),
)


def _run(
    *, for_user: bool, run_as: str, directory: str, only_print: bool, force: bool, **more: str | bool
) -> int:
    ctx = click.get_current_context()
    try:
        facts = _facts(for_user=for_user, run_as=run_as, **more)  # type: ignore[arg-type]  # click's types
        if only_print:
            for _, text in _files(facts):
                click.echo(text, nl=False)
            return ExitCode.DONE
        if not directory:  # what is packaged here runs elsewhere
            check_reachable(program_places(), own_user=not for_user and not run_as)
        where = Path(directory) if directory else unit_directory(os.environ, for_user=for_user)
        _write(where, facts, force=force)
    except ConfigError as exc:
        raise _Refused(str(exc), ctx) from None
    for line in _next_steps(facts):
        click.echo(line)
    return ExitCode.DONE


install_service_command = click.Command(
    "install-service",
    callback=_run,
    help=_ABOUT,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _option in reversed(_OPTIONS):
    _option(install_service_command)


class _Refused(click.ClickException):
    """Something is in the way; nothing was written."""

    exit_code = ExitCode.BAD_SETTINGS

    def __init__(self, message: str, ctx: click.Context) -> None:
        super().__init__(message)
        self.ctx = ctx


def _facts(
    *, for_user: bool, broker: bool, socket: str, name: str, run_as: str, token_file: str
) -> UnitFacts:
    role = "broker" if broker else "run"
    if socket and not broker:
        raise ConfigError("--socket is for a broker, and a runner listens to nobody; add --broker")
    if run_as and for_user:
        raise ConfigError("--run-as is for the system's manager; leave out --user, or --run-as")
    name = (name or f"trio-runner{'-broker' if broker else ''}").removesuffix(".service")
    if not name or not all(character.isalnum() or character in "-_.@:" for character in name):
        raise ConfigError(f"--name: {name!r} is no name of a service; use letters, digits and - _ . only")
    directory = config_directory(os.environ, for_user=for_user)
    return UnitFacts(
        command=(sys.executable, "-I", "-m", "trio_runner", role),
        role=role,
        name=name,
        token_file=str(Path(token_file).absolute() if token_file else directory / "auth-token"),
        for_user=for_user,
        run_as=run_as,
        home=home_access(program_places()),
        systemd=systemd_version(),
        listen=socket,
    )


def _files(facts: UnitFacts) -> Iterator[tuple[str, str]]:
    yield f"{facts.name}.service", service_unit(facts)
    if facts.listen:
        yield f"{facts.name}.socket", socket_unit(facts)


def _write(where: Path, facts: UnitFacts, *, force: bool) -> None:
    files = [(where / name, text) for name, text in _files(facts)]
    try:
        for path, text in files:
            if not force and path.exists() and path.read_text(encoding="utf-8") != text:
                raise ConfigError(
                    f"{path} is there and differs; --print shows the new one, --force writes it"
                )
        where.mkdir(parents=True, exist_ok=True)
        for path, text in files:
            path.write_text(text, encoding="utf-8")
            click.echo(f"Wrote {path}")
    except OSError as exc:
        own = "run it with sudo, or with --user for your own user"
        remedy = own if isinstance(exc, PermissionError) else "name another place with --directory"
        raise ConfigError(f"cannot write into {where}: {exc.strerror}; {remedy}") from exc


def _next_steps(facts: UnitFacts) -> Iterator[str]:
    systemctl = "systemctl --user" if facts.for_user else "sudo systemctl"
    if not _exists(facts.token_file):
        sudo = "" if facts.for_user else "sudo "
        yield f"The secret shared with the broker belongs into {facts.token_file}; type it after"
        yield f"  {sudo}install -D -m 600 /dev/stdin {facts.token_file}"
    yield "Enable and start it:"
    yield f"  {systemctl} daemon-reload"
    yield f"  {systemctl} enable --now {facts.name}{'.socket' if facts.listen else ''}"


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except OSError:  # nobody may look
        return False

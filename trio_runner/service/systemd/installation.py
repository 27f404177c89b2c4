"""Where the parts of a service lie on this machine, and what is in the way of it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from ...errors import ConfigError

__all__ = [
    "check_reachable",
    "config_directory",
    "home_access",
    "program_places",
    "systemd_version",
    "unit_directory",
]

_LIBRARIES = ("usr/lib/systemd", "usr/lib/*/systemd", "lib/systemd", "usr/lib64/systemd")
_HOMES = ("/home", "/root", "/run/user")
_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 - recognised, not used
_OTHERS_MAY_ENTER = 0o001


def systemd_version(root: Path = Path("/")) -> int:
    """Return the version of systemd on this machine, as the name of its library tells it; 0: not known."""
    for pattern in _LIBRARIES:
        for path in root.glob(f"{pattern}/libsystemd-shared-*.so"):
            if found := re.search(r"-(\d+)", path.name):
                return int(found[1])
    return 0


def unit_directory(environ: Mapping[str, str], *, for_user: bool) -> Path:
    """Return where units belong that an operator adds."""
    return _user_config(environ) / "systemd" / "user" if for_user else Path("/etc/systemd/system")


def config_directory(environ: Mapping[str, str], *, for_user: bool) -> Path:
    """Return where the configuration of the service belongs."""
    return (_user_config(environ) if for_user else Path("/etc")) / "trio-runner"


def _user_config(environ: Mapping[str, str]) -> Path:
    named = environ.get("XDG_CONFIG_HOME", "")
    return Path(named) if named.startswith("/") else Path(environ.get("HOME") or "~").expanduser() / ".config"


def program_places() -> tuple[Path, ...]:
    """Return everything that must be readable to start the program: Python, its libraries, the package."""
    package = Path(__file__).parents[2]
    python = Path(sys.executable)
    return tuple(dict.fromkeys([python, python.resolve(), Path(sys.prefix), Path(sys.base_prefix), package]))


def home_access(places: Iterable[Path]) -> str:
    """Return what the service needs of home directories: see `UnitFacts.home`."""
    return "read-only" if any(_below(place, _HOMES) for place in places) else "yes"


def check_reachable(places: Iterable[Path], *, own_user: bool) -> None:
    """Refuse a program that the service could not start.

    Args:
        places: paths that it needs.
        own_user: it is to run as a user who owns nothing.

    Raises:
        ConfigError: one line that names the directory and says what to do.
    """
    for place in places:
        if _below(place, _TEMPORARY):
            raise ConfigError(
                f"{place} is below a directory for temporary files, where a service has one of its own;"
                " install trio-runner somewhere else, such as python3 -m venv /opt/trio-runner"
            )
        for directory in place.parents if own_user else ():
            if not directory.stat().st_mode & _OTHERS_MAY_ENTER:
                raise ConfigError(
                    f"{directory} may be entered by its owner only, and the service has a user of its own;"
                    " install trio-runner where every user may read it, such as"
                    " python3 -m venv /opt/trio-runner, or name an account with --run-as"
                )


def _below(path: Path, directories: Iterable[str]) -> bool:
    return any(os.path.commonpath([path, directory]) == directory for directory in directories)

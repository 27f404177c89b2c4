"""What was written for us and is known to none of our commands: most often it is misspelt, and does nothing.

Everything here is one line that names the thing and the known one that is nearest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import attrs

from .commands import TABLES
from .config_file import CONFIG_VARIABLE, ConfigFile
from .entry import Setting, settings_of
from .places import CREDENTIALS, credential_names

__all__ = ["unknown_credentials", "unknown_keys", "unknown_variables"]

_OURS = "TRIO_RUNNER_"
_N8N = "N8N_RUNNERS_"
# Others read these, so one of them is no misspelling of ours, however near it is.
_READ_BY_N8N = frozenset(
    "N8N_RUNNERS_ENABLED N8N_RUNNERS_MODE N8N_RUNNERS_INSECURE_MODE N8N_RUNNERS_BROKER_PORT"
    " N8N_RUNNERS_BROKER_LISTEN_ADDRESS N8N_RUNNERS_MAX_OLD_SPACE_SIZE N8N_RUNNERS_ALLOW_PROTOTYPE_MUTATION"
    " N8N_RUNNERS_TASK_REQUEST_TIMEOUT N8N_RUNNERS_HEARTBEAT_INTERVAL N8N_RUNNERS_CONFIG_PATH"
    " N8N_RUNNERS_LAUNCHER_HEALTH_CHECK_PORT N8N_RUNNERS_SERVER_ENABLED".split()
)
# How alike two names must be for the one to be a slip of the other; difflib's measure, from 0 to 1. Ours are
# ours, so any hint helps; n8n's are many, and only what is very near is meant for us.
_LIKENESS = 0.6
_LIKENESS_TABLE = 0.75
_LIKENESS_N8N = 0.85


def unknown_variables(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each variable with our prefix that nothing reads, and each slip of one of n8n's."""
    known = _variables()
    for name in sorted(environ):
        if name in known or name in _READ_BY_N8N:
            continue
        if name.startswith(_OURS):
            nearest = _nearest(name, known, prefix=_OURS, likeness=_LIKENESS)
            yield f"{name} is no setting and does nothing; {_advice(nearest, 'unset it')}"
        elif name.startswith(_N8N):
            nearest = _nearest(name, known, prefix=_N8N, likeness=_LIKENESS_N8N)
            if nearest:
                yield f"{name} is no setting of a runner and does nothing; {_advice(nearest, '')}"


def unknown_keys(config: ConfigFile) -> Iterator[str]:
    """Yield a line for each table and each key of a configuration file that nothing reads."""
    for name, value in config.tables.items():
        if name not in TABLES:
            yield f"{config.path}: {_stray(name, value)}"
            continue
        table = config.table(name)
        known = table.known_keys(settings_of(TABLES[name]))
        for key in table.values:
            if key.replace("_", "-") not in known:
                nearest = _nearest(key.replace("_", "-"), known, prefix="", likeness=_LIKENESS)
                yield f"{table.origin(key)} is no setting and does nothing; {_advice(nearest, 'take it out')}"


def unknown_credentials(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each credential that names this program and that nothing reads."""
    directory = environ.get(CREDENTIALS, "").strip()
    prefix = "trio-runner."
    known = {
        name for cls in TABLES.values() for entry in settings_of(cls) for name in credential_names(entry)
    }
    try:
        found = sorted(path.name for path in Path(directory).iterdir()) if directory else []
    except OSError:
        return  # what cannot be listed may still be read by name
    for name in found:
        if name.startswith(prefix) and name not in known:
            nearest = _nearest(name, known, prefix=prefix, likeness=_LIKENESS)
            yield f"credential {name} is no secret and does nothing; {_advice(nearest, 'take it out')}"


def _entries() -> tuple[Setting, ...]:
    return tuple(entry for cls in TABLES.values() for entry in settings_of(cls))


def _variables() -> frozenset[str]:
    names = {name for entry in _entries() for name in entry.variables}
    files = {f"{name}_FILE" for entry in _entries() if entry.from_file for name in entry.variables}
    return frozenset(names | files | {CONFIG_VARIABLE})


def _stray(name: str, value: object) -> str:
    """Say what is wrong with something at the top of a configuration file."""
    if isinstance(value, dict):
        tables = [f"[{table}]" for table in TABLES]
        nearest = _nearest(f"[{name}]", tables, prefix="", likeness=_LIKENESS_TABLE)
        otherwise = f"there are {', '.join(tables)}"
        return f"[{name}] is no table of ours and does nothing; {_advice(nearest, otherwise)}"
    homes = [table for table, cls in TABLES.items() if _has_key(cls, name)]
    where = f"put it below [{homes[0]}]" if homes else "take it out"
    return f"{name} stands above every table and does nothing; {where}"


def _has_key(cls: type[attrs.AttrsInstance], key: str) -> bool:
    entries: tuple[Setting, ...] = settings_of(cls)
    return any(key.replace("_", "-") in entry.keys for entry in entries)


def _nearest(name: str, known: Collection[str], *, prefix: str, likeness: float) -> str:
    """Return the known name that is most like another; empty if none is. A common prefix proves nothing."""
    from difflib import get_close_matches  # only for those who have made a slip

    rests = {other.removeprefix(prefix): other for other in sorted(known) if other.startswith(prefix)}
    matches = get_close_matches(name.removeprefix(prefix), rests, n=1, cutoff=likeness)
    return rests[matches[0]] if matches else ""


def _advice(nearest: str, otherwise: str) -> str:
    return f"did you mean {nearest}?" if nearest else otherwise

"""The places a setting is looked for in, one after the other: flags, variables, credentials, a file.

Theory of operation. A place yields what it holds as text, or as a truth where a flag or a configuration file
says one. What comes first counts, and files are read only if nothing before them did.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

from ...errors import ConfigError
from .config_file import FileTable
from .entry import Setting
from .kinds import quoted_path

__all__ = ["CREDENTIALS", "Given", "Places", "credential_names"]

CREDENTIALS = "CREDENTIALS_DIRECTORY"
"""The variable by which a service manager names the directory of a service's credentials."""
# A value is a line or a list of names; more is a wrong path, such as a disk image or /dev/zero.
_LARGEST_FILE = 1024 * 1024


@attrs.frozen
class Given:
    """What one place holds for a setting.

    Attributes:
        origin: the place, as messages name it.
        value: the text, or a truth.
        final: it counts even if it is an empty text: a list of nothing was written on purpose.
    """

    origin: str
    value: str | bool = attrs.field(repr=False)
    final: bool = False


@attrs.frozen(kw_only=True)
class Places:
    """Everything that may hold a setting.

    Attributes:
        flags: what was given on the command line, by field name; what ``--…-file`` named under
            ``{name}_file``.
        environ: the environment.
        file: the part of a configuration file that is for the command.
    """

    flags: Mapping[str, str | bool]
    environ: Mapping[str, str]
    file: FileTable | None = None

    def holding(self, entry: Setting) -> Iterator[Given]:
        """Yield what is given for a setting, in the order in which it counts.

        Raises:
            ConfigError: a file that would count cannot be read, or one place gives the setting twice.
        """
        yield from self._flags(entry)
        yield from self._variables(entry)
        if entry.secret:
            yield from self._credentials(entry)
        if self.file is not None:
            yield from _from_table(self.file, entry)

    def _flags(self, entry: Setting) -> Iterator[Given]:
        file_flag = f"{entry.name}_file"
        if entry.name in self.flags and file_flag in self.flags:
            raise ConfigError(f"{entry.flag} and {entry.flag}-file are both given; give one of them")
        if entry.name in self.flags:
            yield Given(entry.flag, self.flags[entry.name])
        if file_flag in self.flags:
            origin = f"{entry.flag}-file"
            yield Given(origin, _read(origin, str(self.flags[file_flag]), entry))

    def _variables(self, entry: Setting) -> Iterator[Given]:
        for name in entry.variables:
            if name in self.environ:
                yield Given(name, self.environ[name])
            path = self.environ.get(f"{name}_FILE", "").strip() if entry.from_file else ""
            if path:
                yield Given(f"{name}_FILE", _read(f"{name}_FILE", path, entry))

    def _credentials(self, entry: Setting) -> Iterator[Given]:
        directory = self.environ.get(CREDENTIALS, "").strip()
        for name in credential_names(entry) if directory else ():
            path = Path(directory, name)
            if _may_exist(path):
                origin = f"credential {name}"
                yield Given(origin, _read(origin, str(path), entry))


def _may_exist(path: Path) -> bool:
    """Whether a file is there, or nobody may look: then reading it tells why."""
    try:
        return path.exists()
    except OSError:
        return True


def credential_names(entry: Setting) -> tuple[str, ...]:
    """Return the names under which a service manager may hand a setting over."""
    return (f"trio-runner.{entry.key}", entry.key) if entry.secret else ()


def _from_table(file: FileTable, entry: Setting) -> Iterator[Given]:
    found = file.find(entry)
    if found is None:
        return
    if found.is_path:
        yield Given(found.origin, _read(found.origin, file.resolve(str(found.value)), entry))
    else:
        yield Given(found.origin, found.value, final=found.is_list)


def _read(origin: str, path: str, entry: Setting) -> str:
    """Return the text of a file that holds a value."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(_LARGEST_FILE + 1)
        text = data.decode().strip()
    except (OSError, ValueError) as exc:
        why = (
            "it is not UTF-8 text"
            if isinstance(exc, UnicodeDecodeError)
            else getattr(exc, "strerror", None) or exc
        )
        raise ConfigError(
            f"{origin}: cannot read {quoted_path(path)} ({why}); name a readable text file or unset it"
        ) from None
    if len(data) > _LARGEST_FILE:
        raise ConfigError(
            f"{origin}: {quoted_path(path)} is larger than 1 MiB; name a file that holds only the value"
        )
    if entry.secret and not text:
        raise ConfigError(f"{origin}: {quoted_path(path)} is empty; write the secret into it or unset it")
    return text

"""How the text of a setting becomes a value: one small parser per kind, for variables, files and flags alike.

Every parser raises `ValueError` with what is wrong and, after a semicolon, what to write instead. It never
quotes the text of a secret.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from typing import ClassVar
from urllib.parse import urlsplit

import attrs

__all__ = [
    "Boolean",
    "BrokerUris",
    "CertificateFile",
    "Choice",
    "Kind",
    "NameList",
    "Number",
    "Presence",
    "Seconds",
    "Size",
    "Text",
    "Token",
    "UrlPath",
    "quoted",
    "quoted_path",
]

# Longer texts are cut in error messages: a pasted file must not fill the screen.
_LONGEST_QUOTE = 60
# The end of a path is what tells it from others.
_LONGEST_PATH = 250
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]+")
_SIZE = re.compile(r"(?P<number>[0-9]+) ?(?P<unit>|B|[KMGT]i?B?)", re.IGNORECASE)
_UNITS = {
    spelling: 1024**power
    for power, letter in enumerate(("", "k", "m", "g", "t"))
    for spelling in (letter, f"{letter}b", f"{letter}ib")
}
_LARGEST_SIZE = 2**60  # bytes; what the kernel takes as a limit ends a little above
_BROKER_SCHEMES = ("http", "https", "ws", "wss")


def quoted(text: str) -> str:
    """Return `text` in quotes, control characters escaped, cut where it is long."""
    return repr(text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}…")


def quoted_path(path: str) -> str:
    """Return a path in quotes; of a very long one, the end."""
    return repr(path if len(path) <= _LONGEST_PATH else f"…{path[-_LONGEST_PATH:]}")


class Kind(ABC):
    """What the text of a setting may be.

    Attributes:
        metavar: the placeholder in help screens and tables.
        plural: a configuration file may write it as a list of texts.
        from_number: a configuration file may write it as a number.
    """

    metavar: str
    plural: ClassVar[bool] = False
    from_number: ClassVar[bool] = False

    @abstractmethod
    def parse(self, text: str) -> object:
        """Return the value.

        Raises:
            ValueError: the text is none; the message says what is wrong and what to write.
        """

    def show(self, value: object) -> str:
        """Return a value as it would be written, for help screens and tables; empty: nothing to show."""
        return str(value)


@attrs.frozen
class Text(Kind):
    """Any text of printable characters."""

    metavar: str = "TEXT"

    def parse(self, text: str) -> str:
        if not text.isprintable():
            raise ValueError(f"{quoted(text)} holds control characters; write plain text on one line")
        return text


@attrs.frozen
class Token(Kind):
    """A secret that travels in an HTTP header; never quoted in an error."""

    metavar: str = "TOKEN"

    def parse(self, text: str) -> str:
        if not all("!" <= character <= "~" for character in text):
            raise ValueError(
                "the token holds spaces, line breaks or non-ASCII characters; use visible ASCII only"
            )
        return text


@attrs.frozen
class Number(Kind):
    """A whole number from `least` to `most`."""

    least: int
    most: int
    metavar: str = "N"
    from_number: ClassVar[bool] = True

    def parse(self, text: str) -> int:
        # Lengths first: Python refuses to convert thousands of digits, and says so in words of its own.
        if not _WHOLE_NUMBER.fullmatch(text) or len(text) > _LONGEST_QUOTE:
            raise ValueError(
                f"{quoted(text)} is not a whole number; give one from {self.least} to {self.most}"
            )
        value = int(text)
        if not self.least <= value <= self.most:
            raise ValueError(f"{value} is out of range; give a whole number from {self.least} to {self.most}")
        return value


@attrs.frozen
class Size(Kind):
    """A number of bytes, with a unit or without; 0 means no limit."""

    least: int
    metavar: str = "SIZE"
    from_number: ClassVar[bool] = True

    def parse(self, text: str) -> int:
        found = _SIZE.fullmatch(text)
        if found is None or len(text) > _LONGEST_QUOTE:
            raise ValueError(
                f"{quoted(text)} is no size; give bytes, or a number with KiB, MiB or GiB such as 512MiB"
            )
        value: int = int(found["number"]) * _UNITS[found["unit"].casefold()]
        if value and not self.least <= value <= _LARGEST_SIZE:
            least = self.show(self.least)
            raise ValueError(
                f"{quoted(text)} is out of range; give 0 (no limit), or a size of {least} or more"
            )
        return value

    def show(self, value: object) -> str:
        if not isinstance(value, int):
            return ""
        for unit in ("GiB", "MiB", "KiB"):
            if value and value % _UNITS[unit.casefold()] == 0:
                return f"{value // _UNITS[unit.casefold()]}{unit}"
        return str(value)


@attrs.frozen
class Seconds(Kind):
    """A length of time; `or_zero` says what 0 means where it is allowed."""

    or_zero: str = ""
    metavar: str = "SECONDS"
    from_number: ClassVar[bool] = True

    def parse(self, text: str) -> float:
        wanted = f"0 ({self.or_zero}) or more" if self.or_zero else "more than 0"
        try:
            value = float(text)
        except ValueError:
            raise ValueError(f"{quoted(text)} is not a number; give seconds, {wanted}") from None
        if not math.isfinite(value) or value < 0 or (value == 0 and not self.or_zero):
            raise ValueError(f"{quoted(text)} is out of range; give seconds, {wanted}")
        return value

    def show(self, value: object) -> str:
        return f"{value:g}" if isinstance(value, float) else str(value)


@attrs.frozen
class Boolean(Kind):
    """Yes or no."""

    metavar: str = "true|false"

    def parse(self, text: str) -> bool:
        folded = text.casefold()
        if folded in ("true", "1", "yes"):
            return True
        if folded in ("false", "0", "no"):
            return False
        raise ValueError(f"{quoted(text)} is neither true nor false; write true, 1, yes, false, 0 or no")

    def show(self, value: object) -> str:
        return "true" if value else "false"


@attrs.frozen
class Presence(Kind):
    """Set to anything at all means yes: the convention of NO_COLOR."""

    metavar: str = "anything"

    def parse(self, text: str) -> bool:
        return bool(text)

    def show(self, value: object) -> str:
        return "set" if value else ""


@attrs.frozen
class NameList(Kind):
    """Names separated by commas; with `star`, or ``*`` alone for all."""

    star: bool = False
    metavar: str = "NAMES"
    plural: ClassVar[bool] = True

    def parse(self, text: str) -> frozenset[str]:
        names = frozenset(name for part in text.split(",") if (name := part.strip()))
        if "*" in names and not self.star:
            raise ValueError("'*' is not understood here; write names separated by commas")
        if "*" in names and len(names) > 1:
            raise ValueError(
                "'*' stands for all and must stand alone; write '*' or names separated by commas"
            )
        broken = sorted(name for name in names if not name.isprintable() or any(map(str.isspace, name)))
        if broken:
            raise ValueError(f"{quoted(broken[0])} is not a name; separate names by commas")
        return names

    def show(self, value: object) -> str:
        return ",".join(sorted(value)) if isinstance(value, frozenset) else ""


@attrs.frozen
class Choice(Kind):
    """One of some words, in any case of letters, each with other spellings."""

    spellings: dict[str, str]
    """Every accepted word in lower case, with the word it stands for."""
    metavar: str = "WORD"

    def parse(self, text: str) -> str:
        try:
            return self.spellings[text.casefold()]
        except KeyError:
            words = ", ".join(dict.fromkeys(self.spellings.values()))
            raise ValueError(f"{quoted(text)} is not known; write one of {words}") from None


@attrs.frozen
class BrokerUris(Kind):
    """One or more base URIs of task brokers, separated by commas."""

    metavar: str = "URI[,URI...]"
    plural: ClassVar[bool] = True

    def parse(self, text: str) -> tuple[str, ...]:
        uris = tuple(uri for part in text.split(",") if (uri := part.strip().rstrip("/")))
        if not uris:
            raise ValueError(
                "no URI in it; write one such as http://127.0.0.1:5679, or several with commas between"
            )
        for uri in uris:
            _check_broker_uri(uri)
        doubled = sorted(uri for uri in uris if uris.count(uri) > 1)
        if doubled:
            raise ValueError(f"{quoted(doubled[0])} is given twice; name each broker once")
        return uris

    def show(self, value: object) -> str:
        return ",".join(value) if isinstance(value, tuple) else str(value)


def _check_broker_uri(uri: str) -> None:
    remedy = "write it as http://host:port or https://host/path"
    if not uri.isprintable() or any(map(str.isspace, uri)):
        raise ValueError(f"{quoted(uri)} is no broker URI; {remedy}")
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError as exc:
        raise ValueError(f"{quoted(uri)} is no broker URI ({exc}); {remedy}") from None
    if parts.scheme not in _BROKER_SCHEMES or not host:
        raise ValueError(f"{quoted(uri)} is no broker URI; {remedy}")
    if "@" in parts.netloc:
        raise ValueError("a broker URI holds a user name or password; take it out, brokers know tokens only")
    if parts.query or parts.fragment:
        raise ValueError(f"{quoted(uri)} has a query or a fragment; give the base URI alone")


@attrs.frozen
class UrlPath(Kind):
    """The path part of a URL."""

    metavar: str = "PATH"

    def parse(self, text: str) -> str:
        if not re.fullmatch(r"/[A-Za-z0-9._~/-]*[A-Za-z0-9._~-]", text):
            raise ValueError(f"{quoted(text)} is no path; write one such as /runners")
        return text


@attrs.frozen
class CertificateFile(Kind):
    """A file of certificates in PEM format; read at once, so that the error comes at the start."""

    metavar: str = "FILE"

    def parse(self, text: str) -> str:
        import ssl  # 20 ms that only those pay who name a file

        try:
            ssl.create_default_context(cafile=text)
        except ssl.SSLError:
            raise ValueError(
                f"{quoted_path(text)} holds no certificates; name a file of them in PEM format"
            ) from None
        except (OSError, ValueError) as exc:
            why = getattr(exc, "strerror", None) or exc
            raise ValueError(
                f"cannot read {quoted_path(text)} ({why}); name a readable file in PEM format"
            ) from None
        return text

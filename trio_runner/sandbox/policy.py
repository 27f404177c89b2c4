"""The language-level policy: what the person's code may import and use.

This is compatibility with what n8n's users have configured, and good error messages. The wall is the
operating system's.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable

__all__ = [
    "DEFAULT_BUILTINS_DENY",
    "Policy",
    "SecurityViolation",
    "is_standard_library",
    "remarkable_modules",
    "remedies",
]

# Source: the default of N8N_RUNNERS_BUILTINS_DENY.
DEFAULT_BUILTINS_DENY = frozenset(
    "eval exec compile open input breakpoint getattr object type vars setattr delattr hasattr dir memoryview"
    " __build_class__ globals locals license help credits copyright".split()
)

# Parts of `importlib` that load whatever they are told to: its name in an allow-list is not meant for them.
_FREE_LOADERS = frozenset(
    "importlib.abc importlib.machinery importlib.readers importlib.simple importlib._abc"
    " importlib._bootstrap importlib._bootstrap_external".split()
)
# Under what other names modules of the standard library hold each other, in Python 3.11 to 3.13.
_ALIASES = frozenset("bltns machinery st stdlib_re TK _bootstrap _bootstrap_external _hashopenssl".split())

_STANDARD_LIBRARY = sys.stdlib_module_names | frozenset(sys.builtin_module_names)


class SecurityViolation(Exception):
    """Raised inside the person's code when it does at run time what the policy refuses."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What one runner allows the code of every task it runs.

    Attributes:
        stdlib_allow: top-level standard-library modules that may be imported; ``{"*"}`` allows all.
        external_allow: the same for every other top-level module.
        builtins_deny: builtins that are absent from the person's code.
        environment: environment variables the person's code sees; the tokens are never among them.
        max_result: largest result, in bytes of JSON.
    """

    stdlib_allow: frozenset[str] = frozenset()
    external_allow: frozenset[str] = frozenset()
    builtins_deny: frozenset[str] = DEFAULT_BUILTINS_DENY
    environment: tuple[tuple[str, str], ...] = ()
    max_result: int = 1024**3

    @property
    def checks_code(self) -> bool:
        """Whether code is analysed before it runs: not when both allow-lists allow everything."""
        return "*" not in self.stdlib_allow or "*" not in self.external_allow

    def import_fault(self, path: str) -> str | None:
        """Return why the module `path` may not be imported, or None if it may.

        Args:
            path: dotted name as it stands in the code; its first part is what the allow-lists name.
        """
        top = path.partition(".")[0]
        standard = is_standard_library(top)
        allowed = self.stdlib_allow if standard else self.external_allow
        if "*" in allowed or top == "__future__" or (top in allowed and path not in _FREE_LOADERS):
            return None
        names = ", ".join(sorted(allowed)) or "none"
        if standard:
            return (
                f"Import of standard library module '{path}' is disallowed. Allowed stdlib modules: {names}"
            )
        return f"Import of external package '{path}' is disallowed. Allowed external packages: {names}"

    def to_json(self) -> str:
        """Write the policy for the zygote."""
        return json.dumps(
            {
                "stdlib_allow": sorted(self.stdlib_allow),
                "external_allow": sorted(self.external_allow),
                "builtins_deny": sorted(self.builtins_deny),
                "environment": list(self.environment),
                "max_result": self.max_result,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Policy:
        """Read what `to_json` wrote."""
        fields = json.loads(text)
        return cls(
            stdlib_allow=frozenset(fields["stdlib_allow"]),
            external_allow=frozenset(fields["external_allow"]),
            builtins_deny=frozenset(fields["builtins_deny"]),
            environment=tuple((name, value) for name, value in fields["environment"]),
            max_result=fields["max_result"],
        )


def is_standard_library(top: str) -> bool:
    """Whether a top-level module belongs to Python itself."""
    return top in _STANDARD_LIBRARY


def remarkable_modules() -> frozenset[str]:
    """Return the names under which a module may hold one of the standard library as an attribute."""
    return _STANDARD_LIBRARY | {f"_{name}" for name in _STANDARD_LIBRARY} | _ALIASES


def remedies(reasons: Iterable[str]) -> list[str]:
    """Return, for people, the settings that would allow what was refused; each once, in order."""
    found = (next(text for start, text in _REMEDIES if why.startswith(start)) for why in reasons)
    return list(dict.fromkeys(found))


_FREEDOM = (
    "The runner allows this only where N8N_RUNNERS_STDLIB_ALLOW and N8N_RUNNERS_EXTERNAL_ALLOW are both *, or"
    " TRIO_RUNNER_SANDBOX_PROFILE is trusted."
)
# What a reason begins with, and what to do about it.
_REMEDIES = (
    (
        "Import of standard library module",
        "N8N_RUNNERS_STDLIB_ALLOW of the runner lists the modules of Python that may be imported.",
    ),
    (
        "Import of external package",
        "N8N_RUNNERS_EXTERNAL_ALLOW of the runner lists the packages that may be imported.",
    ),
    ("Class definitions", "N8N_RUNNERS_BUILTINS_DENY of the runner lists the builtins that are denied."),
    ("Relative imports", "The code is no part of a package: import modules by their full names."),
    ("", _FREEDOM),
)

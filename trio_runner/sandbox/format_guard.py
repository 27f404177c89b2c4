"""The run-time half of the check on format templates: those that the code computes.

``"{0.__class__}".format(x)`` is an attribute access in disguise, and a template put together at run time is
out of the static check's sight. Who looks up one of the methods here gets it, once the template has been
looked at, or wrapped, if the template comes with the call.
"""

from __future__ import annotations

import functools
import string
from collections.abc import Callable
from typing import Any

from .denied_names import denied_in_template
from .policy import SecurityViolation

__all__ = ["FORMAT_METHODS", "guarded_format"]

FORMAT_METHODS = frozenset({"format", "format_map", "vformat", "get_field"})
"""Methods of `str` and `string.Formatter` that follow the fields of a template."""

# What the template is called where it may be passed by name.
_KEYWORDS = ("format_string", "field_name")


def guarded_format(owner: Any, name: str, method: Any) -> Any:
    """Return the method that was looked up, or one that looks at its template first.

    Args:
        owner: what it was looked up on.
        name: one of `FORMAT_METHODS`.
        method: what was found.

    Raises:
        SecurityViolation: it belongs to a template that reaches into the interpreter.
    """
    if isinstance(owner, str):
        _check(owner)
    elif isinstance(owner, type) and issubclass(owner, str | string.Formatter):
        return _checking(method, 0 if issubclass(owner, str) else 1, is_field=name == "get_field")
    elif isinstance(owner, string.Formatter):
        return _checking(method, 0, is_field=name == "get_field")
    return method


def _checking(method: Callable[..., Any], position: int, *, is_field: bool) -> Callable[..., Any]:
    """Wrap a method whose template is the positional argument at `position`."""

    @functools.wraps(method)
    def checked(*args: Any, **kwargs: Any) -> Any:
        for text in (*args[position : position + 1], *(kwargs.get(keyword) for keyword in _KEYWORDS)):
            if isinstance(text, str):
                _check(f"{{{text}}}" if is_field else text)
        return method(*args, **kwargs)

    return checked


def _check(template: str) -> None:
    if denied := denied_in_template(template):
        raise SecurityViolation(f"Use of the attribute '{denied}' in a format template is disallowed.")

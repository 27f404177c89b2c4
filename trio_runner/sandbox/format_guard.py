"""The run-time half of the check on `str.format`: templates that the code computes.

``"{0.__class__}".format(x)`` is an attribute access in disguise, and a template put together at run time is
out of the static check's sight. So every ``….format``, ``….format_map`` and ``….vformat`` in the person's
code becomes a call of a hidden builtin that looks at the template first, then hands out what was asked for.
"""

from __future__ import annotations

import ast
import functools
import string
from collections.abc import Callable
from typing import Any

from .denied_names import denied_in_template
from .policy import SecurityViolation

__all__ = ["GUARD_NAMES", "guard_formats"]


def guard_formats(tree: ast.Module) -> None:
    """Rewrite the lookups of formatting methods in a tree, in place.

    Inner nodes come first, without recursion: a sum of a thousand terms is an honest tree that deep.
    """
    for node in reversed(list(ast.walk(tree))):
        for field, value in ast.iter_fields(node):
            if isinstance(value, list):
                value[:] = [_guarded(child) for child in value]
            else:
                setattr(node, field, _guarded(value))


def _guarded(node: object) -> object:
    if not isinstance(node, ast.Attribute) or node.attr not in _METHODS:
        return node
    if not isinstance(node.ctx, ast.Load) or isinstance(node.value, ast.Constant):
        return node  # The static check has read the template that a constant is.
    guard = ast.copy_location(ast.Name(id=f"<{node.attr}>", ctx=ast.Load()), node)
    return ast.copy_location(ast.Call(func=guard, args=[node.value], keywords=[]), node)


def _checked_attribute(name: str, value: Any) -> Any:
    attribute = _METHODS[name](value)
    if isinstance(value, str):
        _check(value)
    elif isinstance(value, type) and issubclass(value, str | string.Formatter):
        return _checking(attribute, 0 if issubclass(value, str) else 1)
    elif isinstance(value, string.Formatter):
        return _checking(attribute, 0)
    return attribute


def _checking(method: Callable[..., Any], position: int) -> Callable[..., Any]:
    """Wrap a method whose template is the positional argument at `position`."""

    @functools.wraps(method)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if len(args) > position and isinstance(args[position], str):
            _check(args[position])
        return method(*args, **kwargs)

    return checked


def _check(template: str) -> None:
    if denied := denied_in_template(template):
        raise SecurityViolation(f"Use of the attribute '{denied}' in a format template is disallowed.")


_METHODS: dict[str, Callable[[Any], Any]] = {
    "format": lambda value: value.format,
    "format_map": lambda value: value.format_map,
    "vformat": lambda value: value.vformat,
}

GUARD_NAMES = {f"<{name}>": functools.partial(_checked_attribute, name) for name in _METHODS}
"""The hidden builtins; code cannot spell these names."""
